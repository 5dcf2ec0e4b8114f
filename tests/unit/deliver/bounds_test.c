/*
 * bounds_test.c - what a peer can make a connection hold
 *
 * Each part of deliver/smtp_bounds.h against a peer that tries.
 */
#include "deliver/smtp_bounds.h"

#include <event2/event.h>

#include "base/arena.h"
#include "base/str.h"
#include "deliver/smtp_engine.h"
#include "deliver/smtp_session_private.h"
#include "tests/unit/deliver/deliver_test.h"
#include "tests/unit/deliver/session_world.h"

#define MANY 2000

/* ---- the engine, with a message for many ---- */

struct host {
	struct smtp_engine *engine;
	struct buf out;
	struct arena *arena;
	struct delivery_job job;
	struct delivery_recipient rcpts[MANY];
	size_t said;
};

static enum smtp_step hears(struct host *h, const char *text)
{
	size_t used;
	enum smtp_step step =
	    smtp_engine_hear(h->engine, text, strlen(text), &used);

	ck_assert_uint_eq(used, strlen(text));
	return step;
}

static void host_open(struct host *h, size_t count)
{
	static struct egress_path path;
	static const struct smtp_terms terms = {.tls = TLS_DISABLED};

	path = *egress_path_defaults();
	*h = (struct host){.arena = arena_new(0)};
	h->job = (struct delivery_job){.id = "m",
	    .recipients = h->rcpts,
	    .count = count,
	    .facts = {.size = 10},
	    .arena = h->arena,
	    .said = &h->said};
	ck_assert(address_parse(
	    "a@a.test", 8, h->arena, &h->job.sender.address, NULL));
	for (size_t i = 0; i < count; i++) {
		const char *to =
		    arena_printf(h->arena, "recipient-%zu@b.test", i);

		ck_assert(address_parse(
		    to, strlen(to), h->arena, &h->rcpts[i].who.address, NULL));
	}
	h->engine = smtp_engine_new(&path, "me", "id", &h->out);
	smtp_engine_start(h->engine, &terms);
	ck_assert_int_eq(hears(h, "220 hi\r\n"), STEP_WAIT);
	ck_assert_int_eq(
	    hears(h, "250-peer\r\n250 PIPELINING\r\n"), STEP_READY);
	buf_reset(&h->out);
}

static void host_close(struct host *h)
{
	smtp_engine_free(h->engine);
	buf_release(&h->out);
	arena_unref(h->arena);
}

static size_t lines_of(const struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < out->len; i++)
		n += out->data[i] == '\n';
	return n;
}

START_TEST(a_long_flight_leaves_in_parts)
{
	static struct host h;
	size_t said = 0, parts = 0, owed;
	enum smtp_step step;

	host_open(&h, MANY);
	step = smtp_engine_begin(h.engine, &h.job, h.arena);
	while (step == STEP_WAIT) {
		owed = lines_of(&h.out);
		ck_assert_uint_gt(owed, 0);
		ck_assert_uint_lt(h.out.len, SMTP_FLIGHT_MOST + 1024);
		said += owed;
		parts++;
		if (said == MANY + 2) /* and MAIL, and DATA */
			ck_assert_ptr_nonnull(
			    strstr(buf_str(&h.out), "DATA\r\n"));
		buf_reset(&h.out);
		for (size_t i = 0; i < owed && step == STEP_WAIT; i++)
			step = hears(&h, said == MANY + 2 && i + 1 == owed
					     ? "354 go\r\n"
					     : "250 ok\r\n");
	}
	ck_assert_int_eq(step, STEP_CONTENT);
	ck_assert_uint_eq(said, MANY + 2);
	ck_assert_uint_gt(parts, 1);
	host_close(&h);
}
END_TEST

START_TEST(a_part_that_is_refused_is_the_last)
{
	static struct host h;
	size_t owed;
	enum smtp_step step;

	host_open(&h, MANY);
	ck_assert_int_eq(
	    smtp_engine_begin(h.engine, &h.job, h.arena), STEP_WAIT);
	owed = lines_of(&h.out);
	buf_reset(&h.out);
	step = hears(&h, "550 5.7.1 not you\r\n");
	for (size_t i = 1; i < owed; i++) {
		ck_assert_int_eq(step, STEP_WAIT);
		step = hears(&h, "503 5.5.1 what for?\r\n");
	}
	ck_assert_int_eq(step, STEP_DONE);
	ck_assert_uint_eq(h.out.len, 0);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_int_eq(h.rcpts[i].reply.code, 550);
	host_close(&h);
}
END_TEST

