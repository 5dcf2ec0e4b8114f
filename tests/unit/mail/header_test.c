/* header_test.c - mail/header.h */
#include "tests/unit/mail/mail_test.h"

#include "mail/header.h"

START_TEST(fields_are_read_as_they_stand)
{
	static const char block[] =
	    "Subject: a\r\n b\r\nX-No value\r\n\tmore\r\n"
	    "To :c\nEmpty:\r\n\r\nNot: this\r\n";
	struct header_field f;
	size_t pos = 0, len = sizeof block - 1;

	ck_assert(header_next(block, len, &pos, &f));
	ck_assert(header_name_is(&f, "SUBJECT") && !header_name_is(&f, "Sub"));
	ck_assert_mem_eq(f.value, " a\r\n b", f.value_len);
	ck_assert_uint_eq(f.value_len, 6);
	ck_assert_uint_eq(f.offset, 0);
	ck_assert_uint_eq(f.len, 16);
	ck_assert(header_next(block, len, &pos, &f));
	ck_assert(header_name_is(&f, "To"));
	ck_assert_uint_eq(f.value_len, 1);
	ck_assert(header_next(block, len, &pos, &f));
	ck_assert(header_name_is(&f, "Empty"));
	ck_assert_uint_eq(f.value_len, 0);
	ck_assert(!header_next(block, len, &pos, &f));
	ck_assert_mem_eq(block + pos, "\r\nNot", 5);
}
END_TEST

static const struct {
	const char *raw, *want;
} values[] = {
    {" plain", "plain"},
    {"", ""},
    {"  folded\r\n\ttwice\r\n over  ", "folded\ttwice over"},
    {" =?UTF-8?Q?=C3=A4_b?=", "\xc3\xa4 b"},
    {" =?utf-8?b?w6Q=?=", "\xc3\xa4"},
    {" a =?utf-8?q?b?= c", "a b c"},
    {" =?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"},
    {" =?utf-8?q?a?=\r\n =?iso-8859-1?q?=E4?=", "a\xc3\xa4"},
    {" =?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\xc3\xa4"},
    {" =?ISO-8859-1*de?Q?=FC?= x", "\xc3\xbc x"},
    {" =?windows-1252?Q?=80?=", "\xe2\x82\xac"},
    {" \"=?utf-8?q?a?=\"", "\"a\""},
    {" =?no-such-charset?q?a?= b", "=?no-such-charset?q?a?= b"},
    {" =?utf-8?q?=FF?=", "=?utf-8?q?=FF?="},
    {" =?utf-8?q?=C?=", "=?utf-8?q?=C?="},
    {" =?utf-8?b?w6?=", "=?utf-8?b?w6?="},
    {" =?utf-8?x?a?=", "=?utf-8?x?a?="},
    {" =?utf-8?q?a b?=", "=?utf-8?q?a b?="},
    {" =?", "=?"},
    {" =?utf-8?q?", "=?utf-8?q?"},
    {" =?utf-8?q?\?= x", " x"},
    {" =?UTF-8//IGNORE?q?a?=", "=?UTF-8//IGNORE?q?a?="},
    {" raw \xff", "raw \xff"},
};

START_TEST(values_are_decoded_or_left)
{
	struct arena *arena = arena_new(0);
	struct header_field f = {
	    .value = values[_i].raw, .value_len = strlen(values[_i].raw)};

	ck_assert_str_eq(header_decode(&f, arena), values[_i].want);
	arena_unref(arena);
}
END_TEST

static const char *const texts[] = {
    "",
    "plain",
    "a =?utf-8?q?b?= c",
    " blanks at the ends ",
    "two  blanks",
    "caf\u00e9",
    "line\r\nend",
    "\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc"
    "\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc\u00e4\u00f6\u00fc",
    "a long text of plain words that is folded where a blank stands, and more "
    "than once because it goes on and on and on and on until the end",
    "averyveryveryveryveryveryveryveryveryveryveryveryveryveryverylongword_"
    "of_more_than_75_columns and another",
};

START_TEST(what_is_encoded_is_decoded_to_the_same)
{
	struct arena *arena = arena_new(0);
	struct buf out = BUF_INIT, raw = BUF_INIT;
	struct err err = {0};
	struct header_field f;
	size_t column = strlen("Subject: ");

	ck_assert(
	    header_encode("Subject", texts[_i], strlen(texts[_i]), &out, &err));
	for (const char *p = buf_str(&out); *p; p++) {
		ck_assert(!(*p & 0x80));
		column = *p == '\n' ? 0 : column + 1;
		ck_assert(column <= 77 || !strchr(texts[_i], '\n'));
	}
	buf_addf(&raw, " %s", buf_str(&out));
	f = (struct header_field){.value = raw.data, .value_len = raw.len};
	ck_assert_str_eq(header_decode(&f, arena), texts[_i]);
	ck_assert(!header_encode("Subject", "\xff", 1, &out, &err));
	buf_release(&out);
	buf_release(&raw);
	arena_unref(arena);
}
END_TEST

TCase *header_tests(void)
{
	TCase *tc = tcase_create("header");

	tcase_add_test(tc, fields_are_read_as_they_stand);
	tcase_add_loop_test(tc, values_are_decoded_or_left, 0, COUNT(values));
	tcase_add_loop_test(
	    tc, what_is_encoded_is_decoded_to_the_same, 0, COUNT(texts));
	return tc;
}
