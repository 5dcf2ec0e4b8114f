/*
 * base_test.c - runs the unit tests of base/
 */
#include "tests/unit/base/base_test.h"

#include <ftw.h>
#include <unistd.h>

static char scratch[64];

static int remove_one(
    const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_scratch(void)
{
	(void)nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_dir(void)
{
	(void)snprintf(scratch, sizeof scratch, "/tmp/penstock-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	ck_assert_int_eq(atexit(remove_scratch), 0);
	return scratch;
}

int main(void)
{
	static TCase *(*const cases[])(void) = {arena_tests, base64_tests,
	    buf_tests, cidr_tests, clock_tests, control_tests, daemon_tests,
	    diag_tests, duration_tests, err_tests, fault_tests, fd_tests,
	    free_space_tests, heap_tests, inbox_tests, ip_tests, json_tests,
	    map_tests, regex_list_tests, str_tests, terminal_tests,
	    value_tests};
	Suite *suite = suite_create("base");
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		suite_add_tcase(suite, cases[i]());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