/* One line of `len` bytes, another one for each n. */
static const char *talk(struct buf *line, int code, size_t n, size_t len)
{
	buf_reset(line);
	buf_addf(line, "%d number %zu ", code, n);
	while (line->len < len)
		buf_addstr(line, "\xc3\xa4");
	buf_addstr(line, "\r\n");
	return buf_str(line);
}

static size_t refuse_all(struct host *h, size_t len)
{
	struct buf line = BUF_INIT;
	size_t before = arena_used(h->arena), n = 0, owed;
	enum smtp_step step = smtp_engine_begin(h->engine, &h->job, h->arena);

	while (step == STEP_WAIT) {
		owed = lines_of(&h->out);
		buf_reset(&h->out);
		for (size_t i = 0; i < owed && step == STEP_WAIT; i++, n++)
			step = n == 0 ? hears(h, "250 ok\r\n")
				      : hears(h, talk(&line, 550, n, len));
	}
	ck_assert_int_eq(step, STEP_DONE);
	buf_release(&line);
	return arena_used(h->arena) - before;
}

START_TEST(what_is_kept_of_many_refusals_is_bounded)
{
	static struct host h;
	size_t grown;

	host_open(&h, MANY);
	grown = refuse_all(&h, 4000);
	/* Each also has the command that was refused. */
	ck_assert_uint_lt(grown, SMTP_SAID_MOST + MANY * 128);
	ck_assert_uint_le(h.said, SMTP_SAID_MOST);
	/* The first are whole, the last say what they can, in whole letters. */
	ck_assert_uint_gt(strlen(h.rcpts[0].reply.text), 3900);
	for (size_t i = 0; i < MANY; i++) {
		const struct smtp_reply *reply = &h.rcpts[i].reply;

		ck_assert_int_eq(reply->code, 550);
		ck_assert(*reply->text);
		ck_assert(str_is_utf8(reply->text, strlen(reply->text)));
	}
	ck_assert_ptr_nonnull(strstr(h.rcpts[MANY - 1].reply.text, "..."));
	host_close(&h);
}
END_TEST

START_TEST(refusals_of_a_usual_length_are_kept_whole)
{
	static struct host h;

	host_open(&h, 1000);
	(void)refuse_all(&h, 100);
	for (size_t i = 0; i < 1000; i++)
		ck_assert_ptr_null(strstr(h.rcpts[i].reply.text, "..."));
	host_close(&h);
}
END_TEST

/* "Too many recipients" is not recorded, so nothing is kept of it: with a
 * thousand recipients it is said half a million times. */
START_TEST(a_recipient_for_another_transaction_costs_nothing)
{
	static struct host h;
	struct buf line = BUF_INIT;
	size_t before, n = 0;
	enum smtp_step step;

	host_open(&h, 200);
	before = arena_used(h.arena);
	step = smtp_engine_begin(h.engine, &h.job, h.arena);
	buf_reset(&h.out);
	for (; step == STEP_WAIT; n++)
		step = n <= 1     ? hears(&h, "250 ok\r\n")
		       : n == 201 ? hears(&h, "354 go\r\n")
				  : hears(&h, talk(&line, 452, n, 4000));
	ck_assert_int_eq(step, STEP_CONTENT);
	ck_assert_uint_lt(arena_used(h.arena) - before, 1024);
	ck_assert(h.rcpts[199].retry_at_once);
	buf_release(&line);
	host_close(&h);
}
END_TEST

/* ---- the wire ---- */

#define HELLO "> 220 hi", "< EHLO me", "> 250-peer\n250 PIPELINING"
#define FLIGHT                                                                 \
	"< MAIL FROM:<a@a.test>", "< RCPT TO:<b@b.test>", "< DATA",            \
	    "> 250 ok\n250 ok\n354 go"

/* clang-format off */
static const struct play slow[] = {
    {"a peer that does not read", .flags = IMPATIENT | HUGE, .jobs = 1,
	.scripts = {{{HELLO, FLIGHT, "drip 2000"}}},
	.want = "421 4.4.2; lost"},
    {"nor in TLS", .flags = IMPATIENT | HUGE, .jobs = 1,
	.tls = TLS_REQUIRED_INSECURE,
	.scripts = {{{"> 220 hi", "< EHLO me", "> 250-peer\n250 STARTTLS",
	    "< STARTTLS", "> 220 go", "tls", "< EHLO me",
	    "> 250-peer\n250 PIPELINING", FLIGHT, "drip 2000"}}},
	.want = "421 4.4.2 encrypted; lost"},
    {"nor a prefix that is as large as a message", .flags = IMPATIENT,
	.jobs = 1, .scripts = {{{HELLO, FLIGHT, "drip 2000"}}},
	.want = "421 4.4.2; lost"},
};
/* clang-format on */

