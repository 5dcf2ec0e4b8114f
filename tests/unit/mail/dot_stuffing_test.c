/* dot_stuffing_test.c - mail/dot_stuffing.h */
#include "tests/unit/mail/mail_test.h"

#include "base/xalloc.h"
#include "mail/dot_stuffing.h"

static const struct {
	const char *label, *in, *out;
	bool added;
} cases[] = {
    {"plain lines", "a\r\nb\r\n", "a\r\nb\r\n.\r\n", false},
    {"nothing", "", ".\r\n", false},
    {"no last line end", "a", "a\r\n.\r\n", true},
    {"half a last line end", "a\r", "a\r\n.\r\n", true},
    {"a dot at the start", ".a\r\n", "..a\r\n.\r\n", false},
    {"only dots", ".\r\n..\r\n", "..\r\n...\r\n.\r\n", false},
    {"a dot at the end", ".", "..\r\n.\r\n", true},
    {"dots inside", "a.b.\r\n", "a.b.\r\n.\r\n", false},
    {"an end of data that is none", "a\n.\nb\r\n", "a\r\n..\r\nb\r\n.\r\n",
	false},
    {"one with CR", "a\r.\rb\r\n", "a\r\n..\r\nb\r\n.\r\n", false},
    {"mixed ends", "a\r\n.\nb\r\n", "a\r\n..\r\nb\r\n.\r\n", false},
    {"CR CR LF", "a\r\r\nb\r\n", "a\r\n\r\nb\r\n.\r\n", false},
    {"empty lines", "\r\n\r\n.\r\n", "\r\n\r\n..\r\n.\r\n", false},
};

START_TEST(data_ends_only_once)
{
	size_t len = strlen(cases[_i].in);

	for (size_t chunk = 1; chunk <= len + 1; chunk++) {
		struct dot_stuffing state;
		struct buf out = BUF_INIT;

		dot_stuffing_init(&state);
		for (size_t i = 0; i < len; i += chunk)
			dot_stuffing_add(&state, &out, cases[_i].in + i,
			    len - i < chunk ? len - i : chunk);
		ck_assert(dot_stuffing_end(&state, &out) == cases[_i].added);
		ck_assert_msg(strcmp(buf_str(&out), cases[_i].out) == 0,
		    "%s, chunks of %zu", cases[_i].label, chunk);
		buf_release(&out);
	}
}
END_TEST

/* A search of the rest for each line would take minutes. */
START_TEST(bare_line_ends_cost_what_other_bytes_cost)
{
	static const char ends[] = {'\n', '\r'};
	size_t len = (size_t)4 << 20;
	char *text = xmalloc(len);
	struct dot_stuffing state;
	struct buf out = BUF_INIT;

	memset(text, ends[_i], len);
	dot_stuffing_init(&state);
	dot_stuffing_add(&state, &out, text, len);
	ck_assert(dot_stuffing_end(&state, &out) == (ends[_i] == '\r'));
	ck_assert_uint_eq(out.len, 2 * len + 3);
	buf_release(&out);
	free(text);
}
END_TEST

TCase *dot_stuffing_tests(void)
{
	TCase *tc = tcase_create("dot_stuffing");

	tcase_add_loop_test(tc, data_ends_only_once, 0, COUNT(cases));
	tcase_add_loop_test(
	    tc, bare_line_ends_cost_what_other_bytes_cost, 0, 2);
	return tc;
}
