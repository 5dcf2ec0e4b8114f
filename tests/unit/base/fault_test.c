/* fault_test.c - base/fault.h */
#include "tests/unit/base/base_test.h"

#include <signal.h>

#include "base/fault.h"
#include "base/fd.h"

START_TEST(names_are_unique_and_explained)
{
	for (size_t i = 0; i < fault_row_count; i++) {
		ck_assert_ptr_nonnull(strchr(fault_rows[i].name, '.'));
		ck_assert_uint_gt(strlen(fault_rows[i].what), 10);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(
			    fault_rows[i].name, fault_rows[j].name);
	}
}
END_TEST

#ifdef ENABLE_DEVEL
START_TEST(only_the_ordered_pass_fails)
{
	ck_assert_int_eq(
	    setenv("PENSTOCK_FAULT",
		"queue.commit-fails:2:error,log.before-write:0:error", 1),
	    0);
	ck_assert(!FAULT_POINT("queue.commit-fails"));
	ck_assert(FAULT_POINT("queue.commit-fails"));
	ck_assert(!FAULT_POINT("queue.commit-fails"));
	ck_assert(!FAULT_POINT("queue.checkpoint"));
	ck_assert(FAULT_POINT("log.before-write"));
	ck_assert(FAULT_POINT("log.before-write"));
}
END_TEST

START_TEST(kill_kills)
{
	ck_assert_int_eq(
	    setenv("PENSTOCK_FAULT", "queue.checkpoint:1:kill", 1), 0);
	(void)FAULT_POINT("queue.checkpoint");
}
END_TEST

START_TEST(what_was_passed_is_noted)
{
	struct err err = {0};
	char path[100], *text;

	(void)snprintf(path, sizeof path, "%s/faults", scratch_dir());
	ck_assert_int_eq(setenv("PENSTOCK_FAULT_LOG", path, 1), 0);
	(void)FAULT_POINT("log.before-write");
	(void)FAULT_POINT("log.after-write");
	text = fd_read_file(path, 1000, NULL, &err);
	ck_assert_str_eq(text, "log.before-write\nlog.after-write\n");
	free(text);
}
END_TEST

/* What is said on the way out is not for whoever runs the tests. */
static void hush(void)
{
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

START_TEST(a_name_that_is_not_in_the_table_is_a_bug)
{
	hush();
	(void)FAULT_POINT("no.such-point");
}
END_TEST

static const char *const nonsense[] = {"queue.checkpoint", "no.such:1:kill",
    "queue.checkpoint:x:kill", "queue.checkpoint:1:explode"};

START_TEST(nonsense_in_the_environment_is_refused)
{
	hush();
	ck_assert_int_eq(setenv("PENSTOCK_FAULT", nonsense[_i], 1), 0);
	(void)FAULT_POINT("queue.checkpoint");
}
END_TEST
#endif

TCase *fault_tests(void)
{
	TCase *tc = tcase_create("fault");

	tcase_add_test(tc, names_are_unique_and_explained);
#ifdef ENABLE_DEVEL
	tcase_add_test(tc, only_the_ordered_pass_fails);
	tcase_add_test_raise_signal(tc, kill_kills, SIGKILL);
	tcase_add_test(tc, what_was_passed_is_noted);
	tcase_add_exit_test(tc, a_name_that_is_not_in_the_table_is_a_bug, 70);
	tcase_add_loop_exit_test(
	    tc, nonsense_in_the_environment_is_refused, 70, 0, COUNT(nonsense));
#endif
	return tc;
}
