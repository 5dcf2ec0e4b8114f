/*
 * smtp_session.c - smtp_engine, smtp_wire and a clock, working off a plan
 *
 *	connect -> greet -> [next -> begin -> content -> done] ... -> quit
 *	   |         |                  |
 *	   +---------+--- lost ---------+--> the next candidate, or the end
 *
 * The engine says after each call what is to be done; run() does it until there
 * is something to wait for.  Nothing is freed and closed() is not called inside
 * a callback of the wire: finish() schedules that.
 *
 * One timer, set lazily: a deadline that moves away is noticed when it fires.
 *
 * See: smtp_jobs.c for the messages that go over the connection.
 */
#include <event2/event.h>
#include <inttypes.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "deliver/smtp_session_private.h"

static void run(struct smtp_session *s, enum smtp_step step);

/* ---- time ---- */

static int64_t deadline_of(const struct smtp_session *s)
{
	return s->connect_deadline ? s->connect_deadline
				   : smtp_engine_deadline(s->engine);
}

static void set_timer(struct smtp_session *s)
{
	int64_t at, left;
	struct timeval tv;

	if (s->ended)
		return;
	at = deadline_of(s);
	left = at - clock_now_ms();
	/* The timer knows nothing of a clock that a test has moved. */
	if (left > 0 && s->timer_at && s->timer_at <= at)
		return;
	if (left < 0)
		left = 0;
	tv.tv_sec = left / 1000;
	tv.tv_usec = left % 1000 * 1000;
	s->timer_at = at;
	(void)event_add(s->timer, &tv);
}

/* ---- the end ---- */

static void schedule(struct smtp_session *s)
{
	event_active(s->kick, EV_TIMEOUT, 0);
}

static void finish(
    struct smtp_session *s, enum session_end end, const struct smtp_reply *why)
{
	if (s->ended)
		return;
	s->ended = true;
	s->end = end;
	s->end_texts = arena_new(0);
	if (why && why->code)
		s->end_reply = smtp_reply_copy(s->end_texts, why);
	else
		s->end_reply.text = "";
	(void)event_del(s->timer);
	smtp_wire_close(s->wire);
	schedule(s);
}

static void free_session(struct smtp_session *s)
{
	event_free(s->timer);
	event_free(s->kick);
	smtp_wire_free(s->wire);
	smtp_engine_free(s->engine);
	smtp_route_release(&s->route);
	free(s->tls);
	arena_unref(s->end_texts);
	free(s);
}

/* ---- candidates ---- */

static void no_host(struct smtp_session *s)
{
	struct smtp_reply reply = {
	    .code = 400, .text = smtp_route_reasons(&s->route)};

	smtp_route_give_up(&s->route, &s->facts);
	finish(s, s->greeted ? SESSION_LOST : SESSION_NO_HOST, &reply);
}

static void forget_connection(struct smtp_session *s)
{
	smtp_wire_close(s->wire);
	free(s->tls);
	s->tls = NULL;
	s->facts = (struct session_facts){0};
	s->idle = s->made_progress = s->hurt = s->reached = false;
	s->tls_counted = false;
	s->deliveries = 0;
	s->connect_deadline = 0;
}

static void try_candidates(struct smtp_session *s)
{
	forget_connection(s);
	if (!smtp_route_connect(&s->route, s->wire, &s->facts)) {
		no_host(s);
		return;
	}
	s->connect_deadline =
	    clock_now_ms() + s->plan->path->connect_timeout.ms;
	set_timer(s);
}

/* A proxy that stays silent, closes or refuses is our own trouble. */
static bool is_proxy_at_fault(const struct smtp_session *s)
{
	return smtp_route_has_proxy(&s->route) && !s->reached &&
	       !smtp_wire_host_at_fault(s->wire);
}

static void candidate_failed(struct smtp_session *s, const char *why)
{
	if (is_proxy_at_fault(s))
		smtp_route_proxy_failed(&s->route, why);
	else
		smtp_route_failed(&s->route, why);
	smtp_wire_flush(s->wire); /* a QUIT, as far as it goes */
	try_candidates(s);
}

/* ---- a connection that ends ---- */

