/*
 * engine_test.c - the engine holds conversations
 */
#include "deliver/smtp_engine.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "policy/egress_path.h"
#include "tests/unit/deliver/conversations.h"
#include "tests/unit/deliver/deliver_test.h"

/* ---- the driver ---- */

struct play {
	const struct conversation *c;
	struct egress_path path;
	struct smtp_engine *engine;
	struct buf out, result;
	struct arena *arena;
	struct delivery_job job;
	struct delivery_recipient rcpts[RCPTS];
	int jobs_left;
	bool wants_tls;
};

static struct address address_of(struct play *p, const char *text)
{
	struct address a;
	struct err err = {0};

	ck_assert_msg(address_parse(text, strlen(text), p->arena, &a, &err),
	    "%s", err.text);
	return a;
}

static void make_job(struct play *p)
{
	const struct conversation *c = p->c;
	unsigned flags = c->flags;

	p->job = (struct delivery_job){.id = "message",
	    .recipients = p->rcpts,
	    .prefix = "X-Test: 1",
	    .prefix_len = 9,
	    .facts = {.size = 1000,
		.has_8bit = flags & HAS_8BIT,
		.header_has_8bit = flags & HEADER_8BIT,
		.has_bare_cr_or_lf = flags & BARE_LF}};
	p->job.sender.address =
	    address_of(p, c->sender ? c->sender : "a@a.test");
	p->job.sender.smtputf8 = flags & CLIENT_UTF8;
	if (flags & DSN_PARAMS) {
		p->job.sender.ret = "HDRS";
		p->job.sender.envid = "q+2Dr";
	}
	for (size_t i = 0; i < RCPTS && (!i || c->rcpts[i]); i++) {
		struct delivery_recipient *r = &p->rcpts[i];

		*r = (struct delivery_recipient){0};
		r->who.address =
		    address_of(p, c->rcpts[i] ? c->rcpts[i] : "b@b.test");
		if (flags & DSN_PARAMS) {
			r->who.notify = "FAILURE,DELAY";
			r->who.orcpt = "rfc822;b+2Bc@b.test";
		}
		p->job.count = i + 1;
	}
}

static void note_replies(struct play *p)
{
	if (p->result.len)
		buf_addstr(&p->result, " / ");
	for (size_t i = 0; i < p->job.count; i++) {
		const struct delivery_recipient *r = &p->rcpts[i];
		char dsn[16];

		if (i)
			buf_addch(&p->result, ',');
		if (r->retry_at_once)
			buf_addstr(&p->result, "again");
		else
			buf_addint(&p->result, r->reply.code);
		ck_assert(r->retry_at_once || r->reply.text);
		smtp_reply_dsn(dsn, &r->reply);
		if (smtp_reply_has_enhanced(&r->reply))
			buf_addf(&p->result, " %s", dsn);
	}
}

/* As the session does it: all that came is heard before anything is begun. */
static void act(struct play *p, enum smtp_step step)
{
	while (step != STEP_WAIT) {
		switch (step) {
		case STEP_WAIT:
			break;
		case STEP_TLS:
			p->wants_tls = true;
			return;
		case STEP_READY:
			if (!p->jobs_left) {
				smtp_engine_quit(p->engine);
				return;
			}
			p->jobs_left--;
			make_job(p);
			step = smtp_engine_begin(p->engine, &p->job, p->arena);
			break;
		case STEP_CONTENT:
			buf_addstr(&p->out, "CONTENT\r\n.\r\n");
			step = smtp_engine_content_sent(p->engine);
			break;
		case STEP_DONE:
			note_replies(p);
			step = smtp_engine_usable(p->engine) ? STEP_READY
							     : STEP_CLOSED;
			break;
		case STEP_FAILED:
			buf_addf(&p->result, "failed: %s",
			    smtp_engine_failure(p->engine)->text);
			return;
		case STEP_CLOSED:
			buf_addstr(&p->result, " closed");
			return;
		}
	}
}

