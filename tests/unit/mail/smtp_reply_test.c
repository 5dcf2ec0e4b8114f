/* smtp_reply_test.c - mail/smtp_reply.h, mail/syslog_line.h */
#include "tests/unit/mail/mail_test.h"

#include "mail/smtp_reply.h"
#include "mail/syslog_line.h"

static const struct {
	const char *label, *bytes;
	enum smtp_parse result;
	const char *line; /* smtp_reply_one_line, or part of the error */
} replies[] = {
    {"one line", "250 ok\r\n", SMTP_PARSE_REPLY, "250 ok"},
    {"a code alone", "250\r\n", SMTP_PARSE_REPLY, "250"},
    {"an empty text", "250 \r\n", SMTP_PARSE_REPLY, "250"},
    {"enhanced", "550 5.1.1 no such user\r\n", SMTP_PARSE_REPLY,
	"550 5.1.1 no such user"},
    {"several lines", "250-a\r\n250-b\r\n250 c\r\n", SMTP_PARSE_REPLY,
	"250 a\\r\\nb\\r\\nc"},
    {"enhanced on every line", "550-5.7.1 a\r\n550 5.7.1 b\r\n",
	SMTP_PARSE_REPLY, "550 5.7.1 a\\r\\nb"},
    {"bare LF", "250-a\n250 b\n", SMTP_PARSE_REPLY, "250 a\\r\\nb"},
    {"CR CR LF", "250 a\r\r\n", SMTP_PARSE_REPLY, "250 a"},
    {"codes of one class", "550-a\r\n554 b\r\n", SMTP_PARSE_REPLY,
	"554 a\\r\\nb"},
    {"codes of two classes", "250-a\r\n550 b\r\n", SMTP_PARSE_BAD,
	"malformed SMTP reply \"550 b\""},
    {"a tab and a bell", "250 a\tb\ac\r\n", SMTP_PARSE_REPLY, "250 a b?c"},
    {"a CR inside", "250 a\rb\r\n", SMTP_PARSE_REPLY, "250 a?b"},
    {"UTF-8", "250 \xc3\xa4\r\n", SMTP_PARSE_REPLY, "250 \xc3\xa4"},
    {"not UTF-8", "250 \xe4x\r\n", SMTP_PARSE_REPLY, "250 ?x"},
    {"half", "250 ok\r", SMTP_PARSE_MORE, NULL},
    {"the last line is missing", "250-a\r\n", SMTP_PARSE_MORE, NULL},
    {"no code", "hello\r\n", SMTP_PARSE_BAD, "malformed"},
    {"an empty line", "\r\n", SMTP_PARSE_BAD, "malformed"},
    {"a class that is none", "650 x\r\n", SMTP_PARSE_BAD, "malformed"},
    {"no separator", "250x\r\n", SMTP_PARSE_BAD, "malformed"},
    {"a class that disagrees", "550 4.1.1 x\r\n", SMTP_PARSE_REPLY,
	"550 4.1.1 x"},
    {"a number that is no enhanced code", "220 2.0 ESMTP\r\n", SMTP_PARSE_REPLY,
	"220 2.0 ESMTP"},
    {"a version", "220 2.1.12345 x\r\n", SMTP_PARSE_REPLY, "220 2.1.12345 x"},
    {"an address", "250 2.0.0.1 x\r\n", SMTP_PARSE_REPLY, "250 2.0.0.1 x"},
};

START_TEST(replies_are_read_in_any_pieces)
{
	size_t len = strlen(replies[_i].bytes);

	for (size_t chunk = 1; chunk <= len; chunk++) {
		struct smtp_reply_parser *p = smtp_reply_parser_new();
		struct arena *arena = arena_new(0);
		enum smtp_parse got = SMTP_PARSE_MORE;
		struct buf line = BUF_INIT;
		struct smtp_reply reply;
		struct err err = {0};
		size_t used;

		for (size_t i = 0; i < len && got == SMTP_PARSE_MORE;
		     i += chunk)
			got = smtp_reply_parse(p, replies[_i].bytes + i,
			    len - i < chunk ? len - i : chunk, &used, arena,
			    &reply, &err);
		ck_assert_msg(got == replies[_i].result, "%s: %s",
		    replies[_i].label, err.text);
		if (got == SMTP_PARSE_REPLY) {
			smtp_reply_one_line(&line, &reply);
			ck_assert_str_eq(buf_str(&line), replies[_i].line);
		} else if (got == SMTP_PARSE_BAD) {
			ck_assert_msg(
			    strstr(err.text, replies[_i].line) != NULL, "%s",
			    err.text);
		}
		buf_release(&line);
		arena_unref(arena);
		smtp_reply_parser_free(p);
	}
}
END_TEST

