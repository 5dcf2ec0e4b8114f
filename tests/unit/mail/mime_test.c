/* mime_test.c - mail/mime.h */
#include "tests/unit/mail/mail_test.h"

#include "base/buf.h"
#include "mail/mime.h"

static const struct {
	const char *label, *header, *type, *boundary, *report_type, *charset;
} types[] = {
    {"no field", "To: a@b.test\r\n", "", NULL, NULL, NULL},
    {"any case, quoted",
	"content-type: Multipart/REPORT;\r\n\tBoundary=\"a b\"; "
	"Report-Type=delivery-status\r\n",
	"multipart/report", "a b", "delivery-status", NULL},
    {"special characters without quotes",
	"Content-Type: multipart/report; boundary=----=_Part/1:2?3\n",
	"multipart/report", "----=_Part/1:2?3", NULL, NULL},
    {"comments and continued parameters (RFC 2231)",
	"Content-Type: multipart/report (a b);\r\n boundary*0=\"ab\";\r\n"
	" boundary*1=\"cd\"\r\n",
	"multipart/report", "abcd", NULL, NULL},
    {"empty parameters", "Content-Type: text/plain;; charset=x;\n",
	"text/plain", NULL, NULL, "x"},
    {"the first field counts",
	"Content-Type: text/plain\nContent-Type: text/html\n", "text/plain",
	NULL, NULL, NULL},
    {"an empty boundary is none",
	"Content-Type: multipart/report; boundary=\"\"\n", "multipart/report",
	NULL, NULL, NULL},
    {"a boundary ends before its last space",
	"Content-Type: multipart/report; boundary=\"a b \"\n",
	"multipart/report", "a b", NULL, NULL},
    {"folded before the type", "Content-Type:\r\n\tmultipart/report\r\n",
	"multipart/report", NULL, NULL, NULL},
};

START_TEST(a_type_is_read)
{
	struct arena *arena = arena_new(0);
	struct mime_type t;

	mime_type_parse(types[_i].header, strlen(types[_i].header), arena, &t);
	ck_assert_msg(strcmp(t.type, types[_i].type) == 0, "%s: %s",
	    types[_i].label, t.type);
	ck_assert_pstr_eq(t.boundary, types[_i].boundary);
	ck_assert_pstr_eq(t.report_type, types[_i].report_type);
	ck_assert_pstr_eq(t.charset, types[_i].charset);
	arena_unref(arena);
}
END_TEST

#define PARTS_MOST 4
static const struct {
	const char *label, *body;
	const char *parts[PARTS_MOST]; /* their bodies */
} splits[] = {
    {"two, with preamble and epilogue",
	"pre\r\n--x\r\nA: b\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\nepi\r\n",
	{"one", "two"}},
    {"LF", "--x\nA: b\n\none\n\n--x--\n", {"one\n"}},
    {"white space after the boundary", "--x \t\r\n\r\none\r\n--x-- \r\n",
	{"one"}},
    {"another boundary that begins with it",
	"--x\n\n--xy\n\n--x-y\n--xy--\n--x--\n", {"--xy\n\n--x-y\n--xy--"}},
    {"without an end", "--x\r\n\r\none\r\n--x\r\n\r\ntwo\r\n",
	{"one", "two\r\n"}},
    {"nothing after the end", "--x\n\none\n--x--\n--x\n\ntwo\n--x--\n",
	{"one"}},
    {"an empty line with blanks in it ends a header",
	"--x\nA: b\n \none\n--x\nA: b\r\n\t\r\nC: d\n--x--\n", {"one", "C: d"}},
    {"unless the field goes on, or the header ends behind it",
	"--x\nA: b;\n \n c\n\none\n--x\nA: b\n \n\ntwo\n--x--\n",
	{"one", "two"}},
    {"a part that begins with blanks", "--x\n \nA: b\n\none\n--x--\n", {"one"}},
    {"a short boundary that is indented is text", "--x\n\n --x\n--x--\n",
	{" --x"}},
    {"an empty part", "--x\n--x--\n", {""}},
    {"only the end", "--x--\n", {NULL}},
    {"never", "text\n", {NULL}},
};

