/*
 * report_test.c - mail/report_dsn.h, report_arf.h
 *
 * tests/data/reports/NAME.eml are reports as they come, each with what has to
 * come out of it beside it, NAME.json:
 *
 *	is      "oob", "feedback", "malformed" (ordinary mail that calls itself
 *		a report) or "none"
 *	why     of what is malformed
 *	report  what msg:parse_rfc3464() or parse_rfc5965() returns
 *	oob     for each recipient that failed, what the OOB record says
 *
 * REPORTS_WRITE=1 writes the .json files anew; read the difference.
 */
#include "tests/unit/mail/mail_test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "mail/report_arf.h"
#include "mail/report_dsn.h"

static void add_oob(
    struct json_object *o, const struct dsn *dsn, struct arena *arena)
{
	const char *separator = "";

	json_key(o, "oob");
	buf_addch(o->buf, '[');
	for (size_t i = 0; i < dsn->count; i++) {
		const struct dsn_recipient *r = &dsn->recipients[i];
		struct smtp_reply reply = dsn_reply(r, arena);
		struct json_object record;

		if (r->action != REPORT_FAILED)
			continue;
		buf_addstr(o->buf, separator);
		separator = ",";
		json_open(&record, o->buf);
		json_add_string(&record, "recipient", dsn_blames(r));
		json_add_int(&record, "code", reply.code);
		json_key(&record, "enhanced_code");
		buf_addf(o->buf, "\"%d.%d.%d\"", reply.enhanced[0],
		    reply.enhanced[1], reply.enhanced[2]);
		json_add_string(&record, "content", reply.text);
		json_add_string(&record, "peer_name", dsn->reporting_mta.name);
		json_close(&record);
	}
	buf_addch(o->buf, ']');
}

/* As the milter looks at it where both sorts are logged. */
static void describe(
    const char *data, size_t len, struct arena *arena, struct buf *out)
{
	struct report report;
	struct json_object o;
	struct value v;
	struct arf arf;
	struct dsn dsn;
	struct err err = {0};

	json_open(&o, out);
	if (!report_open(data, len, arena, &report)) {
		json_add_string(&o, "is", "none");
	} else if (arf_parse(&report, arena, &arf, NULL) == REPORT_READ) {
		v = arf_value(&arf, &report, arena);
		json_add_string(&o, "is", "feedback");
		json_add_value(&o, "report", &v);
	} else if (dsn_parse(&report, arena, &dsn, &err) == REPORT_READ) {
		v = dsn_value(&dsn, &report, arena);
		json_add_string(&o, "is", "oob");
		json_add_value(&o, "report", &v);
		add_oob(&o, &dsn, arena);
	} else {
		if (arf_parse(&report, arena, &arf, NULL) == REPORT_MALFORMED)
			ck_assert_int_eq(arf_parse(&report, arena, &arf, &err),
			    REPORT_MALFORMED);
		json_add_string(&o, "is", "malformed");
		json_add_string(&o, "why", err.text);
	}
	json_close(&o);
}

static char *in_reports(const char *name, struct arena *arena)
{
	const char *top = getenv("top_srcdir");

	return arena_printf(
	    arena, "%s/tests/data/reports/%s", top ? top : ".", name);
}

static void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	char chunk[4096];
	size_t n;

	ck_assert_msg(f != NULL, "%s: cannot be opened", path);
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
		buf_add(out, chunk, n);
	(void)fclose(f);
}

/* With each line end as LF or CRLF. */
static void with_line_ends(
    const struct buf *in, const char *line_end, struct buf *out)
{
	for (size_t i = 0; i < in->len; i++) {
		if (in->data[i] == '\n')
			buf_addstr(out, line_end);
		else if (in->data[i] != '\r' || i + 1 == in->len ||
			 in->data[i + 1] != '\n')
			buf_addch(out, in->data[i]);
	}
}

static void write_expected(const char *path, const struct buf *text)
{
	FILE *f = fopen(path, "wb");

	ck_assert_msg(f != NULL, "%s: cannot be written", path);
	ck_assert_uint_eq(fwrite(text->data, 1, text->len, f), text->len);
	ck_assert_int_eq(fclose(f), 0);
}

