/*
 * lua_connection.c - a connection of custom_lua: an object of the policy
 *
 * Everything happens in advance(), which is deferred and looks at where the
 * connection stands; calls and loads come back to the loop and lead there.
 *
 * A connection that is aborted leaves at once and leaves its lua_connection
 * behind (c NULL): that ends when the call that runs comes back.
 */
#include "router/lua_connection.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "lua/script_session.h"
#include "router/connection.h"
#include "router/destination.h"
#include "router/message_load.h"
#include "router/outcome.h"
#include "router/policy_call.h"
#include "router/ready_limits.h"
#include "router/ready_message.h"
#include "router/ready_queues.h"
#include "router/router.h"

#define MAKE_MS 60000
#define SEND_MS 120000
#define CLOSE_MS 10000
/* Messages that a connection should have before there is a second one. */
#define EACH 10

enum stage { MAKING, READY, LOADING, SENDING, ENDING };

struct lua_connection {
	struct connection *c; /* NULL: it has left */
	struct router *r;
	struct script_policy *policy;
	struct script_session *session;
	const struct lua_target *target; /* c->destination's */
	char peer_name[256];
	enum stage stage;
	int64_t bites_at; /* the watchdog, the call under way; 0: it does not */
	struct script_call *call; /* NULL: none runs */
	struct loop_item answered;
	struct loop_deferred work;
	struct loop_timer *timer;
	bool timed_out; /* waited long enough, for a batch or at all */
	bool gathering; /* the timer runs for a batch */
	bool broken;    /* an error: close it */
	int64_t deliveries;
	struct ready_message **batch; /* being loaded or sent */
	struct message **messages;    /* the same, for the policy */
	size_t count;
};

/* ---- how many ---- */

static size_t batches(const struct ready_queue *rq)
{
	size_t size = rq->destination->lua->batch_size;

	return (rq->waiting_count + rq->in_flight + size - 1) / size;
}

size_t lua_connections_wanted(const struct ready_queue *rq)
{
	size_t limit = (size_t)ready_queue_path(rq)->connection_limit;
	size_t want = (batches(rq) + EACH - 1) / EACH;

	return want < limit ? want : limit;
}

bool lua_connection_may_open(const struct ready_queue *rq)
{
	size_t open = rq->r->lua_connections;

	if (open >= LUA_CONNECTIONS_MOST)
		return false;
	return open < LUA_CONNECTIONS_MOST / 2 || rq->connection_count < 2;
}

/* ---- calls ---- */

static void free_one(struct lua_connection *lc)
{
	script_session_free(lc->session);
	script_policy_unref(lc->policy);
	loop_timer_free(lc->timer);
	list_remove(&lc->work.link);
	free(lc->batch);
	free(lc->messages);
	free(lc);
}

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct lua_connection *lc = ctx;

	(void)call;
	loop_post(lc->r->loop, &lc->answered);
}

static void submit(
    struct lua_connection *lc, struct script_call *call, int64_t limit_ms)
{
	lc->call = call;
	script_call_submit(call, clock_now_ms() + limit_ms, on_lua_thread, lc);
}

/* The connection is no more; lc stays while a call runs. */
static void leave(struct lua_connection *lc, const struct smtp_reply *failed)
{
	const struct session_facts facts = {.peer_name = NULL};
	struct connection *c = lc->c;

	lc->c = NULL;
	c->lua = NULL;
	lc->r->lua_connections--;
	connection_closed(c, failed, &facts);
	if (!lc->call)
		free_one(lc);
}

static void end_session(struct lua_connection *lc)
{
	lc->stage = ENDING;
	if (script_session_broken(lc->session)) {
		leave(lc, NULL);
		return;
	}
	submit(lc, script_session_end(lc->session), CLOSE_MS);
}

/* ---- messages ---- */

static void report(
    struct lua_connection *lc, const struct smtp_reply *reply, bool bounce)
{
	struct session_facts facts = {.peer_name = lc->peer_name};
	struct connection *c = lc->c;

