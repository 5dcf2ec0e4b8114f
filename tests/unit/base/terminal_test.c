/* terminal_test.c - text of strangers, fit for a terminal, there and back */
#include "base_test.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/terminal.h"

static const struct {
	const char *text, *shown, *exact; /* exact NULL: as it is shown */
} texts[] = {
    {"", "", NULL},
    {"bob@example.com", "bob@example.com", NULL},
    {"gr\xc3\xbc\xc3\x9f"
     "e",
	"gr\xc3\xbc\xc3\x9f"
	"e",
	NULL},
    {"\x1b[2J\r\n\t\x7f", "\\x1b[2J\\x0d\\x0a\\x09\\x7f", NULL},
    {"\xff\xc3", "\\xff\\xc3", NULL},
    /* CSI, as one byte and as one character */
    {"\x9b"
     "31m",
	"\\x9b31m", NULL},
    {"\xc2\x9b"
     "31m",
	"\\u{009b}31m", NULL},
    {"moc\xe2\x80\xae"
     "exe",
	"moc\\u{202e}exe", NULL},
    {"\xef\xbb\xbfx", "\\u{feff}x", NULL},
    /* what only looks like one of ours */
    {"\\x1b", "\\x1b", "\\x5cx1b"},
    {"\\x5cx1b", "\\x5cx1b", "\\x5cx5cx1b"},
    {"\\u{009b}", "\\u{009b}", "\\x5cu{009b}"},
    {"C:\\xa\\n\\\\ \\x41 \\x00 \\x1B \\u{41} \\u{0041} \\u{00fc} \\",
	"C:\\xa\\n\\\\ \\x41 \\x00 \\x1B \\u{41} \\u{0041} \\u{00fc} \\", NULL},
    /* a backslash before a control character */
    {"\\\x1b", "\\\\x1b", NULL},
    {"\\x1\x1b", "\\x1\\x1b", NULL},
};

START_TEST(nothing_drives_the_terminal)
{
	struct buf out = BUF_INIT;

	terminal_add(&out, texts[_i].text, strlen(texts[_i].text));
	ck_assert_str_eq(buf_str(&out), texts[_i].shown);
	buf_release(&out);
}
END_TEST

START_TEST(what_is_written_exactly_comes_back)
{
	const char *want = texts[_i].exact ? texts[_i].exact : texts[_i].shown;
	struct buf out = BUF_INIT;
	char *text;

	terminal_add_exact(&out, texts[_i].text, strlen(texts[_i].text));
	ck_assert_str_eq(buf_str(&out), want);
	text = strdup(buf_str(&out));
	terminal_restore(text);
	ck_assert_str_eq(text, texts[_i].text);
	free(text);
	buf_release(&out);
}
END_TEST

/* All texts of four of these bytes. */
START_TEST(no_text_is_lost_on_the_way)
{
	static const char bytes[] = "\\x5cu{09b}\x1b\xc2\x9b";
	enum { BASE = sizeof bytes - 1 };
	struct buf out = BUF_INIT;
	char text[8] = "", *back;

	for (int n = 0; n < BASE * BASE * BASE * BASE; n++) {
		for (int i = 0, rest = n; i < 4; i++, rest /= BASE)
			text[i] = bytes[rest % BASE];
		buf_reset(&out);
		terminal_add_exact(&out, text, 4);
		for (size_t i = 0; i < out.len; i++)
			ck_assert_int_ge((unsigned char)out.data[i], ' ');
		ck_assert(str_is_utf8(out.data, out.len));
		back = strdup(buf_str(&out));
		terminal_restore(back);
		ck_assert_str_eq(back, text);
		free(back);
	}
	buf_release(&out);
}
END_TEST

START_TEST(lines_stay_lines)
{
	static const char text[] = "one\r\n\ttwo\x1b\n\nthree";
	struct buf out = BUF_INIT;

	terminal_add_lines(&out, text, sizeof text - 1);
	ck_assert_str_eq(buf_str(&out), "one\n\ttwo\\x1b\n\nthree");
	buf_release(&out);
}
END_TEST

START_TEST(json_is_the_same_json)
{
	static const char json[] = "{\"a\":\"gr\xc3\xbc \xc2\x9b"
				   "31m\xe2\x80\xae\x7f\\n\"}";
	struct buf safe = BUF_INIT;

	terminal_add_json(&safe, json, sizeof json - 1);
	ck_assert_str_eq(buf_str(&safe),
	    "{\"a\":\"gr\xc3\xbc \\u009b31m\\u202e\\u007f\\n\"}");
	buf_reset(&safe);
	terminal_add_json(&safe, "\xff", 1);
	ck_assert_str_eq(buf_str(&safe), "\\ufffd");
	buf_release(&safe);
}
END_TEST

TCase *terminal_tests(void)
{
	TCase *t = tcase_create("terminal");

	tcase_add_loop_test(
	    t, nothing_drives_the_terminal, 0, (int)COUNT(texts));
	tcase_add_loop_test(
	    t, what_is_written_exactly_comes_back, 0, (int)COUNT(texts));
	tcase_add_test(t, no_text_is_lost_on_the_way);
	tcase_add_test(t, lines_stay_lines);
	tcase_add_test(t, json_is_the_same_json);
	return t;
}