static void check_fixture(const char *eml)
{
	static const char *const line_ends[] = {"\n", "\r\n"};
	struct arena *arena = arena_new(0);
	char *path = in_reports(eml, arena);
	struct buf data = BUF_INIT, json = BUF_INIT, want = BUF_INIT;
	struct value expected;
	struct err err = {0};

	read_file(path, &data);
	path = arena_printf(
	    arena, "%.*s.json", (int)(strlen(path) - strlen(".eml")), path);
	if (getenv("REPORTS_WRITE")) {
		describe(data.data, data.len, arena, &json);
		buf_addch(&json, '\n');
		write_expected(path, &json);
		buf_reset(&json);
	}
	read_file(path, &json);
	ck_assert_msg(json_parse(json.data, json.len, arena, &expected, &err),
	    "%s: %s", path, err.text);
	json_write(&want, &expected);
	for (size_t i = 0; i < COUNT(line_ends); i++) {
		struct buf text = BUF_INIT, got = BUF_INIT;

		with_line_ends(&data, line_ends[i], &text);
		describe(text.data, text.len, arena, &got);
		ck_assert_msg(strcmp(got.data, want.data) == 0,
		    "%s (%s):\n got %s\nwant %s", eml, i ? "CRLF" : "LF",
		    got.data, want.data);
		buf_release(&text);
		buf_release(&got);
	}
	buf_release(&data);
	buf_release(&json);
	buf_release(&want);
	arena_unref(arena);
}

START_TEST(reports_are_read_as_they_come)
{
	struct arena *arena = arena_new(0);
	DIR *dir = opendir(in_reports("", arena));
	struct dirent *entry;
	size_t count = 0;

	ck_assert_msg(dir != NULL, "no tests/data/reports");
	while ((entry = readdir(dir))) {
		if (!str_ends(entry->d_name, ".eml"))
			continue;
		check_fixture(entry->d_name);
		count++;
	}
	(void)closedir(dir);
	ck_assert_uint_ge(count, 160);
	arena_unref(arena);
}
END_TEST

/* ---- single fields ---- */

static const char head[] = "Content-Type: multipart/report; boundary=x\n\n--x\n"
			   "Content-Type: message/delivery-status\n\n";
#define MTA "Reporting-MTA: dns; a.test\n\n"
#define BOB "Final-Recipient: rfc822; bob@b.test\n"
#define FAILED "Action: failed\nStatus: 5.1.1\n"