/* The peer is gone or of no use, after the greeting. */
static void connection_over(struct smtp_session *s)
{
	const struct smtp_reply *why = smtp_engine_failure(s->engine);
	enum reconnect_strategy strategy = s->plan->path->reconnect_strategy;

	smtp_wire_close(s->wire);
	if (s->quitting || s->stop || s->abort || s->idle) {
		finish(s, SESSION_DONE, why);
		return;
	}
	if (!s->ahead && strategy != RECONNECT_TERMINATE)
		s->ahead = s->ops->next(s->owner, true);
	if (!s->ahead || strategy == RECONNECT_TERMINATE) {
		finish(s, s->hurt ? SESSION_LOST : SESSION_DONE, why);
		return;
	}
	smtp_route_failed(
	    &s->route, why->code ? why->text : "the connection was lost");
	/* The same host only when it did something for us, or it is for ever.
	 */
	if (strategy == RECONNECT_SAME_HOST && s->made_progress)
		smtp_route_again(&s->route);
	try_candidates(s);
}

/* ---- content ---- */

static enum smtp_step content_over(struct smtp_session *s)
{
	enum smtp_step step = smtp_engine_content_sent(s->engine);

	smtp_wire_flush(s->wire);
	if (FAULT_POINT("router.after-final-dot"))
		return smtp_engine_lost(s->engine, "a fault was injected");
	smtp_jobs_fetch_ahead(s);
	return step;
}

static enum smtp_step send_content(struct smtp_session *s)
{
	if (!s->content.job)
		smtp_content_start(&s->content, s->now.job);
	switch (smtp_content_pump(&s->content)) {
	case CONTENT_WAIT:
		break;
	case CONTENT_ALL:
		return content_over(s);
	case CONTENT_BAD:
		return smtp_engine_content_failed(
		    s->engine, "its bytes are not all there");
	}
	return STEP_WAIT;
}

static void on_chunk(void *ctx)
{
	run(ctx, STEP_CONTENT);
}

/* ---- TLS ---- */

/* Once for each candidate, unless TLS was never meant to be. */
static void tell_tls(struct smtp_session *s, enum tls_result result, bool up)
{
	if (s->tls_counted || !s->ops->tls_result ||
	    smtp_route_tls(&s->route) == TLS_DISABLED)
		return;
	s->tls_counted = true;
	s->ops->tls_result(
	    s->owner, smtp_route_candidate(&s->route), result, up);
}

/* What a policy that is being tested would have made of it counts, and what
 * DANE would have had to say. */
static void tell_tls_up(struct smtp_session *s)
{
	const struct candidate *c = smtp_route_candidate(&s->route);
	enum tls_result result = TLS_RESULT_SUCCESS;

	if (c->unnamed)
		result = TLS_RESULT_VALIDATION_FAILURE;
	else if (c->report_only)
		result = s->tls->result;
	else if (c->policy == TLS_POLICY_TLSA && !c->tlsa)
		result = TLS_RESULT_TLSA_INVALID;
	tell_tls(s, result, true);
}

/* It goes on in clear text, or not at all. */
static void tell_tls_down(struct smtp_session *s, bool up)
{
	if (smtp_engine_tls_refused(s->engine))
		tell_tls(s, TLS_RESULT_STARTTLS_NOT_SUPPORTED, up);
	else if (smtp_engine_tls_failed(s->engine))
		tell_tls(s, TLS_RESULT_VALIDATION_FAILURE, up);
}

static bool shake_hands(struct smtp_session *s, bool may_go_on, struct err *err)
{
	struct arena *arena = arena_new(0);
	struct tls_request request;
	bool ok;

	smtp_route_request(&s->route, arena, &request);
	ok = smtp_wire_start_tls(
	    s->wire, s->plan->tls, &request, may_go_on, err);
	arena_unref(arena);
	return ok;
}

static enum smtp_step start_tls(struct smtp_session *s)
{
	struct err err = {0};

	/* On the same connection in clear, unless a new one will be made. */
	if (shake_hands(s,
		smtp_route_tls(&s->route) == TLS_OPPORTUNISTIC_INSECURE &&
		    !s->plan->path
			 ->opportunistic_tls_reconnect_on_failed_handshake,
		&err))
		return STEP_WAIT;
	return smtp_engine_tls(s->engine, err.text);
}

static void keep_tls_facts(struct smtp_session *s)
{
	enum tls_mode mode = smtp_route_tls(&s->route);

	if (!s->tls)
		s->tls = xcalloc(1, sizeof *s->tls);
	smtp_wire_tls_facts(s->wire, s->tls);
	s->facts.tls_cipher = s->tls->cipher;
	s->facts.tls_version = s->tls->version;
	s->facts.tls_peer_subject = s->tls->subject;
	s->facts.tls_verified =
	    s->tls->verified &&
	    (mode == TLS_OPPORTUNISTIC || mode == TLS_REQUIRED);
}

