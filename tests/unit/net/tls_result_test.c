/*
 * tls_result_test.c - OpenSSL's verdicts in the words of RFC 8460
 */
#include <openssl/x509_vfy.h>

#include "base/attr.h"
#include "net/tls_result.h"
#include "tests/unit/net/net_test.h"

static const struct {
	long verdict;
	const char *name;
} cases[] = {
    {X509_V_OK, "success"},
    {X509_V_ERR_CERT_HAS_EXPIRED, "certificate-expired"},
    {X509_V_ERR_HOSTNAME_MISMATCH, "certificate-host-mismatch"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, "certificate-host-mismatch"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "certificate-not-trusted"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "certificate-not-trusted"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "certificate-not-trusted"},
    {X509_V_ERR_DANE_NO_MATCH, "validation-failure"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "validation-failure"},
};

START_TEST(verdicts_have_the_names_of_the_rfc)
{
	ck_assert_str_eq(
	    tls_result_name(tls_result_of_verdict(cases[_i].verdict)),
	    cases[_i].name);
}
END_TEST

TCase *tls_result_tests(void)
{
	TCase *tc = tcase_create("tls_result");

	tcase_add_loop_test(
	    tc, verdicts_have_the_names_of_the_rfc, 0, COUNT(cases));
	return tc;
}