static const struct {
	const char *label, *fields;
	const char *blames, *diagnostic; /* blames NULL: malformed */
	int code;
} dsns[] = {
    {"the least that is one", MTA BOB FAILED, "bob@b.test", "", 550},
    {"case 91: an answer in SMTP",
	MTA BOB FAILED "Diagnostic-Code: smtp; 550 5.1.1 no such user\n",
	"bob@b.test", "5.1.1 no such user", 550},
    {"case 91: another code", MTA BOB FAILED "Diagnostic-Code: SMTP;421 busy\n",
	"bob@b.test", "busy", 421},
    {"text without a code", MTA BOB FAILED "Diagnostic-Code: smtp; gone\n",
	"bob@b.test", "gone", 550},
    {"a line of several",
	MTA BOB FAILED "Diagnostic-Code: smtp; 451-4.1.1 no\n", "bob@b.test",
	"451-4.1.1 no", 550},
    {"another type of diagnostic",
	MTA BOB FAILED "Diagnostic-Code: X-Unix; 69\n", "bob@b.test", "", 550},
    {"case 92: capitals",
	"REPORTING-MTA: DNS; a.test\n\n"
	"FINAL-RECIPIENT: RFC822; bob@b.test\nACTION: Failed\nSTATUS: 5.1.1\n",
	"bob@b.test", "", 550},
    {"the original recipient goes first",
	MTA "Original-Recipient: rfc822;ann@a.test\n" BOB FAILED, "ann@a.test",
	"", 550},
    {"an original recipient that names nobody",
	MTA "Original-Recipient: rfc822;\n" BOB FAILED, "bob@b.test", "", 550},
    {"an original recipient that is no address blames nobody",
	MTA "Original-Recipient: rfc822; a@b@c\n" BOB FAILED, NULL, NULL, 0},
    {"a final recipient that is no address",
	MTA "Final-Recipient: rfc822; bob smith\n" FAILED, NULL, NULL, 0},
    {"the null address", MTA "Final-Recipient: rfc822; <>\n" FAILED, NULL, NULL,
	0},
    {"the null address, and an original recipient",
	MTA
	"Final-Recipient: rfc822; <>\nOriginal-Recipient: ann@a.test\n" FAILED,
	"ann@a.test", "", 550},
    {"a name before the address",
	MTA "Final-Recipient: rfc822; \"b@x.test, Bob\" <bob@b.test>\n" FAILED,
	"bob@b.test", "", 550},
    {"an address before itself",
	MTA "Final-Recipient: rfc822; Bob@B.test <bob@b.test>\n" FAILED,
	"bob@b.test", "", 550},
    {"an address before another one blames nobody",
	MTA "Final-Recipient: rfc822; ann@b.test <bob@b.test>\n" FAILED, NULL,
	NULL, 0},
    {"two addresses in brackets blame nobody",
	MTA "Final-Recipient: rfc822; <ann@b.test>, <bob@b.test>\n" FAILED,
	NULL, NULL, 0},
    {"comments after the address",
	MTA
	"Final-Recipient: rfc822; bob@b.test (was (once) a\\)) (b)\n" FAILED,
	"bob@b.test", "", 550},
    {"an address between comments blames nobody",
	MTA "Final-Recipient: rfc822; bob@b.test (a) ann@b.test (b)\n" FAILED,
	NULL, NULL, 0},
    {"a comment that is not closed",
	MTA "Final-Recipient: rfc822; bob@b.test (a\n" FAILED, NULL, NULL, 0},
    {"an address that looks encoded",
	MTA "Final-Recipient: rfc822; =?utf-8?Q?a?=@b.test\n" FAILED,
	"=?utf-8?Q?a?=@b.test", "", 550},
    {"an address that is encoded, against the rules",
	MTA "Final-Recipient: rfc822; =?utf-8?Q?bob=40b.test?=\n" FAILED,
	"bob@b.test", "", 550},
    {"no type", MTA "Final-Recipient: bob@b.test\n" FAILED, "bob@b.test", "",
	550},
    {"neither type nor address", MTA "Final-Recipient: bob\n" FAILED, NULL,
	NULL, 0},
    {"angle brackets", MTA "Final-Recipient: rfc822;<bob@b.test>\n" FAILED,
	"bob@b.test", "", 550},
    {"another type of address", MTA "Final-Recipient: X400; /S=bob/\n" FAILED,
	"/S=bob/", "", 550},
    {"quotes that are not the address's own",
	MTA "Final-Recipient: rfc822; \"bob@b.test\"\n" FAILED, "bob@b.test",
	"", 550},
    {"quotes that are the address's own",
	MTA "Final-Recipient: rfc822; \"bob@b\"@b.test\n" FAILED,
	"\"bob@b\"@b.test", "", 550},
    {"brackets in brackets",
	MTA "Final-Recipient: rfc822; <<bob@b.test>>\n" FAILED, "bob@b.test",
	"", 550},
    {"two in brackets in brackets blame nobody",
	MTA "Final-Recipient: rfc822; <<ann@b.test> <bob@b.test>>\n" FAILED,
	NULL, NULL, 0},
    {"a comment without a blank",
	MTA "Final-Recipient: rfc822; bob@b.test(Bob)\n" FAILED, "bob@b.test",
	"", 550},
    {"a name that looks like a comment is part of an address that is none",
	MTA "Final-Recipient: rfc822; /CN=bob(HR)\n" FAILED, NULL, NULL, 0},
    {"a blank in the domain blames nobody",
	MTA "Final-Recipient: rfc822; bob@b.test. Gone\n" FAILED, NULL, NULL,
	0},
    {"a list of one", MTA "Final-Recipient: rfc822; bob@b.test;\n" FAILED,
	"bob@b.test", "", 550},
    {"a list of two blames nobody",
	MTA "Final-Recipient: rfc822; ann@b.test; bob@b.test;\n" FAILED, NULL,
	NULL, 0},
    {"the type twice",
	MTA "Final-Recipient: rfc822; RFC822;bob@b.test\n" FAILED, "bob@b.test",
	"", 550},
    {"an action with more words",
	MTA BOB "Action: failed for good\nStatus: 5.1.1\n", "bob@b.test", "",
	550},
    {"an action that begins like another",
	MTA BOB "Action: failed-over\nStatus: 5.1.1\n", NULL, NULL, 0},
    {"a status with a word glued to it",
	MTA BOB "Action: failed\nStatus: 5.1.1x\n", NULL, NULL, 0},
    {"no recipient", MTA, NULL, NULL, 0},
    {"no MTA", BOB FAILED, NULL, NULL, 0},
    {"no action", MTA BOB "Status: 5.1.1\n", NULL, NULL, 0},
    {"no status", MTA BOB "Action: failed\n", NULL, NULL, 0},
    {"an action that is none", MTA BOB "Action: lost\nStatus: 5.1.1\n", NULL,
	NULL, 0},
    {"half a status", MTA BOB "Action: failed\nStatus: 5.1\n", NULL, NULL, 0},
    {"a field twice", MTA BOB FAILED "Status: 5.1.2\n", NULL, NULL, 0},
    {"an unknown field twice", MTA BOB FAILED "X-A: 1\nX-A: 2\n", "bob@b.test",
	"", 550},
    {"groups without an empty line between them",
	"Reporting-MTA: dns; a.test\n" BOB FAILED, "bob@b.test", "", 550},
    {"two recipients without an empty line between them",
	MTA BOB FAILED BOB FAILED, NULL, NULL, 0},
    {"a line of blanks is empty",
	"Reporting-MTA: dns; a.test\n \t\n" BOB FAILED " \n\n", "bob@b.test",
	"", 550},
    {"a group that is about nobody", MTA "X-A: 1\n\n" BOB FAILED, "bob@b.test",
	"", 550},
    {"a date that is none", MTA BOB FAILED "Last-Attempt-Date: yesterday\n",
	"bob@b.test", "", 550},
};

