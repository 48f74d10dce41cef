/* The packed direction numbers; pack.py says how. */
#ifndef CSOBOL_SOBOL_H
#define CSOBOL_SOBOL_H

#include <stddef.h>

/* The first byte; it is never freed. */
const unsigned char *csobol_directions(void);
size_t csobol_directions_size(void);

#endif
