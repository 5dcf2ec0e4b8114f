/* milter_session_test.c - the message byte for byte, the ends of a connection
 */
#include "milter_test.h"

#include "base/buf.h"
#include "base/str.h"
#include "milter/milter_session.h"

/* ---- headers ---- */

static const struct {
	const char *name, *value;
	bool has_leading_space;
	const char *want;
} headers[] = {
    {"Subject", " hello", true, "Subject: hello\r\n"},
    {"Subject", "hello", true, "Subject:hello\r\n"},
    {"Subject", "\thello", true, "Subject:\thello\r\n"},
    {"Subject", "", true, "Subject:\r\n"},
    {"Subject", "  two", true, "Subject:  two\r\n"},
    {"X-Fold", " a\n\tb\n c", true, "X-Fold: a\r\n\tb\r\n c\r\n"},
    {"X-Fold", " a\r\n\tb", true, "X-Fold: a\r\n\tb\r\n"},
    {"X-Fold", "\n first", true, "X-Fold:\r\n first\r\n"},
    {"X-Trail", " a  \n b ", true, "X-Trail: a  \r\n b \r\n"},
    {"X-8bit", " \xe4\xc3\xa4", true, "X-8bit: \xe4\xc3\xa4\r\n"},
    {"X-CR", " a\rb", true, "X-CR: a\rb\r\n"},
    /* An MTA that dropped the space. */
    {"Subject", "hello", false, "Subject: hello\r\n"},
};

START_TEST(a_header_is_rebuilt_as_it_was)
{
	struct buf line = BUF_INIT;

	header_rebuild(&line, headers[_i].name, headers[_i].value,
	    headers[_i].has_leading_space);
	ck_assert_str_eq(buf_str(&line), headers[_i].want);
	buf_release(&line);
}
END_TEST

/* ---- the whole message ---- */

static struct service service = {.spill_dir = "/tmp"};

static const char *content_of(struct session *s)
{
	static char text[256];
	struct err err = {0};
	struct content *c;
	size_t size;

	session_end_of_headers(s);
	c = content_builder_finish(s->tx->content, &err);
	ck_assert_msg(c != NULL, "%s", err.text);
	s->tx->content = NULL;
	size = (size_t)content_facts(c)->size;
	ck_assert_uint_lt(size, sizeof text);
	ck_assert(content_read(c, 0, text, size, &err));
	text[size] = '\0';
	content_unref(c);
	return text;
}

static void begin(struct session *s, struct transaction *tx)
{
	*s = (struct session){
	    .service = &service, .tx = tx, .has_leading_space = true};
	*tx = (struct transaction){0};
	s->params.max_message_size = 1000;
}

START_TEST(a_message_is_header_empty_line_and_body)
{
	struct session s;
	struct transaction tx;

	begin(&s, &tx);
	session_header(&s, "From", " a@x.test");
	session_header(&s, "To", "\tb@x.test");
	session_end_of_headers(&s);
	session_body(&s, "one\r\n.two\r\n", 11);
	session_body(&s, "\0three", 6);
	ck_assert_int_eq(tx.size, (int64_t)strlen("From: a@x.test\r\n"
						  "To:\tb@x.test\r\n\r\n") +
				      17);
	ck_assert_str_eq(content_of(&s),
	    "From: a@x.test\r\nTo:\tb@x.test\r\n\r\none\r\n.two\r\n");
	buf_release(&tx.line);
}
END_TEST

START_TEST(without_headers_the_empty_line_is_there)
{
	struct session s;
	struct transaction tx;

	begin(&s, &tx);
	session_body(&s, "text\r\n", 6);
	ck_assert_str_eq(content_of(&s), "\r\ntext\r\n");
}
END_TEST

START_TEST(at_the_limit_is_too_large_and_not_kept)
{
	struct session s;
	struct transaction tx;

	begin(&s, &tx);
	s.params.max_message_size = 10;
	session_body(&s, "1234567", 7); /* 9 with the empty line */
	ck_assert(!tx.too_large);
	session_body(&s, "8", 1);
	ck_assert(tx.too_large);
	ck_assert(tx.content == NULL);
	session_body(&s, "more", 4);
	ck_assert_int_eq(tx.size, 14);
}
END_TEST

/* ---- where a connection came in ---- */

struct said {
	const char *name, *value;
};

static const char *get(void *ctx, const char *name)
{
	for (const struct said *s = ctx; s->name; s++)
		if (str_eq(s->name, name))
			return s->value;
	return NULL;
}

static const struct {
	const char *label;
	struct said said[5];
	const char *peer;
	const char *want;
} ends[] = {
    {"Postfix says the real end",
	{{"{daemon_addr}", "10.0.0.1"}, {"{daemon_port}", "25"}}, "192.0.2.1",
	"10.0.0.1:25"},
    {"also for IPv6",
	{{"{daemon_addr}", "IPv6:fd09::1"}, {"{daemon_port}", "25"}},
	"2001:db8::9", "[fd09::1]:25"},
    {"Sendmail says it in {if_addr}",
	{{"{daemon_addr}", "0.0.0.0"}, {"{if_addr}", "10.0.0.7"},
	    {"{daemon_port}", "25"}},
	"192.0.2.1", "10.0.0.7:25"},
    {"and on loopback in {if_name}",
	{{"{daemon_addr}", "0.0.0.0"}, {"{if_name}", "[127.0.0.5]"},
	    {"{daemon_port}", "25"}},
	"127.0.0.1", "127.0.0.5:25"},
    {"or not at all",
	{{"{daemon_addr}", "0.0.0.0"}, {"{if_name}", "localhost"},
	    {"{daemon_port}", "25"}},
	"127.0.0.1", "127.0.0.1:25"},
    {"the daemon's name is the fallback", {{"{daemon_name}", "10.0.0.9:2525"}},
	"192.0.2.1", "10.0.0.9:2525"},
    {"a name that is no address is none", {{"{daemon_name}", "MTA-v4"}},
	"192.0.2.1", "unknown:0"},
    {"nothing said, nothing known", {{"j", "mx"}}, "192.0.2.1", "unknown:0"},
};

START_TEST(the_local_end_is_found)
{
	struct session s = {0};
	struct macros macros = {
	    .get = get, .ctx = (void *)(uintptr_t)ends[_i].said};
	char text[80];

	ck_assert(ip_parse(ends[_i].peer, &s.peer));
	session_find_local(&s, &macros);
	if (s.local.family)
		(void)ip_port_print(text, &s.local, s.local_port);
	else
		(void)snprintf(text, sizeof text, "unknown:%d", s.local_port);
	ck_assert_msg(
	    str_eq(text, ends[_i].want), "%s: %s", ends[_i].label, text);
}
END_TEST

TCase *session_cases(void)
{
	TCase *tc = tcase_create("session");

	tcase_add_loop_test(tc, a_header_is_rebuilt_as_it_was, 0,
	    (int)(sizeof headers / sizeof headers[0]));
	tcase_add_test(tc, a_message_is_header_empty_line_and_body);
	tcase_add_test(tc, without_headers_the_empty_line_is_there);
	tcase_add_test(tc, at_the_limit_is_too_large_and_not_kept);
	tcase_add_loop_test(
	    tc, the_local_end_is_found, 0, (int)(sizeof ends / sizeof ends[0]));
	return tc;
}
