/*
 * tls_result.c - what became of TLS with a host, in the words of RFC 8460
 */
#include "net/tls_result.h"

#include <openssl/x509_vfy.h>

static const char *const results[] = {
    [TLS_RESULT_SUCCESS] = "success",
    [TLS_RESULT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
    [TLS_RESULT_HOST_MISMATCH] = "certificate-host-mismatch",
    [TLS_RESULT_EXPIRED] = "certificate-expired",
    [TLS_RESULT_NOT_TRUSTED] = "certificate-not-trusted",
    [TLS_RESULT_VALIDATION_FAILURE] = "validation-failure",
    [TLS_RESULT_TLSA_INVALID] = "tlsa-invalid",
    [TLS_RESULT_DNSSEC_INVALID] = "dnssec-invalid",
    [TLS_RESULT_STS_FETCH_ERROR] = "sts-policy-fetch-error",
    [TLS_RESULT_STS_INVALID] = "sts-policy-invalid",
    [TLS_RESULT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

static const char *const policies[] = {
    [TLS_POLICY_NONE] = "no-policy-found",
    [TLS_POLICY_TLSA] = "tlsa",
    [TLS_POLICY_STS] = "sts",
};

const char *tls_result_name(enum tls_result result)
{
	return results[result];
}

const char *tls_policy_name(enum tls_policy policy)
{
	return policies[policy];
}

enum tls_result tls_result_of_verdict(long verdict)
{
	switch (verdict) {
	case X509_V_OK:
		return TLS_RESULT_SUCCESS;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_RESULT_HOST_MISMATCH;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_RESULT_EXPIRED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CERT_REJECTED:
		return TLS_RESULT_NOT_TRUSTED;
	default:
		return TLS_RESULT_VALIDATION_FAILURE;
	}
}
