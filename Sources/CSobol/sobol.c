/* Direction numbers of Sobol's sequence, by S. Joe and F. Y. Kuo (2008, "Constructing Sobol sequences
 * with better two-dimensional projections"): new-joe-kuo-6.21201, packed by pack.py. Their license is
 * in the file LICENSE. C, because #embed takes no time. */
#include "sobol.h"

#pragma clang diagnostic ignored "-Wc23-extensions"
static const unsigned char directions[] = {
#embed "directions.bin"
};

const unsigned char *
csobol_directions(void)
{
    return directions;
}

size_t
csobol_directions_size(void)
{
    return sizeof directions;
}
