/*
 * router_test.c - the unit tests of router/
 */
#include "router_test.h"

int main(void)
{
	SRunner *runner = srunner_create(plan_suite());
	int failed;

	srunner_add_suite(runner, outcome_suite());
	srunner_add_suite(runner, gate_suite());
	srunner_add_suite(runner, ready_message_suite());
	srunner_add_suite(runner, held_memory_suite());
	srunner_add_suite(runner, lease_suite());
	srunner_add_suite(runner, loop_suite());
	srunner_add_suite(runner, queue_thread_suite());
	srunner_add_suite(runner, record_memory_suite());
	srunner_add_suite(runner, router_control_suite());
	srunner_add_suite(runner, shares_suite());
	srunner_add_suite(runner, source_choice_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
