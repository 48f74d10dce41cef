/* What Swift cannot import from glibc: what its headers show to _GNU_SOURCE only.
 * Nothing else belongs here; every decision is made in Swift. */
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H

#include <stdint.h>

extern int fallocate64(int descriptor, int mode, int64_t offset, int64_t length);

/* Gives the blocks that lie in the range back to the file system; the rest of it is zeroed, and
 * the file stays as long as it is. fallocate(2) with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. */
static inline int
clinux_punch_hole(int descriptor, int64_t offset, int64_t length)
{
    return fallocate64(descriptor, 0x02 | 0x01, offset, length);
}

#endif
