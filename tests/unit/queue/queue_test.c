/*
 * queue_test.c - runs the unit tests of queue/
 */
#include "tests/unit/queue/queue_test.h"

int main(void)
{
	static TCase *(*const cases[])(void) = {schema_tests, vfs_tests,
	    wal_buffer_tests, lock_tests, open_tests, custody_tests,
	    place_tests, poison_tests, lease_tests, history_tests, move_tests,
	    outcome_tests, sweep_tests, suppression_tests, view_tests,
	    crash_tests};
	Suite *suite = suite_create("queue");
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < COUNT(cases); i++) {
		TCase *tcase = cases[i]();

		suite_add_tcase(suite, tcase);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