static void hear(struct play *p, const char *text)
{
	enum smtp_step step, pending = STEP_WAIT;
	struct buf bytes = BUF_INIT;
	const char *data;
	size_t len, used;

	for (; *text; text++)
		buf_addstr(&bytes, *text == '\n' ? "\r\n" : (char[]){*text, 0});
	buf_addstr(&bytes, "\r\n");
	data = bytes.data;
	len = bytes.len;
	do {
		step = smtp_engine_hear(p->engine, data, len, &used);
		data += used;
		len -= used;
		if (step == STEP_DONE && len) {
			note_replies(p);
			step = smtp_engine_usable(p->engine) ? STEP_READY
							     : STEP_CLOSED;
		}
		if (step == STEP_READY || step == STEP_CONTENT) {
			pending = step;
			step = STEP_WAIT;
		}
	} while (len && step == STEP_WAIT);
	buf_release(&bytes);
	act(p, step == STEP_WAIT ? pending : step);
}

static void expect(struct play *p, const char *line)
{
	size_t len = strlen(line);

	ck_assert_msg(p->out.len >= len + 2 &&
			  !memcmp(p->out.data, line, len) &&
			  !memcmp(p->out.data + len, "\r\n", 2),
	    "%s: expected \"%s\", sent \"%s\"", p->c->label, line,
	    buf_str(&p->out));
	buf_consume(&p->out, len + 2);
}

static void perform(struct play *p, const char *line)
{
	if (line[0] == 'S' && line[1] == ':') {
		hear(p, line + 2);
	} else if (line[0] == 'C' && line[1] == ':') {
		expect(p, line + 2);
	} else if (str_starts(line, "TLS ")) {
		ck_assert_msg(p->wants_tls, "%s", p->c->label);
		act(p, smtp_engine_tls(
			   p->engine, str_eq(line, "TLS ok") ? NULL : "bad"));
	} else if (str_eq(line, "LOST")) {
		act(p, smtp_engine_lost(p->engine, "gone"));
	} else {
		ck_assert_str_eq(line, "TIMEOUT");
		act(p, smtp_engine_timeout(p->engine));
	}
}

static void begin(struct play *p, const struct conversation *c)
{
	struct smtp_terms terms = {.tls = c->tls,
	    .tls_up = c->flags & TLS_FIRST,
	    .username = c->flags & WITH_AUTH ? "user" : NULL,
	    .password = "secret"};

	*p = (struct play){.c = c, .path = *egress_path_defaults()};
	p->path.allow_smtp_auth_plain_without_tls = c->flags & AUTH_IN_CLEAR;
	p->path.allow_smtp_auth_plain_without_valid_certificate =
	    c->flags & AUTH_UNVERIFIED;
	p->path.opportunistic_tls_reconnect_on_failed_handshake =
	    c->flags & RECONNECT;
	p->path.enable_pipelining = !(c->flags & NO_PIPELINING);
	p->path.enable_rset = !(c->flags & NO_RSET);
	p->path.use_lmtp = c->flags & LMTP;
	p->path.ignore_8bit_checks = c->flags & IGNORE_8BIT;
	p->jobs_left = c->jobs ? c->jobs : 1;
	p->arena = arena_new(0);
	p->engine = smtp_engine_new(&p->path, "me", "session", &p->out);
	smtp_engine_start(p->engine, &terms);
}

static void end(struct play *p)
{
	smtp_engine_free(p->engine);
	arena_unref(p->arena);
	buf_release(&p->out);
	buf_release(&p->result);
}

START_TEST(a_conversation_ends_as_it_should)
{
	const struct conversation *c = &conversations[_i];
	struct play p;

	begin(&p, c);
	for (int i = 0; i < LINES && c->script[i]; i++)
		perform(&p, c->script[i]);
	/* A QUIT at the end need not be in the script. */
	if (str_starts(buf_str(&p.out), "QUIT\r\n"))
		buf_consume(&p.out, 6);
	ck_assert_msg(
	    !p.out.len, "%s: also sent \"%s\"", c->label, buf_str(&p.out));
	ck_assert_msg(str_eq(buf_str(&p.result), c->want),
	    "%s: \"%s\", not \"%s\"", c->label, buf_str(&p.result), c->want);
	end(&p);
}
END_TEST