static bool is_opportunistic(const struct smtp_session *s)
{
	enum tls_mode mode = smtp_route_candidate(&s->route)->tls;

	return mode == TLS_OPPORTUNISTIC || mode == TLS_OPPORTUNISTIC_INSECURE;
}

/* The candidate is no use; perhaps without TLS it is (12.6). */
static void greeting_failed(struct smtp_session *s)
{
	const char *why = smtp_engine_failure(s->engine)->text;

	tell_tls_down(s, false);
	if (!smtp_engine_tls_failed(s->engine) || !is_opportunistic(s) ||
	    !s->ops->tls_failed(s->owner)) {
		candidate_failed(s, why);
		return;
	}
	smtp_route_failed(&s->route, why);
	smtp_wire_flush(s->wire);
	s->route.tls_broken = true;
	smtp_route_again(&s->route);
	try_candidates(s);
}

/* ---- what the engine asks for ---- */

static enum smtp_step do_step(struct smtp_session *s, enum smtp_step step)
{
	switch (step) {
	case STEP_WAIT:
		break;
	case STEP_TLS:
		return start_tls(s);
	case STEP_READY:
		s->greeted = true;
		tell_tls_down(s, true);
		/* It goes on in clear; the owner may want to know. */
		if (smtp_engine_tls_failed(s->engine) && !s->deliveries)
			(void)s->ops->tls_failed(s->owner);
		return smtp_jobs_next(s);
	case STEP_CONTENT:
		return send_content(s);
	case STEP_DONE:
		return smtp_jobs_done(s, false);
	case STEP_FAILED:
		greeting_failed(s);
		break;
	case STEP_CLOSED:
		connection_over(s);
		break;
	}
	return STEP_WAIT;
}

/* Until there is something to wait for. */
static void run(struct smtp_session *s, enum smtp_step step)
{
	while (step != STEP_WAIT && !s->ended)
		step = do_step(s, step);
	if (s->ended)
		return;
	smtp_wire_flush(s->wire);
	set_timer(s);
}

/* ---- the wire ---- */

static void converse(struct smtp_session *s, bool tls_up)
{
	const struct smtp_terms terms = {.tls = smtp_route_tls(&s->route),
	    .tls_up = tls_up,
	    .username = s->plan->username,
	    .password = s->plan->password};

	s->connect_deadline = 0;
	smtp_engine_start(s->engine, &terms);
	set_timer(s);
}

/* Time for TLS before the banner is part of that for connecting. */
static void on_connected(void *ctx)
{
	struct smtp_session *s = ctx;
	struct err err = {0};

	/* HAProxy says nothing of its own: the host's first byte does. */
	s->reached = !s->facts.proxy || s->facts.proxy->kind != PROXY_HAPROXY;
	if (!s->facts.proxy)
		smtp_wire_local(s->wire, s->facts.source_address);
	if (!smtp_route_candidate(&s->route)->implicit_tls)
		converse(s, false);
	else if (!shake_hands(s, false, &err))
		candidate_failed(s, err.text);
}

/* Everything that was read is heard before we act on "ready" or "content":
 * what follows them was said out of turn. */
static void on_bytes(void *ctx, const char *data, size_t len)
{
	struct smtp_session *s = ctx;
	enum smtp_step step, pending = STEP_WAIT;
	size_t used;

	if (s->ended)
		return;
	s->reached = true;
	do {
		step = smtp_engine_hear(s->engine, data, len, &used);
		data += used;
		len -= used;
		if (step == STEP_TLS && len) {
			step = smtp_engine_lost(
			    s->engine, "bytes after the answer to STARTTLS");
			len = 0;
		}
		if (step == STEP_DONE && len)
			step = smtp_jobs_done(s, true);
		if (step == STEP_READY || step == STEP_CONTENT) {
			pending = step;
			step = STEP_WAIT;
		}
	} while (len && step == STEP_WAIT);
	if (step == STEP_WAIT)
		step = pending;
	run(s, step);
}

static void on_moved(void *ctx)
{
	struct smtp_session *s = ctx;

	smtp_engine_content_moves(s->engine);
	if (!s->ended && smtp_content_blocked(&s->content))
		run(s, STEP_CONTENT);
}

