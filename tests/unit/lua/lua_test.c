/*
 * lua_test.c - the unit tests of lua/
 */
#include "lua_test.h"

int main(void)
{
	SRunner *runner = srunner_create(event_suite());
	int failed;

	srunner_add_suite(runner, limits_suite());
	srunner_add_suite(runner, load_suite());
	srunner_add_suite(runner, make_suite());
	srunner_add_suite(runner, match_suite());
	srunner_add_suite(runner, memo_suite());
	srunner_add_suite(runner, message_suite());
	srunner_add_suite(runner, missing_suite());
	srunner_add_suite(runner, modules_suite());
	srunner_add_suite(runner, pool_suite());
	srunner_add_suite(runner, digest_suite());
	srunner_add_suite(runner, dkim_suite());
	srunner_add_suite(runner, dns_suite());
	srunner_add_suite(runner, fs_suite());
	srunner_add_suite(runner, http_suite());
	srunner_add_suite(runner, map_suite());
	srunner_add_suite(runner, regex_suite());
	srunner_add_suite(runner, report_suite());
	srunner_add_suite(runner, schedule_suite());
	srunner_add_suite(runner, seeds_suite());
	srunner_add_suite(runner, serde_suite());
	srunner_add_suite(runner, session_suite());
	srunner_add_suite(runner, shaping_suite());
	srunner_add_suite(runner, sqlite_suite());
	srunner_add_suite(runner, string_suite());
	srunner_add_suite(runner, time_suite());
	srunner_add_suite(runner, watch_suite());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
