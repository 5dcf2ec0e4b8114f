/*
 * tls_profile.h - what a policy sets for a handshake, for net/tls.c only
 */
#ifndef NET_TLS_PROFILE_H
#define NET_TLS_PROFILE_H

#include <openssl/ssl.h>

#include "net/tls.h"

/* Certificate, authorities, ciphers and options onto one connection. */
bool tls_profile_apply(const struct tls_profile *p, SSL *ssl) MUST_USE;
/* "what: " and what OpenSSL said last; false. */
bool tls_openssl_failed(struct err *err, const char *what);

#endif