static void on_tls(void *ctx, const char *why)
{
	struct smtp_session *s = ctx;
	char text[320];

	if (s->ended)
		return;
	if (!why) {
		keep_tls_facts(s);
		tell_tls_up(s);
	} else {
		tell_tls(s, smtp_wire_tls_result(s->wire), false);
	}
	if (!s->connect_deadline) {
		run(s, smtp_engine_tls(s->engine, why));
	} else if (!why) {
		converse(s, true);
	} else {
		(void)snprintf(text, sizeof text, "TLS handshake: %s", why);
		candidate_failed(s, text);
	}
}

static void on_lost(void *ctx, const char *why)
{
	struct smtp_session *s = ctx;
	char text[320];

	if (s->ended)
		return;
	if (!s->connect_deadline) {
		run(s, smtp_engine_lost(s->engine, why));
		return;
	}
	(void)snprintf(text, sizeof text, "connect: %s", why);
	candidate_failed(s, text);
}

static const struct smtp_wire_ops wire_ops = {
    .connected = on_connected,
    .bytes = on_bytes,
    .moved = on_moved,
    .tls = on_tls,
    .lost = on_lost,
};

/* ---- the loop's other calls ---- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct smtp_session *s = ctx;

	(void)fd;
	(void)what;
	s->timer_at = 0;
	if (s->ended)
		return;
	if (clock_now_ms() < deadline_of(s)) {
		set_timer(s);
	} else if (s->connect_deadline) {
		candidate_failed(s, "connect: timed out");
	} else if (s->idle) {
		s->quitting = true;
		s->idle = false;
		smtp_engine_quit(s->engine);
		run(s, STEP_WAIT);
	} else {
		run(s, smtp_engine_timeout(s->engine));
	}
}

static void close_session(struct smtp_session *s)
{
	s->ops->closed(s->owner, s->end, &s->end_reply, &s->facts, s->ahead);
	free_session(s);
}

static void obey_abort(struct smtp_session *s)
{
	struct smtp_reply reply = {
	    .code = 400, .text = "the connection was dropped by the operator"};

	if (s->now.job) {
		(void)smtp_engine_lost(s->engine, "given up");
		(void)smtp_jobs_done(s, false);
	}
	finish(s, SESSION_DONE, &reply);
}

static void on_kick(evutil_socket_t fd, short what, void *ctx)
{
	struct smtp_session *s = ctx;

	(void)fd;
	(void)what;
	if (s->ended) {
		close_session(s);
	} else if (s->abort) {
		obey_abort(s);
	} else if (s->give_up && !s->greeted) {
		if (s->route.at)
			smtp_route_failed(&s->route,
			    "no answer so far, and others needed its place");
		no_host(s);
	} else if (!s->route.at || s->connect_deadline) {
		if (s->stop)
			finish(s, SESSION_DONE, NULL);
		else if (!s->route.at)
			try_candidates(s);
	} else if (s->idle && (s->stop || s->woken)) {
		run(s, smtp_jobs_next(s));
	}
}

/* ---- public ---- */

struct smtp_session *smtp_session_start(struct event_base *base,
    const struct delivery_plan *plan, const struct session_owner_ops *ops,
    void *owner)
{
	struct smtp_session *s = xcalloc(1, sizeof *s);

	s->base = base;
	s->plan = plan;
	s->ops = ops;
	s->owner = owner;
	smtp_route_init(&s->route, plan);
	s->wire = smtp_wire_new(base, &wire_ops, s);
	s->engine = smtp_engine_new(plan->path, plan->ehlo_name,
	    plan->session_id, smtp_wire_out(s->wire));
	s->content = (struct smtp_content){
	    .wire = s->wire, .resume = on_chunk, .ctx = s};
	s->timer = event_new(base, -1, 0, on_timer, s);
	s->kick = event_new(base, -1, 0, on_kick, s);
	if (!s->timer || !s->kick)
		diag_panic("no memory for an event");
	schedule(s);
	return s;
}

void smtp_session_wake(struct smtp_session *s)
{
	if (s->ended || !s->idle || s->woken)
		return;
	s->woken = true;
	schedule(s);
}

bool smtp_session_idle(const struct smtp_session *s)
{
	return s->idle && !s->woken && !s->ended;
}

void smtp_session_shutdown(struct smtp_session *s)
{
	s->stop = true;
	schedule(s);
}

void smtp_session_give_up(struct smtp_session *s)
{
	s->give_up = true;
	schedule(s);
}

void smtp_session_abort(struct smtp_session *s)
{
	s->abort = true;
	schedule(s);
}