	(void)ip_parse("0.0.0.0", &facts.peer_ip);
	for (size_t i = 0; i < lc->count; i++) {
		struct ready_message *rm = lc->batch[i];
		struct attempt attempt = ready_queue_attempt(c->rq,
		    c->plan.path, c->plan.source, rm, &facts, c->session_id);
		struct smtp_reply copy = smtp_reply_copy(rm->arena, reply);

		attempt.bounce = bounce;
		for (size_t n = 0; n < rm->count; n++)
			rm->recipients[n].reply = copy;
		c->rq->in_flight--;
		ready_message_ends(rm, lc->r->queue, NULL, 0);
		outcome_report(
		    lc->r->outcomes, rm, rm->recipients, rm->count, &attempt);
	}
	lc->deliveries += (int64_t)lc->count;
	lc->count = 0;
}

/* As if they had not been taken. */
static void give_back(struct lua_connection *lc)
{
	struct ready_queue *rq = lc->c->rq;

	for (size_t i = lc->count; i-- > 0;) {
		lc->batch[i]->next = 0;
		rq->in_flight--;
		ready_queue_again(rq, lc->batch[i]);
	}
	lc->count = 0;
}

static void drop_messages(struct lua_connection *lc)
{
	for (size_t i = 0; i < lc->count; i++)
		message_unref(lc->messages[i]);
}

/* The watchdog of the path, where it is quicker; else 0. */
static int64_t watchdog_ms(const struct lua_connection *lc)
{
	int64_t ms = lc->c->plan.path->dispatcher_progress_watchdog_timeout.ms;

	return ms > 0 && ms < SEND_MS ? ms : 0;
}

static void call_send(
    struct lua_connection *lc, struct message **messages, const struct err *err)
{
	bool in_batches = lc->target->batch_size > 1;
	int64_t limit;
	struct script_call *call;
	struct smtp_reply reply;
	struct arena *arena;

	if (err) {
		arena = arena_new(0);
		reply = smtp_reply_make(arena, 400, NULL,
		    "the content cannot be read: %s", err->text);
		report(lc, &reply, false);
		arena_unref(arena);
		lc->stage = READY;
		loop_defer(lc->r->loop, &lc->work);
		return;
	}
	for (size_t i = 0; i < lc->count; i++)
		lc->messages[i] = messages[i];
	call = script_session_method(
	    lc->session, in_batches ? "send_batch" : "send");
	if (in_batches)
		script_arg_batch(call, lc->messages, lc->count);
	else
		script_arg_message(call, lc->messages[0]);
	drop_messages(lc); /* the call has references of its own */
	lc->stage = SENDING;
	for (size_t i = 0; i < lc->count; i++)
		ready_message_begins(lc->batch[i], lc->r->queue, NULL, 0);
	limit = watchdog_ms(lc);
	/* The handler is stopped a little before its time is over. */
	lc->bites_at = limit ? clock_now_ms() + limit - limit / 10 : 0;
	submit(lc, call, limit ? limit : SEND_MS);
}

static void on_loaded(
    struct message **messages, const struct err *err, void *ctx)
{
	struct lua_connection *lc = ctx;

	invariant(lc->c); /* an abort waits for this */
	if (lc->c->ending && lc->r->holds & (HOLD_STOPPING | HOLD_POISON)) {
		if (messages)
			for (size_t i = 0; i < lc->count; i++)
				message_unref(messages[i]);
		give_back(lc);
		end_session(lc);
		return;
	}
	call_send(lc, messages, err);
}

/* Takes what goes into one call; 0: nothing now. */
static size_t take(struct lua_connection *lc)
{
	struct ready_queue *rq = lc->c->rq;
	struct ready_message *rm;

	while (lc->count < lc->target->batch_size &&
	       (rm = ready_queue_first(rq)) != NULL) {
		struct smtp_reply reply;

		if (ready_message_circles(rm, &reply)) {
			connection_refuse(lc->c, rm, &reply);
			continue;
		}
		if (rq->limits && !ready_limits_take_message(rq, rm))
			break; /* woken when it may go */
		rm->next = rm->count;
		rq->in_flight++;
		ready_queue_taken(rq, rm);
		lc->batch[lc->count++] = rm;
	}
	return lc->count;
}

/* ---- what next ---- */

static bool must_end(const struct lua_connection *lc)
{
	const struct connection *c = lc->c;

	return lc->broken || c->ending || lc->policy != lc->r->policy ||
	       lc->deliveries >= c->plan.path->max_deliveries_per_connection;
}

