/* The files of the page at /ui, as they were when the package was compiled. */
#ifndef CPAGE_PAGE_H
#define CPAGE_PAGE_H

#include <stddef.h>

typedef struct {
    const char *name;
    const char *media_type;
    /* Never freed. */
    const unsigned char *bytes;
    size_t size;
} cpage_file;

size_t cpage_file_count(void);

/* The first is the page itself. The index is below the count. */
cpage_file cpage_file_at(size_t index);

#endif
