/* The top-level openapi.yaml, as it was when the package was compiled. */
#ifndef COPENAPI_OPENAPI_H
#define COPENAPI_OPENAPI_H

#include <stddef.h>

/* The document's first byte; it is never freed. */
const unsigned char *copenapi_document(void);
size_t copenapi_document_size(void);

#endif