static void on_timer(void *ctx)
{
	struct lua_connection *lc = ctx;

	lc->timed_out = true;
	loop_defer(lc->r->loop, &lc->work);
}

static void wait_until(struct lua_connection *lc, int64_t ms)
{
	struct connection *c = lc->c;

	list_remove(&c->idle);
	list_add_tail(&c->rq->idle, &c->idle);
	if (!loop_timer_is_set(lc->timer))
		loop_timer_set(lc->timer, ms);
}

static void stop_waiting(struct lua_connection *lc)
{
	list_remove(&lc->c->idle);
	/* The timer cannot be unset; a new one is made when it is needed. */
	loop_timer_free(lc->timer);
	lc->timer = loop_timer_new(lc->r->loop, on_timer, lc);
	lc->timed_out = false;
}

static void look_for_work(struct lua_connection *lc)
{
	struct connection *c = lc->c;
	struct ready_queue *rq = c->rq;
	int64_t idle_ms = c->plan.path->idle_timeout.ms;
	int64_t latency_ms = lc->target->latency_ms;

	if (!router_may_start(lc->r)) {
		if (rq->waiting_count > 0)
			ready_queues_hold(rq->owner, rq);
		wait_until(lc, idle_ms);
		return;
	}
	if (rq->waiting_count == 0 ||
	    (rq->limits && ready_limits_sendable(rq) == 0)) {
		if (lc->timed_out || connection_is_wanted(c))
			end_session(lc);
		else
			wait_until(lc, idle_ms);
		return;
	}
	if (rq->waiting_count < lc->target->least && !lc->timed_out &&
	    latency_ms > 0) {
		/* From an idle wait: this is the first of a batch. */
		if (!lc->gathering)
			stop_waiting(lc);
		lc->gathering = true;
		wait_until(lc, latency_ms < idle_ms ? latency_ms : idle_ms);
		return;
	}
	stop_waiting(lc);
	lc->gathering = false;
	if (take(lc) == 0) {
		loop_defer(lc->r->loop, &lc->work);
		return;
	}
	lc->stage = LOADING;
	message_load(lc->r->loader, lc->batch, lc->count, on_loaded, lc);
}

static void advance(struct loop_deferred *d)
{
	struct lua_connection *lc =
	    CONTAINER_OF(d, struct lua_connection, work);

	if (!lc->c || lc->stage != READY)
		return;
	if (must_end(lc)) {
		list_remove(&lc->c->idle);
		end_session(lc);
	} else {
		look_for_work(lc);
	}
}

/* ---- answers ---- */

/* What the connection's method raised, as the reply of a peer. */
static struct smtp_reply reply_of(const struct script_call *call,
    struct arena *arena, bool *bounce, bool *broken)
{
	const struct script_reject *reject;
	struct smtp_reply reply;
	const char *text;

	switch (script_call_outcome(call)) {
	case SCRIPT_VALUE:
		text = script_call_result(call)->s;
		return smtp_reply_make(arena, 200, NULL, "%.*s",
		    SMTP_REPLY_TEXT_MAX, text ? text : "");
	case SCRIPT_REJECTED:
		reject = script_call_reject(call);
		text = reject->message ? reject->message : "";
		reply = smtp_reply_from_text(
		    arena, reject->code, text, strlen(text));
		*bounce = reject->code < 400 || reject->code > 499;
		*broken = reject->code == 421 ||
			  reject->mode == DISCONNECT_FORCE ||
			  reject->mode == DISCONNECT_FOLLOW_421;
		return reply;
	default:
		*broken = true;
		return smtp_reply_make(
		    arena, 400, NULL, "%s", script_call_error(call));
	}
}

static void made(struct lua_connection *lc, struct script_call *call)
{
	enum script_outcome outcome = script_call_outcome(call);
	const char *event = lc->target->constructor;
	struct arena *arena;
	struct smtp_reply reply;
	bool ignored;

	if (outcome == SCRIPT_VALUE) {
		lc->stage = READY;
		connection_connected(lc->c);
		loop_defer(lc->r->loop, &lc->work);
		return;
	}
	arena = arena_new(0);
	if (outcome == SCRIPT_NO_HANDLER)
		reply = smtp_reply_make(arena, 400, NULL,
		    "custom_lua: nobody handles the event \"%s\"", event);
	else
		reply = reply_of(call, arena, &ignored, &ignored);
	/* Not made is not connected: whatever it raised, mail waits. */
	reply.code = 400;
	memset(reply.enhanced, 0, sizeof reply.enhanced);
	diag_error(
	    "policy: custom_lua %s: no connection: %s", event, reply.text);
	leave(lc, &reply);
	arena_unref(arena);
}