/* Every byte in a packet of its own changes nothing. */
START_TEST(bytes_may_come_one_by_one)
{
	static const char *const says[] = {"220-hi\r\n220 hi\r\n",
	    "250-peer\r\n250 PIPELINING\r\n",
	    "250 ok\r\n250 2.1.5 ok\r\n354 go\r\n", "250 2.0.0 ok\r\n"};
	struct play p;
	size_t used;

	begin(&p, &conversations[0]);
	for (size_t i = 0; i < COUNT(says); i++)
		for (const char *s = says[i]; *s; s++)
			act(&p, smtp_engine_hear(p.engine, s, 1, &used));
	ck_assert_str_eq(buf_str(&p.result), "250 2.0.0");
	end(&p);
}
END_TEST

/* The peer's one byte every 10 s must not keep a connection for ever. */
/* Where it is quicker than the stage; an idle connection is nobody's loss. */
START_TEST(the_watchdog_ends_what_makes_no_progress)
{
	struct play p;
	size_t used;

	begin(&p, &conversations[0]);
	p.path.dispatcher_progress_watchdog_timeout.ms = 2000;
	p.path.idle_timeout.ms = 600000;
	(void)smtp_engine_hear(p.engine, "220 hi\r\n", 8, &used);
	ck_assert_int_le(smtp_engine_deadline(p.engine), clock_now_ms() + 2000);
	ck_assert_int_eq(
	    smtp_engine_hear(p.engine, "250 peer\r\n", 10, &used), STEP_READY);
	ck_assert_int_gt(
	    smtp_engine_deadline(p.engine), clock_now_ms() + 500000);
	make_job(&p);
	ck_assert_int_eq(
	    smtp_engine_begin(p.engine, &p.job, p.arena), STEP_WAIT);
	ck_assert_int_le(smtp_engine_deadline(p.engine), clock_now_ms() + 2000);
	ck_assert_int_eq(smtp_engine_timeout(p.engine), STEP_DONE);
	ck_assert_int_eq(p.rcpts[0].reply.code, 451);
	ck_assert_str_eq(p.rcpts[0].reply.text,
	    "no progress for 2 s while sending MAIL FROM: dropped by "
	    "dispatcher_progress_watchdog_timeout");
	ck_assert(smtp_engine_cut_short(p.engine));
	end(&p);
}
END_TEST

START_TEST(a_watchdog_that_is_slower_than_the_stage_says_nothing)
{
	struct play p;

	begin(&p, &conversations[0]);
	p.path.dispatcher_progress_watchdog_timeout.ms = 3600000;
	make_job(&p);
	hear(&p, "220 hi");
	hear(&p, "250 peer");
	ck_assert_int_eq(smtp_engine_timeout(p.engine), STEP_DONE);
	ck_assert_int_eq(p.rcpts[0].reply.code, 421);
	end(&p);
}
END_TEST

START_TEST(single_bytes_do_not_move_the_deadline)
{
	struct play p;
	int64_t before;
	size_t used;

	begin(&p, &conversations[0]);
	before = smtp_engine_deadline(p.engine);
	ck_assert_int_le(before, clock_now_ms() + 60000);
	for (int64_t until = clock_now_ms() + 5; clock_now_ms() < until;)
		(void)smtp_engine_hear(p.engine, "2", 0, &used);
	(void)smtp_engine_hear(p.engine, "220-", 4, &used);
	ck_assert_int_eq(smtp_engine_deadline(p.engine), before);
	end(&p);
}
END_TEST

