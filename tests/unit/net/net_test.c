/*
 * net_test.c - runs the unit tests of net/
 */
#include "tests/unit/net/net_test.h"

int main(void)
{
	Suite *suite = suite_create("net");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, dns_zone_tests());
	suite_add_tcase(suite, local_addr_tests());
	suite_add_tcase(suite, mx_tests());
	suite_add_tcase(suite, resolver_tests());
	suite_add_tcase(suite, sts_policy_tests());
	suite_add_tcase(suite, tls_result_tests());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
