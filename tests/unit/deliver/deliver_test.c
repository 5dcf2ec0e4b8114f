/*
 * deliver_test.c - runs the unit tests of deliver/
 */
#include "tests/unit/deliver/deliver_test.h"

int main(void)
{
	Suite *suite = suite_create("deliver");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, bounds_tests());
	suite_add_tcase(suite, engine_tests());
	suite_add_tcase(suite, maildir_tests());
	suite_add_tcase(suite, session_tests());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