static const struct {
	const char *label;
	size_t says; /* how many of the replies below */
	size_t limit;
	bool pipelined;
} limits[] = {
    {"banner", 0, offsetof(struct egress_path, banner_timeout), false},
    {"EHLO", 1, offsetof(struct egress_path, ehlo_timeout), false},
    {"MAIL", 2, offsetof(struct egress_path, mail_from_timeout), false},
    {"RCPT", 3, offsetof(struct egress_path, rcpt_to_timeout), false},
    {"DATA", 4, offsetof(struct egress_path, data_timeout), false},
    {"final dot", 5, offsetof(struct egress_path, data_dot_timeout), false},
    {"a flight has the longest of its limits", 2,
	offsetof(struct egress_path, data_timeout), true},
};

START_TEST(each_stage_has_its_time_limit)
{
	static const char *const plain[] = {
	    "220 hi", "250 peer", "250 ok", "250 ok", "354 go"};
	struct duration *all[] = {NULL, NULL, NULL, NULL, NULL, NULL};
	struct play p;
	int64_t left;

	begin(&p, &conversations[0]);
	all[0] = &p.path.banner_timeout;
	all[1] = &p.path.ehlo_timeout;
	all[2] = &p.path.mail_from_timeout;
	all[3] = &p.path.rcpt_to_timeout;
	all[4] = &p.path.data_dot_timeout;
	all[5] = &p.path.data_timeout;
	for (size_t i = 0; i < COUNT(all); i++)
		all[i]->ms = 1000000 * (int64_t)(i + 1);
	smtp_engine_start(p.engine, &(struct smtp_terms){0});
	for (size_t i = 0; i < limits[_i].says; i++)
		hear(&p, limits[_i].pipelined && i == 1
			     ? "250-peer\n250 PIPELINING"
			     : plain[i]);
	left = smtp_engine_deadline(p.engine) - clock_now_ms();
	all[0] =
	    (struct duration *)(void *)((char *)&p.path + limits[_i].limit);
	ck_assert_msg(left <= all[0]->ms && left > all[0]->ms - 100000,
	    "%s: %lld", limits[_i].label, (long long)left);
	end(&p);
}
END_TEST

START_TEST(a_refusal_names_the_command)
{
	struct play p;

	begin(&p, &conversations[0]);
	hear(&p, "220 hi");
	hear(&p, "250 peer");
	hear(&p, "250 ok");
	hear(&p, "550 5.1.1 no");
	ck_assert_pstr_eq(p.rcpts[0].reply.command, "RCPT TO:<b@b.test>");
	ck_assert_str_eq(p.rcpts[0].reply.text, "no");
	end(&p);
}
END_TEST

START_TEST(the_name_in_ehlo_cannot_end_the_line)
{
	struct play p;
	struct smtp_engine *e;
	size_t used;

	begin(&p, &conversations[0]);
	e = smtp_engine_new(&p.path, "me\r\nRSET", "session", &p.out);
	smtp_engine_start(e, &(struct smtp_terms){0});
	(void)smtp_engine_hear(e, "220 hi\r\n", 8, &used);
	ck_assert_str_eq(buf_str(&p.out), "EHLO meRSET\r\n");
	smtp_engine_free(e);
	end(&p);
}
END_TEST

TCase *engine_tests(void)
{
	TCase *tc = tcase_create("smtp_engine");

	tcase_add_loop_test(
	    tc, a_conversation_ends_as_it_should, 0, (int)conversation_count);
	tcase_add_test(tc, bytes_may_come_one_by_one);
	tcase_add_test(tc, the_watchdog_ends_what_makes_no_progress);
	tcase_add_test(
	    tc, a_watchdog_that_is_slower_than_the_stage_says_nothing);
	tcase_add_test(tc, single_bytes_do_not_move_the_deadline);
	tcase_add_loop_test(
	    tc, each_stage_has_its_time_limit, 0, COUNT(limits));
	tcase_add_test(tc, a_refusal_names_the_command);
	tcase_add_test(tc, the_name_in_ehlo_cannot_end_the_line);
	return tc;
}
