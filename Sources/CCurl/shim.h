/* What Swift cannot import from libcurl: variadic functions and macros with casts.
 * Nothing else belongs here; every decision is made in Swift. */
#ifndef CCURL_SHIM_H
#define CCURL_SHIM_H

#include <curl/curl.h>

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or newer is needed, for CURLOPT_QUICK_EXIT and CURLOPT_PROTOCOLS_STR"
#endif

/* The names in parentheses are the functions: the macros of the same name check the types of
 * literals only. */

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

/* libcurl copies strings. */
static inline CURLcode
ccurl_set_string(CURL *handle, CURLoption option, const char *value)
{
    return (curl_easy_setopt)(handle, option, value);
}

/* libcurl keeps pointers: what they point to must outlive the handle's use of it. */
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

/* All callbacks of a handle, with one context for them. */
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

/* 0 if it isn't known. */
static inline long
ccurl_response_code(CURL *handle)
{
    long value = 0;
    return (curl_easy_getinfo)(handle, CURLINFO_RESPONSE_CODE, &value) == CURLE_OK ? value : 0;
}

/* In seconds from now, a date converted; 0 if there was none. */
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
/* What the header and body callbacks return to end the transfer: never a length they were given. */
static const size_t ccurl_end_transfer = CURL_WRITEFUNC_ERROR;

#endif
