/* milter_test.c - runs the unit tests of milter/ */
#include "milter_test.h"

#include <stdlib.h>

int main(void)
{
	Suite *suite = suite_create("milter");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, socket_cases());
	suite_add_tcase(suite, wakeup_cases());
	suite_add_tcase(suite, reply_cases());
	suite_add_tcase(suite, domains_cases());
	suite_add_tcase(suite, batch_cases());
	suite_add_tcase(suite, rcpt_cases());
	suite_add_tcase(suite, session_cases());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
