/*
 * policy_test.c - the unit tests of policy/
 */
#include "policy_test.h"

int main(void)
{
	SRunner *runner = srunner_create(param_suite());
	int failed;

	srunner_add_suite(runner, bounce_class_suite());
	srunner_add_suite(runner, egress_path_suite());
	srunner_add_suite(runner, egress_pool_suite());
	srunner_add_suite(runner, egress_source_suite());
	srunner_add_suite(runner, listener_suite());
	srunner_add_suite(runner, listener_domain_suite());
	srunner_add_suite(runner, log_config_suite());
	srunner_add_suite(runner, malformed_suite());
	srunner_add_suite(runner, queue_config_suite());
	srunner_add_suite(runner, rate_suite());
	srunner_add_suite(runner, relay_suite());
	srunner_add_suite(runner, retry_suite());
	srunner_add_suite(runner, site_name_suite());
	srunner_add_suite(runner, suppression_suite());
	srunner_add_suite(runner, template_suite());
	srunner_add_suite(runner, throttle_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
