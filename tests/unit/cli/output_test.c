/* output_test.c - text from strangers on a terminal */
#include "cli_test.h"

#include "base/json.h"
#include "cli/output.h"

static char *written;
static size_t written_len;

static FILE *begin(void)
{
	return open_memstream(&written, &written_len);
}

static const char *end(FILE *out)
{
	(void)fclose(out);
	return written;
}

static const struct {
	const char *text, *want;
} texts[] = {
    {NULL, "-"},
    {"", ""},
    {"bob@example.com", "bob@example.com"},
    {"gr\xc3\xbc\xc3\x9f"
     "e",
	"gr\xc3\xbc\xc3\x9f"
	"e"},
    {"\x1b[2J\r\n\t\x7f", "\\x1b[2J\\x0d\\x0a\\x09\\x7f"},
    {"\xff\xc3", "\\xff\\xc3"},
    {"\xc2\x9b"
     "31m",
	"\\u{009b}31m"}, /* CSI as one character */
    {"moc\xe2\x80\xae"
     "exe",
	"moc\\u{202e}exe"},
};

START_TEST(nothing_drives_the_terminal)
{
	FILE *out = begin();

	out_text(out, texts[_i].text);
	ck_assert_str_eq(end(out), texts[_i].want);
}
END_TEST

START_TEST(json_drives_it_neither)
{
	struct buf json = BUF_INIT;
	FILE *out = begin();

	buf_addstr(&json, "[\"\xc2\x9b\"]");
	out_json(out, &json);
	buf_release(&json);
	ck_assert_str_eq(end(out), "[\"\\u009b\"]\n");
}
END_TEST

static const struct {
	int64_t bytes;
	const char *want;
} sizes[] = {{0, "0"}, {999, "999"}, {1000, "1.0 kB"}, {9949, "9.9 kB"},
    {9999, "10 kB"}, {999499, "999 kB"}, {999999, "1.0 MB"},
    {52428800, "52 MB"}, {INT64_C(1000000000000), "1.0 TB"}};

START_TEST(sizes_are_short)
{
	char text[24];

	ck_assert_str_eq(out_size(text, sizes[_i].bytes), sizes[_i].want);
}
END_TEST

START_TEST(members_are_aligned_and_times_are_read)
{
	static const char json[] =
	    "{\"pid\":7,\"started_at\":1678069691,\"next_due\":\"x\","
	    "\"next_due_at\":1678069691,\"made\":\"x\",\"made_ms\":"
	    "1678069691000,\"longest_ms\":12,\"ok\":true,"
	    "\"none\":null,\"writer\":{\"waiting\":3},\"said\":\"a\\u001b\"}";
	struct arena *arena = arena_new(0);
	struct value map;
	struct err err = {0};
	FILE *out;

	ck_assert(json_parse(json, sizeof json - 1, arena, &map, &err));
	out = begin();
	out_members(out, &map, 2);
	ck_assert_str_eq(end(out), "  pid:      7\n"
				   "  started:  2023-03-06 02:28:11\n"
				   "  next due: 2023-03-06 02:28:11\n"
				   "  made:     2023-03-06 02:28:11\n"
				   "  longest:  12 ms\n"
				   "  ok:       yes\n"
				   "  none:     -\n"
				   "  writer:\n"
				   "      waiting: 3\n"
				   "  said:     a\\x1b\n");
	arena_unref(arena);
}
END_TEST

Suite *output_suite(void)
{
	Suite *suite = suite_create("output");
	TCase *tcase = tcase_create("output");

	tcase_add_loop_test(
	    tcase, nothing_drives_the_terminal, 0, COUNT(texts));
	tcase_add_test(tcase, json_drives_it_neither);
	tcase_add_loop_test(tcase, sizes_are_short, 0, COUNT(sizes));
	tcase_add_test(tcase, members_are_aligned_and_times_are_read);
	suite_add_tcase(suite, tcase);
	return suite;
}