static const struct session_owner_ops *inner = &world_owner_ops;
static char *long_prefix;

static struct delivery_job *next_with_prefix(void *owner, bool early)
{
	struct delivery_job *job = inner->next(owner, early);

	if (job && long_prefix) {
		job->prefix = long_prefix;
		job->prefix_len = 24000000;
	}
	return job;
}

START_TEST(what_a_peer_does_not_read_is_not_read_for_it)
{
	const struct play *p = &slow[_i];
	struct session_owner_ops ops = world_owner_ops;
	struct world w;
	size_t now, most = 0;

	ops.next = next_with_prefix;
	world_open(&w, p);
	if (!(p->flags & HUGE)) {
		long_prefix = malloc(24000000);
		ck_assert_ptr_nonnull(long_prefix);
		for (size_t i = 0; i < 24000000; i++)
			long_prefix[i] = ".x\r\n"[i % 4];
	}
	w.session = smtp_session_start(w.base, &w.plan, &ops, &w);
	while (!w.ended) {
		ck_assert_int_ge(event_base_loop(w.base, EVLOOP_ONCE), 0);
		now = w.ended ? 0 : smtp_wire_backlog(w.session->wire);
		most = now > most ? now : most;
	}
	smtp_sink_stop(w.sink);
	ck_assert_str_eq(buf_str(&w.log), p->want);
	ck_assert_uint_gt(most, SMTP_CHUNK);
	ck_assert_uint_le(most, SMTP_BACKLOG_MOST);
	free(long_prefix);
	long_prefix = NULL;
	world_close(&w);
}
END_TEST

static void no_bytes(void *ctx, const char *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
}

static void no_news(void *ctx)
{
	(void)ctx;
}

static void is_connected(void *ctx)
{
	struct smtp_wire *wire = *(struct smtp_wire **)ctx;
	static char much[SMTP_BACKLOG_MOST + 1];

	memset(much, 'x', sizeof much);
	buf_add(smtp_wire_out(wire), much, sizeof much);
	smtp_wire_flush(wire);
	ck_assert_uint_eq(smtp_wire_backlog(wire), 0);
}

static char lost_why[200];

static void is_lost(void *ctx, const char *why)
{
	(void)ctx;
	(void)str_copy(lost_why, sizeof lost_why, why);
}

/* Whoever forgets the bound loses a connection, not the router's memory. */
START_TEST(a_backlog_beyond_the_bound_ends_the_connection)
{
	static const struct smtp_wire_ops ops = {.connected = is_connected,
	    .bytes = no_bytes,
	    .moved = no_news,
	    .lost = is_lost};
	static const struct play p = {
	    .label = "overfull", .scripts = {{{"rest"}}}, .want = ""};
	struct err err = {0};
	struct smtp_wire *wire;
	struct world w;
	bool unplumbed;

	world_open(&w, &p);
	lost_why[0] = '\0';
	wire = smtp_wire_new(w.base, &ops, &wire);
	ck_assert(smtp_wire_connect(
	    wire, &w.candidates[0], NULL, NULL, &unplumbed, &err));
	while (!lost_why[0])
		ck_assert_int_ge(event_base_loop(w.base, EVLOOP_ONCE), 0);
	ck_assert_str_eq(
	    lost_why, "more was to be sent than a connection may hold");
	smtp_wire_free(wire);
	smtp_sink_stop(w.sink);
	world_close(&w);
}
END_TEST

TCase *bounds_tests(void)
{
	TCase *tc = tcase_create("smtp_bounds");

	tcase_add_test(tc, a_long_flight_leaves_in_parts);
	tcase_add_test(tc, a_part_that_is_refused_is_the_last);
	tcase_add_test(tc, what_is_kept_of_many_refusals_is_bounded);
	tcase_add_test(tc, refusals_of_a_usual_length_are_kept_whole);
	tcase_add_test(tc, a_recipient_for_another_transaction_costs_nothing);
	tcase_add_loop_test(
	    tc, what_a_peer_does_not_read_is_not_read_for_it, 0, COUNT(slow));
	tcase_add_test(tc, a_backlog_beyond_the_bound_ends_the_connection);
	return tc;
}
