/*
 * tls_result.h - what became of TLS with a host, in the words of RFC 8460
 *
 * The vocabulary of reports about outbound TLS: result types (RFC 8460, 4.3)
 * and types of policies (4.4).  dane-required is not here: no policy of ours
 * demands DANE of a domain that has none.
 *
 * Threads: any.
 */
#ifndef NET_TLS_RESULT_H
#define NET_TLS_RESULT_H

#include <stdbool.h>

enum tls_result {
	TLS_RESULT_SUCCESS,
	TLS_RESULT_STARTTLS_NOT_SUPPORTED, /* not offered, or refused */
	TLS_RESULT_HOST_MISMATCH,
	TLS_RESULT_EXPIRED,
	TLS_RESULT_NOT_TRUSTED,        /* no known authority signed it */
	TLS_RESULT_VALIDATION_FAILURE, /* anything else about a handshake */
	TLS_RESULT_TLSA_INVALID,       /* records, none of which is usable */
	TLS_RESULT_DNSSEC_INVALID,     /* what DANE needs cannot be had */
	TLS_RESULT_STS_FETCH_ERROR,
	TLS_RESULT_STS_INVALID,
	TLS_RESULT_STS_WEBPKI_INVALID,
};

/* What it was held against. */
enum tls_policy { TLS_POLICY_NONE, TLS_POLICY_TLSA, TLS_POLICY_STS };

const char *tls_result_name(enum tls_result result); /* "success", ... */
const char *tls_policy_name(enum tls_policy policy); /* "tlsa", ... */
/* Of a certificate, from OpenSSL's X509_V_*; X509_V_OK is success. */
enum tls_result tls_result_of_verdict(long verdict);

#endif