START_TEST(parts_are_split)
{
	struct arena *arena = arena_new(0);
	const char *body = splits[_i].body;
	struct mime_part *parts;
	size_t count, want = 0;

	while (want < PARTS_MOST && splits[_i].parts[want])
		want++;
	ck_assert_msg(mime_split(body, strlen(body), "x", arena, &parts,
			  &count) == (want > 0),
	    "%s", splits[_i].label);
	ck_assert_msg(count == want, "%s: %zu", splits[_i].label, count);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(
		    parts[i].body_len, strlen(splits[_i].parts[i]));
		ck_assert_mem_eq(
		    parts[i].body, splits[_i].parts[i], parts[i].body_len);
	}
	arena_unref(arena);
}
END_TEST

START_TEST(parts_without_number_are_refused)
{
	struct arena *arena = arena_new(0);
	struct buf body = BUF_INIT;
	struct mime_part *parts;
	size_t count;

	for (int i = 0; i < MIME_PARTS_MOST; i++)
		buf_addstr(&body, "--x\n\n\n");
	ck_assert(mime_split(body.data, body.len, "x", arena, &parts, &count));
	ck_assert_uint_eq(count, MIME_PARTS_MOST);
	buf_addstr(&body, "--x\n\n\n");
	ck_assert(!mime_split(body.data, body.len, "x", arena, &parts, &count));
	buf_addstr(&body, "--x--\n");
	ck_assert(!mime_split(body.data, body.len, "x", arena, &parts, &count));
	buf_release(&body);
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *label, *part, *want;
} texts[] = {
    {"as it is", "\r\na=3Db\r\n", "a=3Db\r\n"},
    {"quoted-printable",
	"Content-Transfer-Encoding: Quoted-Printable\r\n\r\na=3Db=\r\nc\r\n",
	"a=bc\r\n"},
    {"base64", "content-transfer-encoding: BASE64\n\nYWJj\nZGVm\n", "abcdef"},
    {"base64 with rubbish in it",
	"Content-Transfer-Encoding: base64\n\nYW-Jj!\n", "abc"},
    {"an encoding that is none", "Content-Transfer-Encoding: x-mine\n\nYWJj",
	"YWJj"},
    {"a charset", "Content-Type: text/plain; charset=koi8-r\n\n\xf0\xf2\xe9",
	"ПРИ"},
    {"two bytes a letter",
	"Content-Type: text/plain; charset=utf-16be\n"
	"Content-Transfer-Encoding: base64\n\nAGEAYg==",
	"ab"},
    {"a charset that nobody knows",
	"Content-Type: text/plain; charset=x-klingon\n\n\xfcmlaut", "ümlaut"},
    {"eight bits without a charset", "\n\xfcmlaut", "ümlaut"},
    {"a charset that is not true",
	"Content-Type: text/plain; charset=us-ascii\n\nümlaut", "ümlaut"},
    {"nothing", "Content-Transfer-Encoding: base64\n\n", ""},
};

START_TEST(text_is_decoded)
{
	struct arena *arena = arena_new(0);
	struct buf body = BUF_INIT;
	struct mime_part *parts;
	size_t count, len;
	char *text;

	buf_addf(&body, "--x\n%s\n--x--\n", texts[_i].part);
	ck_assert(mime_split(body.data, body.len, "x", arena, &parts, &count));
	text = mime_text(&parts[0], 1000, arena, &len);
	ck_assert_msg(
	    strcmp(text, texts[_i].want) == 0, "%s: %s", texts[_i].label, text);
	ck_assert_uint_eq(len, strlen(text));
	buf_release(&body);
	arena_unref(arena);
}
END_TEST

TCase *mime_tests(void)
{
	TCase *tc = tcase_create("mime");

	tcase_add_loop_test(tc, a_type_is_read, 0, COUNT(types));
	tcase_add_loop_test(tc, parts_are_split, 0, COUNT(splits));
	tcase_add_test(tc, parts_without_number_are_refused);
	tcase_add_loop_test(tc, text_is_decoded, 0, COUNT(texts));
	return tc;
}