START_TEST(what_follows_a_reply_is_left)
{
	static const char bytes[] = "250 a\r\n354-b\r\n354 c\r\n2";
	struct smtp_reply_parser *p = smtp_reply_parser_new();
	struct arena *arena = arena_new(0);
	struct smtp_reply reply;
	struct err err = {0};
	size_t used, at = 0, len = sizeof bytes - 1;

	ck_assert_int_eq(
	    smtp_reply_parse(p, bytes, len, &used, arena, &reply, &err),
	    SMTP_PARSE_REPLY);
	ck_assert_uint_eq(used, 7);
	ck_assert(smtp_reply_ok(&reply));
	at += used;
	ck_assert_int_eq(smtp_reply_parse(p, bytes + at, len - at, &used, arena,
			     &reply, &err),
	    SMTP_PARSE_REPLY);
	ck_assert_int_eq(reply.code, 354);
	ck_assert_str_eq(reply.text, "b\nc");
	at += used;
	ck_assert_int_eq(smtp_reply_parse(p, bytes + at, len - at, &used, arena,
			     &reply, &err),
	    SMTP_PARSE_MORE);
	smtp_reply_parser_free(p);
	smtp_reply_parser_free(NULL);
	arena_unref(arena);
}
END_TEST

/* `count` lines of `length` bytes, then the last one. */
static enum smtp_parse talk(
    int count, int length, struct arena *arena, struct smtp_reply *reply)
{
	struct smtp_reply_parser *p = smtp_reply_parser_new();
	enum smtp_parse got = SMTP_PARSE_MORE;
	struct buf line = BUF_INIT;
	size_t used;

	buf_addf(&line, "250-%0*d\r\n", length, 1);
	for (int i = 0; i < count && got == SMTP_PARSE_MORE; i++)
		got = smtp_reply_parse(
		    p, line.data, line.len, &used, arena, reply, NULL);
	if (got == SMTP_PARSE_MORE)
		got = smtp_reply_parse(
		    p, "250 end\r\n", 9, &used, arena, reply, NULL);
	buf_release(&line);
	smtp_reply_parser_free(p);
	return got;
}

START_TEST(a_talkative_peer_is_cut_and_an_endless_one_is_left)
{
	struct arena *arena = arena_new(0);
	struct smtp_reply reply;

	ck_assert_int_eq(talk(1, 10000, arena, &reply), SMTP_PARSE_REPLY);
	ck_assert_uint_le(strlen(reply.text), SMTP_REPLY_TEXT_MAX);
	ck_assert_int_eq(talk(1000, 1, arena, &reply), SMTP_PARSE_REPLY);
	ck_assert_uint_eq(strlen(reply.text), 2 * 128 - 1);
	ck_assert_int_eq(talk(200, 100, arena, &reply), SMTP_PARSE_REPLY);
	ck_assert_uint_le(strlen(reply.text), SMTP_REPLY_TEXT_MAX);
	ck_assert_int_eq(talk(1 << 20, 10, arena, &reply), SMTP_PARSE_BAD);
	ck_assert_int_eq(talk(1, 2 << 20, arena, &reply), SMTP_PARSE_BAD);
	arena_unref(arena);
}
END_TEST

START_TEST(our_own_replies_say_the_same)
{
	struct arena *arena = arena_new(0), *second = arena_new(0);
	struct smtp_reply reply = smtp_reply_make(
			      arena, 451, "4.4.1", "no route to %s", "x"),
			  copy;
	char dsn[16];

	reply.command = arena_strdup(arena, "RCPT");
	copy = smtp_reply_copy(second, &reply);
	arena_unref(arena);
	smtp_reply_dsn(dsn, &copy);
	ck_assert_str_eq(dsn, "4.4.1");
	ck_assert_str_eq(copy.text, "no route to x");
	ck_assert_str_eq(copy.command, "RCPT");
	copy = smtp_reply_make(second, 550, NULL, "no");
	ck_assert(!smtp_reply_has_enhanced(&copy));
	smtp_reply_dsn(dsn, &copy);
	ck_assert_str_eq(dsn, "5.0.0");
	copy.code = 0;
	smtp_reply_dsn(dsn, &copy);
	ck_assert_str_eq(dsn, "4.0.0");
	arena_unref(second);
}
END_TEST

START_TEST(other_tools_know_the_syslog_line)
{
	struct arena *arena = arena_new(0);
	struct smtp_reply ok = smtp_reply_make(arena, 250, "2.0.0", "a\nb");
	struct smtp_reply later = smtp_reply_make(arena, 450, NULL, "later");
	struct buf out = BUF_INIT;

	syslog_line_outcome(&out, "id1", "bob@example.com",
	    "mx.example.com[192.0.2.1]:25", 1234, "sent", &ok);
	ck_assert_str_eq(buf_str(&out),
	    "id1: to=<bob@example.com>, relay=mx.example.com[192.0.2.1]:25, "
	    "delay=1.23, dsn=2.0.0, status=sent (250 2.0.0 a\\r\\nb)");
	buf_reset(&out);
	syslog_line_outcome(
	    &out, "id2", "bob@example.com", NULL, 3600000, "deferred", &later);
	ck_assert_str_eq(buf_str(&out),
	    "id2: to=<bob@example.com>, relay=none, delay=3600, dsn=4.0.0, "
	    "status=deferred (450 later)");
	buf_release(&out);
	arena_unref(arena);
}
END_TEST

TCase *smtp_reply_tests(void)
{
	TCase *tc = tcase_create("smtp_reply");

	tcase_add_loop_test(
	    tc, replies_are_read_in_any_pieces, 0, COUNT(replies));
	tcase_add_test(tc, what_follows_a_reply_is_left);
	tcase_add_test(tc, a_talkative_peer_is_cut_and_an_endless_one_is_left);
	tcase_add_test(tc, our_own_replies_say_the_same);
	tcase_add_test(tc, other_tools_know_the_syslog_line);
	return tc;
}
