/* The parts of OpenSSL's libcrypto that the package calls: message digests and HMAC. */
#ifndef COPENSSL_SHIM_H
#define COPENSSL_SHIM_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "OpenSSL 3.0 or newer is needed, for EVP_MD_fetch"
#endif

#endif
