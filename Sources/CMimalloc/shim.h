/* Linked for its malloc and free, which take the place of glibc's. */
#ifndef CMIMALLOC_SHIM_H
#define CMIMALLOC_SHIM_H

#include <mimalloc.h>

#endif
