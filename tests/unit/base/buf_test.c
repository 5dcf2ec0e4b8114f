/* buf_test.c - base/buf.h, base/array.h */
#include "tests/unit/base/base_test.h"

#include <limits.h>

#include "base/array.h"
#include "base/buf.h"

START_TEST(an_empty_one_is_an_empty_string)
{
	struct buf buf = BUF_INIT;
	size_t len = 7;
	char *s;

	ck_assert_str_eq(buf_str(&buf), "");
	buf_consume(&buf, 0);
	buf_reset(&buf);
	s = buf_take(&buf, &len);
	ck_assert_str_eq(s, "");
	ck_assert_uint_eq(len, 0);
	free(s);
	buf_release(&buf);
}
END_TEST

START_TEST(pieces_add_up)
{
	struct buf buf = BUF_INIT;

	buf_addstr(&buf, "ab");
	buf_addch(&buf, 'c');
	buf_add(&buf, "\0d", 2);
	buf_addf(&buf, "%0100d", 1);
	ck_assert_uint_eq(buf.len, 105);
	ck_assert_mem_eq(buf.data, "abc\0d0", 6);
	ck_assert_int_eq(buf.data[buf.len], '\0');
	buf_consume(&buf, 104);
	ck_assert_str_eq(buf_str(&buf), "1");
	buf_release(&buf);
}
END_TEST

START_TEST(prints_every_integer)
{
	struct buf buf = BUF_INIT;

	buf_addint(&buf, 0);
	buf_addch(&buf, ' ');
	buf_addint(&buf, LLONG_MAX);
	buf_addch(&buf, ' ');
	buf_addint(&buf, LLONG_MIN);
	ck_assert_str_eq(
	    buf_str(&buf), "0 9223372036854775807 -9223372036854775808");
	buf_release(&buf);
}
END_TEST

START_TEST(an_array_grows_by_itself)
{
	struct {
		int *items;
		size_t count, size;
	} a = {0};

	for (int i = 0; i < 1000; i++)
		*ARRAY_ADD(&a) = i;
	ck_assert_uint_eq(a.count, 1000);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(a.items[i], i);
	ARRAY_FREE(&a);
	ck_assert_ptr_null(a.items);
}
END_TEST

TCase *buf_tests(void)
{
	TCase *tc = tcase_create("buf");

	tcase_add_test(tc, an_empty_one_is_an_empty_string);
	tcase_add_test(tc, pieces_add_up);
	tcase_add_test(tc, prints_every_integer);
	tcase_add_test(tc, an_array_grows_by_itself);
	return tc;
}
