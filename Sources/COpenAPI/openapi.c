/* C, because #embed takes no time. SwiftPM's embedInCode makes a Swift array literal of the same
 * bytes, which the compiler works on for half a minute. */
#include "openapi.h"

#pragma clang diagnostic ignored "-Wc23-extensions"
static const unsigned char document[] = {
#embed "../../openapi.yaml"
};

const unsigned char *
copenapi_document(void)
{
    return document;
}

size_t
copenapi_document_size(void)
{
    return sizeof document;
}
