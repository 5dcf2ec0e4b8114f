/* line_endings_test.c - mail/line_endings.h */
#include "tests/unit/mail/mail_test.h"

#include "base/buf.h"
#include "mail/line_endings.h"

static const struct {
	const char *label, *text, *want;
} cases[] = {
    {"what is right stays", "A: b\r\n\r\nc\r\n", "A: b\r\n\r\nc\r\n"},
    {"a bare LF", "a\nb\r\n", "a\r\nb\r\n"},
    {"a bare CR", "a\rb\r\n", "a\r\nb\r\n"},
    {"two lines of CR", "a\r\rb\r\n", "a\r\n\r\nb\r\n"},
    {"CR CR LF", "a\r\r\n", "a\r\n\r\n"},
    {"LF CR", "a\n\rb", "a\r\n\r\nb"},
    {"a CR at the end", "a\r", "a\r\n"},
    {"a LF at the end", "a\n", "a\r\n"},
    {"no line end at the end", "a", "a"},
    {"nothing", "", ""},
};

static struct content *converted(const void *p, size_t len)
{
	struct content *c = content_from_bytes(p, len), *fixed;
	struct err err = {0};

	fixed = content_with_crlf(c, "/tmp", 1 << 20, &err);
	ck_assert_msg(fixed != NULL, "%s", err.text);
	content_unref(c);
	ck_assert(!content_facts(fixed)->has_bare_cr_or_lf);
	return fixed;
}

START_TEST(every_line_ends_in_crlf)
{
	struct content *c = converted(cases[_i].text, strlen(cases[_i].text));
	const char *bytes = content_bytes(c);
	size_t size = (size_t)content_facts(c)->size;

	ck_assert_msg(size == strlen(cases[_i].want) &&
			  (size == 0 || !memcmp(bytes, cases[_i].want, size)),
	    "%s", cases[_i].label);
	content_unref(c);
}
END_TEST

/* The pair may fall between two pieces of what is read. */
START_TEST(a_pair_is_one_wherever_it_stands)
{
	for (size_t before = 65534; before <= 65537; before++) {
		struct buf text = BUF_INIT;
		struct content *c;

		for (size_t i = 0; i < before; i++)
			buf_addch(&text, 'x');
		buf_addstr(&text, "\r\ny\nz");
		c = converted(text.data, text.len);
		ck_assert_int_eq(content_facts(c)->size, (int64_t)before + 6);
		content_unref(c);
		buf_release(&text);
	}
}
END_TEST

START_TEST(a_disk_that_refuses_is_an_error)
{
	struct content *c = content_from_bytes("a\nb\n", 4);
	struct err err = {0};

	ck_assert_ptr_null(content_with_crlf(c, "/nowhere", 1, &err));
	ck_assert_int_eq(err.class, ERR_TEMP);
	content_unref(c);
}
END_TEST

TCase *line_endings_tests(void)
{
	TCase *tc = tcase_create("line_endings");

	tcase_add_loop_test(tc, every_line_ends_in_crlf, 0,
	    (int)(sizeof cases / sizeof cases[0]));
	tcase_add_test(tc, a_pair_is_one_wherever_it_stands);
	tcase_add_test(tc, a_disk_that_refuses_is_an_error);
	return tc;
}
