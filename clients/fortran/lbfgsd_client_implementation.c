/* The C client, for the Fortran module to link with. */

#define LBFGSD_CLIENT_IMPLEMENTATION
#include "lbfgsd_client.h"