START_TEST(blames_whom_the_report_blames)
{
	struct arena *arena = arena_new(0);
	struct buf text = BUF_INIT;
	struct report report;
	struct smtp_reply reply;
	struct dsn dsn;
	struct err err = {0};

	buf_addf(&text, "%s%s--x--\n", head, dsns[_i].fields);
	ck_assert(report_open(text.data, text.len, arena, &report));
	if (!dsns[_i].blames) {
		ck_assert_msg(
		    dsn_parse(&report, arena, &dsn, &err) == REPORT_MALFORMED,
		    "%s", dsns[_i].label);
		ck_assert_msg(*err.text, "%s", dsns[_i].label);
	} else {
		ck_assert_msg(
		    dsn_parse(&report, arena, &dsn, &err) == REPORT_READ,
		    "%s: %s", dsns[_i].label, err.text);
		ck_assert_uint_eq(dsn.count, 1);
		reply = dsn_reply(&dsn.recipients[0], arena);
		ck_assert_str_eq(
		    dsn_blames(&dsn.recipients[0]), dsns[_i].blames);
		ck_assert_str_eq(reply.text, dsns[_i].diagnostic);
		ck_assert_int_eq(reply.code, dsns[_i].code);
		ck_assert_int_eq(reply.enhanced[0], 5);
	}
	buf_release(&text);
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *label, *part_type;
	bool is_one;
} shapes[] = {
    {"case 93: without the part that tells", "text/plain", false},
    {"the part of the international form", "message/global-delivery-status",
	true},
    {"in any case", "Message/Delivery-Status", true},
};

START_TEST(a_report_needs_its_part)
{
	struct arena *arena = arena_new(0);
	struct buf text = BUF_INIT;
	struct report report;
	struct dsn dsn;

	buf_addf(&text,
	    "Content-Type: Multipart/Report; boundary=x\n\n--x\n"
	    "Content-Type: %s\n\n" MTA BOB FAILED "--x--\n",
	    shapes[_i].part_type);
	ck_assert(report_open(text.data, text.len, arena, &report));
	ck_assert_msg((dsn_parse(&report, arena, &dsn, NULL) == REPORT_READ) ==
			  shapes[_i].is_one,
	    "%s", shapes[_i].label);
	buf_release(&text);
	arena_unref(arena);
}
END_TEST

/* ---- cost ---- */

/* Sanitizers make everything many times slower. */
#ifdef ENABLE_SANITIZER
#define ALLOWANCE 50
#else
#define ALLOWANCE 1
#endif

static double cpu_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void add_deep(struct buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_addf(out,
		    "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i,
		    i);
}

