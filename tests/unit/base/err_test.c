/* err_test.c - base/err.h */
#include "tests/unit/base/base_test.h"

#include <errno.h>

#include "base/err.h"

START_TEST(reads_from_the_outside_in)
{
	struct err err = {0};

	ck_assert(!err_set(&err, ERR_TEMP, "expected %d", 5));
	ck_assert(!err_prefix(&err, "ttl"));
	ck_assert(
	    !err_prefix(&err, "policy.lua: get_egress_source(\"%s\")", "a"));
	ck_assert_str_eq(
	    err.text, "policy.lua: get_egress_source(\"a\"): ttl: expected 5");
	ck_assert_int_eq(err.class, ERR_TEMP);
}
END_TEST

START_TEST(says_what_errno_means)
{
	struct err err = {0};

	errno = ENOENT;
	ck_assert(!err_errno(&err, ERR_CONFIG, "open %s", "x"));
	ck_assert_str_eq(err.text, "open x: No such file or directory");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(err_exit_code(&err), 78);
	ck_assert_str_eq(err_class_name(err.class), "configuration");
}
END_TEST

START_TEST(cuts_what_is_too_long)
{
	struct err err = {0};

	(void)err_set(&err, ERR_PERM, "%2000d", 1);
	(void)err_prefix(&err, "%1500d", 1);
	(void)err_errno(&err, ERR_PERM, "%1500d", 1);
	ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
	(void)err_prefix(NULL, "nobody listens");
}
END_TEST

TCase *err_tests(void)
{
	TCase *tc = tcase_create("err");

	tcase_add_test(tc, reads_from_the_outside_in);
	tcase_add_test(tc, says_what_errno_means);
	tcase_add_test(tc, cuts_what_is_too_long);
	return tc;
}
