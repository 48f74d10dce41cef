/* Wraps the parts of libcurl that Swift cannot import: variadic functions and macros with casts.
 * Nothing else belongs here; all decisions are made in Swift. */
#ifndef CCURL_SHIM_H
#define CCURL_SHIM_H

#ifdef __swift__
/* Makes Swift's Glibc module the owner of the system's declarations: see CMicrohttpd. */
#pragma clang module import SwiftGlibc
#endif

#include <curl/curl.h>

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed, for CURLOPT_QUICK_EXIT and CURLOPT_PROTOCOLS_STR"
#endif

/* The parentheses call the functions instead of the macros with the same names, which check the
 * types of literals only. */

static inline CURLcode
ccurl_set_long(CURL *handle, CURLoption option, long value)
{
    return (curl_easy_setopt)(handle, option, value);
}

static inline CURLcode
ccurl_set_size(CURL *handle, CURLoption option, curl_off_t value)
{
    return (curl_easy_setopt)(handle, option, value);
}

/* libcurl copies the string. */
static inline CURLcode
ccurl_set_string(CURL *handle, CURLoption option, const char *value)
{
    return (curl_easy_setopt)(handle, option, value);
}

/* libcurl keeps the pointer, so its target must outlive the transfer. */
static inline CURLcode
ccurl_set_pointer(CURL *handle, CURLoption option, const void *value)
{
    return (curl_easy_setopt)(handle, option, value);
}

static inline CURLcode
ccurl_set_list(CURL *handle, CURLoption option, struct curl_slist *value)
{
    return (curl_easy_setopt)(handle, option, value);
}

/* Sets all callbacks of a handle, with one context for them. */
static inline CURLcode
ccurl_set_callbacks(CURL *handle, curl_write_callback header, curl_write_callback body,
                    curl_opensocket_callback open_socket, curl_xferinfo_callback progress,
                    void *context)
{
    CURLcode result = CURLE_OK;
#define CCURL_SET(option, value) \
    if(result == CURLE_OK) \
        result = (curl_easy_setopt)(handle, option, value)
    CCURL_SET(CURLOPT_HEADERFUNCTION, header);
    CCURL_SET(CURLOPT_HEADERDATA, context);
    CCURL_SET(CURLOPT_WRITEFUNCTION, body);
    CCURL_SET(CURLOPT_WRITEDATA, context);
    CCURL_SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    CCURL_SET(CURLOPT_OPENSOCKETDATA, context);
    CCURL_SET(CURLOPT_XFERINFOFUNCTION, progress);
    CCURL_SET(CURLOPT_XFERINFODATA, context);
    CCURL_SET(CURLOPT_NOPROGRESS, 0L);
#undef CCURL_SET
    return result;
}

/* Sets the callbacks of an exchange of files, with one context for them. */
static inline CURLcode
ccurl_set_file_callbacks(CURL *handle, curl_read_callback request, curl_write_callback response,
                         void *context)
{
    CURLcode result = CURLE_OK;
#define CCURL_SET(option, value) \
    if(result == CURLE_OK) \
        result = (curl_easy_setopt)(handle, option, value)
    CCURL_SET(CURLOPT_READFUNCTION, request);
    CCURL_SET(CURLOPT_READDATA, context);
    CCURL_SET(CURLOPT_WRITEFUNCTION, response);
    CCURL_SET(CURLOPT_WRITEDATA, context);
#undef CCURL_SET
    return result;
}

/* Returns 0 without a response. */
static inline long
ccurl_response_code(CURL *handle)
{
    long value = 0;
    return (curl_easy_getinfo)(handle, CURLINFO_RESPONSE_CODE, &value) == CURLE_OK ? value : 0;
}

/* Returns the delay in seconds, also for a field that has a date; 0 without the field. */
static inline curl_off_t
ccurl_retry_after(CURL *handle)
{
    curl_off_t value = 0;
    return (curl_easy_getinfo)(handle, CURLINFO_RETRY_AFTER, &value) == CURLE_OK ? value : 0;
}

static inline CURLcode
ccurl_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT);
}

static const long ccurl_tls_1_2_or_newer = CURL_SSLVERSION_TLSv1_2;
static const long ccurl_http_1_1 = CURL_HTTP_VERSION_1_1;
static const curl_socket_t ccurl_no_socket = CURL_SOCKET_BAD;
/* Returned by the header and body callbacks to end the transfer. It is no possible length. */
static const size_t ccurl_end_transfer = CURL_WRITEFUNC_ERROR;
/* Returned by the callback that reads a body. */
static const size_t ccurl_abort_upload = CURL_READFUNC_ABORT;

#endif
