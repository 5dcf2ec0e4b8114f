/*
 * runner_test.c - every test in a process of its own, told as TAP
 */
#include "trial/runner.h"

#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/str.h"
#include "base/xalloc.h"
#include "tests/unit/trial/trial_test.h"

static char *said, *complained;

static int run(const char *const *files, size_t count, const char *policy)
{
	size_t lens[2];
	struct runner_options o;
	int code;

	free(said);
	free(complained);
	o = (struct runner_options){
	    .files = (char *const *)(uintptr_t)files,
	    .file_count = count,
	    .policy = policy,
	    .deadline_ms = 3000,
	    .out = open_memstream(&said, &lens[0]),
	    .err = open_memstream(&complained, &lens[1]),
	};
	code = runner_run(&o);
	(void)fclose(o.out);
	(void)fclose(o.err);
	return code;
}

/* One script without a policy. */
static int run_text(const char *text)
{
	char *script = xasprintf("local t = require 'penstock.test'\n%s", text);
	const char *file = write_file("script.lua", script);

	free(script);
	return run(&file, 1, NULL);
}

static void teardown(void)
{
	free(said);
	free(complained);
}

START_TEST(what_passed_and_what_failed)
{
	ck_assert_int_eq(run_text("x = 1\n"
				  "t.test('one # two', function()\n"
				  "  x = x + 1 t.eq(x, 2) print 'hello' end)\n"
				  "t.test('fresh', function()\n"
				  "  x = x + 1 t.eq(x, 2) end)\n"
				  "t.test('not', function() t.eq(1, 2) end)\n"),
	    1);
	ck_assert_ptr_nonnull(
	    strstr(said, "TAP version 13\n1..3\nok 1 - one \\# two\n# hello\n"
			 "ok 2 - fresh\nnot ok 3 - not\n  ---\n"
			 "  message: values differ\n  at: "));
	ck_assert_ptr_nonnull(
	    strstr(said, "script.lua:7\n  got: 1\n  want: 2\n  ...\n"));
	ck_assert_str_eq(complained, "");
}
END_TEST

START_TEST(all_passed_is_zero)
{
	ck_assert_int_eq(run_text("t.test('a', function() end)\n"), EX_OK);
	ck_assert_int_eq(run_text(""), EX_OK);
	ck_assert_str_eq(said, "TAP version 13\n1..0\n");
}
END_TEST

START_TEST(a_crash_is_one_failed_test)
{
	ck_assert_int_eq(
	    run_text("t.test('dies', function() os.exit(3, false) end)\n"
		     "t.test('lives', function() end)\n"),
	    1);
	ck_assert_ptr_nonnull(
	    strstr(said, "not ok 1 - dies\n  ---\n  message: its process "
			 "ended with code 3\n"));
	ck_assert_ptr_nonnull(strstr(said, "ok 2 - lives\n"));
}
END_TEST

/* A pattern that backtracks runs no hook. */
START_TEST(a_test_without_end_is_ended)
{
	ck_assert_int_eq(
	    run_text("t.test('hangs', { deadline = 0.2 }, function()\n"
		     "  string.find(('a'):rep(200), ('a-'):rep(60) .. 'b') "
		     "end)\n"),
	    1);
	ck_assert_ptr_nonnull(strstr(said, "and was ended\n"));
}
END_TEST

START_TEST(names_of_files_tell_them_apart)
{
	const char *files[] = {
	    write_file("a.lua", "require 'penstock.test'.test('x', "
				"function() end)"),
	    write_file("b.lua", "require 'penstock.test'.test('x', "
				"function() end)"),
	};

	ck_assert_int_eq(run(files, 2, NULL), EX_OK);
	ck_assert_ptr_nonnull(strstr(said, "/a.lua: x\n"));
	ck_assert_ptr_nonnull(strstr(said, "ok 2 - "));
	ck_assert_ptr_nonnull(strstr(said, "/b.lua: x\n"));
}
END_TEST

START_TEST(bad_scripts_are_usage_errors)
{
	const char *missing = "/no/such/script.lua";

	ck_assert_int_eq(run(&missing, 1, NULL), EX_USAGE);
	ck_assert_str_eq(complained,
	    "penstock: test: /no/such/script.lua: No such file or "
	    "directory\n");
	ck_assert_int_eq(run_text("t.test("), EX_USAGE);
	ck_assert_ptr_nonnull(strstr(complained, "script.lua:2: "));
	ck_assert_str_eq(said, "");
	ck_assert_int_eq(run_text("while true do end"), EX_USAGE);
	ck_assert_ptr_nonnull(
	    strstr(complained, "script.lua:2: the test ran over"));
}
END_TEST

START_TEST(a_bad_policy_is_a_configuration_error)
{
	const char *policy = write_file("policy.lua", "\nerror 'no'\n");
	const char *file = write_file("script.lua",
	    "local t = require 'penstock.test'\n"
	    "t.test('without', function() end)\n"
	    "t.test('with', function() t.connect() end)\n");

	ck_assert_int_eq(run(&file, 1, policy), EX_CONFIG);
	ck_assert_ptr_nonnull(strstr(said, "ok 1 - without\nBail out! "));
	ck_assert_ptr_nonnull(strstr(complained, "policy.lua:2: no"));
}
END_TEST

START_TEST(scratch_files_go)
{
	struct err e = {0};
	const char *file = write_file("script.lua", "");
	char *dir = scratch_make(&e), *deep = xasprintf("%s/a", dir);

	ck_assert_int_eq(mkdir(deep, 0700), 0);
	scratch_remove(dir);
	ck_assert_int_ne(access(dir, F_OK), 0);
	free(dir);
	free(deep);
	(void)setenv("TMPDIR", "/no/such/dir", 1);
	ck_assert_ptr_null(scratch_make(&e));
	ck_assert_int_eq(run(&file, 1, NULL), EX_OSERR);
	(void)unsetenv("TMPDIR");
}
END_TEST

TCase *runner_tests(void)
{
	TCase *tc = tcase_create("runner");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, what_passed_and_what_failed);
	tcase_add_test(tc, all_passed_is_zero);
	tcase_add_test(tc, a_crash_is_one_failed_test);
	tcase_add_test(tc, a_test_without_end_is_ended);
	tcase_add_test(tc, names_of_files_tell_them_apart);
	tcase_add_test(tc, bad_scripts_are_usage_errors);
	tcase_add_test(tc, a_bad_policy_is_a_configuration_error);
	tcase_add_test(tc, scratch_files_go);
	return tc;
}