static void sent(struct lua_connection *lc, struct script_call *call)
{
	struct arena *arena = arena_new(0);
	bool bounce = false, broken = false;
	struct smtp_reply reply = reply_of(call, arena, &bounce, &broken);
	bool failed = script_call_outcome(call) == SCRIPT_ERROR ||
		      script_call_outcome(call) == SCRIPT_EXPIRED;

	if (failed && lc->bites_at && clock_now_ms() >= lc->bites_at)
		reply = smtp_reply_make(arena, 451, "4.4.1",
		    "no progress for %lld s: dropped by "
		    "dispatcher_progress_watchdog_timeout",
		    (long long)(watchdog_ms(lc) / 1000));
	if (failed)
		diag_error("policy: custom_lua %s: %s: %zu messages will be "
			   "tried again: %s",
		    lc->target->constructor, lc->batch[0]->m.id, lc->count,
		    reply.text);
	lc->broken = broken;
	report(lc, &reply, bounce);
	arena_unref(arena);
	if (script_call_outcome(call) == SCRIPT_EXPIRED) {
		/* Its thread may still be at it: nothing more runs there. */
		leave(lc, NULL);
		return;
	}
	lc->stage = READY;
	loop_defer(lc->r->loop, &lc->work);
}

static void ended(struct lua_connection *lc, struct script_call *call)
{
	const char *text = script_call_error(call);

	if (text && text[0])
		diag_error("policy: custom_lua %s: close: %s",
		    lc->target->constructor, text);
	leave(lc, NULL);
}

static void run_answered(struct loop_item *item)
{
	struct lua_connection *lc =
	    CONTAINER_OF(item, struct lua_connection, answered);
	struct script_call *call = lc->call;

	lc->call = NULL;
	if (!lc->c)
		free_one(lc);
	else if (lc->stage == MAKING)
		made(lc, call);
	else if (lc->stage == SENDING)
		sent(lc, call);
	else
		ended(lc, call);
	script_call_free(call);
}

/* ---- */

void lua_connection_start(struct connection *c)
{
	struct lua_connection *lc = xcalloc(1, sizeof *lc);
	const struct lua_target *target = c->destination->lua;
	struct script_call *call;

	c->lua = lc;
	lc->c = c;
	lc->r = c->rq->r;
	lc->r->lua_connections++;
	lc->policy = script_policy_ref(lc->r->policy);
	lc->session = script_session_new(lc->policy);
	lc->target = target;
	(void)snprintf(lc->peer_name, sizeof lc->peer_name, "Lua via %s",
	    target->constructor);
	lc->batch = xcalloc(target->batch_size, sizeof(struct ready_message *));
	lc->messages = xcalloc(target->batch_size, sizeof(struct message *));
	lc->answered.run = run_answered;
	loop_deferred_init(&lc->work, advance);
	lc->timer = loop_timer_new(lc->r->loop, on_timer, lc);
	call = script_session_make(lc->session, target->constructor);
	script_arg_string(call, target->domain);
	script_arg_string(call, target->tenant);
	script_arg_string(call, target->campaign);
	submit(lc, call, MAKE_MS);
}

void lua_connection_wake(struct lua_connection *lc)
{
	loop_defer(lc->r->loop, &lc->work);
}

void lua_connection_abort(struct lua_connection *lc)
{
	struct arena *arena;
	struct smtp_reply reply;

	switch (lc->stage) {
	case LOADING:
		return; /* a moment more: on_loaded() */
	case READY:
		end_session(lc);
		return;
	case SENDING:
		arena = arena_new(0);
		reply = smtp_reply_make(arena, 400, NULL,
		    "the policy had not answered when the router stopped");
		report(lc, &reply, false);
		arena_unref(arena);
		break;
	case MAKING:
	case ENDING:
		break;
	}
	leave(lc, NULL);
}