static void add_wide(struct buf *out, int parts)
{
	for (int i = 0; i < parts; i++)
		buf_addstr(out, "--x\nContent-Type: text/plain\n\na\n");
}

static void add_fields(struct buf *out, int fields)
{
	buf_addstr(out, "--x\nContent-Type: message/delivery-status\n\n");
	for (int i = 0; i < fields; i++)
		buf_addf(out, "X-%d: a\n", i);
}

static void add_headers(struct buf *out, int lines)
{
	buf_addstr(out, "--x\nContent-Type: message/rfc822\n\n");
	for (int i = 0; i < lines; i++)
		buf_addstr(out, "X-A: eyJfQF8iOiJcXF8vIiwiYSI6MX0\n");
}

static const struct {
	const char *label;
	void (*add)(struct buf *, int);
	int times;
	bool pad; /* to 20 MB */
} hostile[] = {
    {"parts ten thousand deep", add_deep, 10000, true},
    {"a hundred thousand parts", add_wide, 100000, true},
    {"a hundred thousand different fields", add_fields, 100000, false},
    {"a million header lines", add_headers, 300000, true},
    {"nothing but text", add_wide, 0, true},
};

START_TEST(hostile_trees_cost_what_their_bytes_cost)
{
	struct arena *arena = arena_new(0);
	struct buf text = BUF_INIT;
	struct report report;
	struct arf arf;
	struct dsn dsn;
	double start;

	buf_addstr(&text, "Content-Type: multipart/report; "
			  "report-type=feedback-report; boundary=x\n\n");
	hostile[_i].add(&text, hostile[_i].times);
	while (hostile[_i].pad && text.len < (size_t)20 << 20)
		buf_addstr(&text, "--y: all work and no play\n");
	start = cpu_ms();
	if (report_open(text.data, text.len, arena, &report)) {
		ck_assert_msg(
		    arf_parse(&report, arena, &arf, NULL) != REPORT_READ, "%s",
		    hostile[_i].label);
		ck_assert_msg(
		    dsn_parse(&report, arena, &dsn, NULL) != REPORT_READ, "%s",
		    hostile[_i].label);
		ck_assert_ptr_null(report_trace(&report, arena));
	}
	ck_assert_msg(cpu_ms() - start < 1000 * ALLOWANCE, "%s: %.0f ms",
	    hostile[_i].label, cpu_ms() - start);
	ck_assert_uint_le(arena_used(arena), (size_t)64 << 20);
	buf_release(&text);
	arena_unref(arena);
}
END_TEST

START_TEST(a_report_costs_less_than_a_millisecond)
{
	enum { TIMES = 50 };
	struct buf text = BUF_INIT, out = BUF_INIT;
	double start;

	buf_addstr(&text, head);
	buf_addstr(&text, MTA BOB FAILED
	    "Diagnostic-Code: smtp; 550 5.1.1 no\n    such user\n"
	    "--x\nContent-Type: message/rfc822\n\n");
	while (text.len < 20 * 1024)
		buf_addstr(&text, "X-Header: some text that is not ours\n");
	buf_addstr(&text, "--x--\n");
	start = cpu_ms();
	for (int i = 0; i < TIMES; i++) {
		struct arena *arena = arena_new(0);

		buf_reset(&out);
		describe(text.data, text.len, arena, &out);
		arena_unref(arena);
	}
	ck_assert_int_eq(strncmp(out.data, "{\"is\":\"oob\"", 11), 0);
	ck_assert_msg((cpu_ms() - start) / TIMES < ALLOWANCE, "%.3f ms",
	    (cpu_ms() - start) / TIMES);
	buf_release(&text);
	buf_release(&out);
}
END_TEST

TCase *report_tests(void)
{
	TCase *tc = tcase_create("report");

	tcase_add_test(tc, reports_are_read_as_they_come);
	tcase_add_loop_test(tc, blames_whom_the_report_blames, 0, COUNT(dsns));
	tcase_add_loop_test(tc, a_report_needs_its_part, 0, COUNT(shapes));
	tcase_add_loop_test(
	    tc, hostile_trees_cost_what_their_bytes_cost, 0, COUNT(hostile));
	tcase_add_test(tc, a_report_costs_less_than_a_millisecond);
	return tc;
}
