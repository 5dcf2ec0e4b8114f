/*
 * second_thoughts.c - what the policy says about failures before they count
 *
 *	rewrite? -> (still temporary) -> requeue? -> outcome_report_finally()
 */
#include "router/second_thoughts.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "router/requeue.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define DEADLINE_MS 10000

static const char rewrite_event[] = "smtp_client_rewrite_delivery_status";

struct thought {
	struct loop_item item;
	struct router *r;
	struct script_policy *policy;
	struct ready_message *rm;
	struct delivery_recipient *recipients; /* in rm's arena */
	size_t count;
	struct attempt attempt;
	struct session_facts facts;
	struct script_call *call;
};

/* ---- whether ---- */

/* A peer said it, and it is no success. */
static bool is_refusal(
    const struct smtp_reply *reply, const struct attempt *attempt)
{
	return attempt->facts && attempt->facts->peer_name &&
	       !attempt->maildir && !str_eq(attempt->protocol, "Lua") &&
	       reply->code >= 300;
}

static bool is_temporary(
    const struct smtp_reply *reply, const struct attempt *attempt)
{
	return !attempt->bounce && outcome_classify(reply) == OUTCOME_TRANSIENT;
}

bool second_thoughts_needed(const struct router *r,
    const struct delivery_recipient *recipients, size_t count,
    const struct attempt *attempt)
{
	bool rewrite = script_policy_handles(r->policy, rewrite_event);
	bool requeue = requeue_is_handled(r->policy);

	if (!rewrite && !requeue)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct smtp_reply *reply = &recipients[i].reply;

		if ((rewrite && is_refusal(reply, attempt)) ||
		    (requeue && is_temporary(reply, attempt)))
			return true;
	}
	return false;
}

/* ---- the end ---- */

static void finish(struct thought *t)
{
	struct router *r = t->r;

	outcomes_detour(r->outcomes, t->count, false);
	outcome_report_finally(
	    r->outcomes, t->rm, t->recipients, t->count, &t->attempt);
	if (t->call)
		script_call_free(t->call);
	script_policy_unref(t->policy);
	free(t);
	router_progress(r);
}

static struct smtp_reply *reply_of(struct thought *t)
{
	return &t->recipients[0].reply;
}

static void set_reply(struct thought *t, struct smtp_reply reply)
{
	for (size_t i = 0; i < t->count; i++)
		t->recipients[i].reply = reply;
}

static void arg_response(struct thought *t)
{
	struct buf line = BUF_INIT;

	smtp_reply_one_line(&line, reply_of(t));
	script_arg_string(t->call, buf_str(&line));
	buf_release(&line);
}

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct thought *t = ctx;

	(void)call;
	loop_post(t->r->loop, &t->item);
}

static void submit(struct thought *t, void (*answered)(struct loop_item *))
{
	t->item.run = answered;
	ready_message_begins(t->rm, t->r->queue, t->recipients, t->count);
	script_call_submit(
	    t->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, t);
}

static void say_error(struct thought *t)
{
	const char *text = script_call_error(t->call);

	diag_error("%s: policy: %s", t->rm->m.id,
	    text && text[0] ? text : "kumo.reject means nothing there");
}

/* ---- requeue_message ---- */

static void keep_move(struct thought *t, const struct requeue_answer *answer)
{
	struct queue_move *move = ARENA_NEW(t->rm->arena, struct queue_move);

	move->message_id = t->rm->m.message_id;
	move->message = answer->message;
	move->queue =
	    answer->kind == REQUEUE_ELSEWHERE ? answer->queue : t->rm->sq->name;
	ready_message_keep_take(t->rm, answer->message);
	t->attempt.move = move;
	t->attempt.move_now = answer->kind == REQUEUE_ELSEWHERE;
	t->attempt.move_config = answer->config;
}

static void requeue_answered(const struct requeue_answer *answer, void *ctx)
{
	struct thought *t = ctx;
	const char *text;

	switch (answer->kind) {
	case REQUEUE_AS_IT_WAS:
		break;
	case REQUEUE_CHANGED:
	case REQUEUE_ELSEWHERE:
		keep_move(t, answer);
		break;
	case REQUEUE_REJECTED:
		text = answer->reject->message ? answer->reject->message : "";
		set_reply(t, smtp_reply_from_text(t->rm->arena,
				 answer->reject->code, text, strlen(text)));
		t->attempt.bounce = true;
		break;
	}
	finish(t);
}

static void ask_requeue(struct thought *t)
{
	struct requeue_question q = {
	    .rm = t->rm,
	    .recipients = t->recipients,
	    .count = t->count,
	    .reply = *reply_of(t),
	    .reasons = {"LoggedTransientFailure", t->attempt.why},
	    .counts = !t->attempt.maildir,
	    .delay_ms = -1,
	};

	if (!requeue_is_handled(t->policy) ||
	    !is_temporary(reply_of(t), &t->attempt)) {
		finish(t);
		return;
	}
	if (t->attempt.maildir)
		q.delay_ms =
		    1000 * outcome_maildir_delay_s(t->rm, &t->recipients[0]);
	requeue_ask(t->r, t->policy, &q, requeue_answered, t);
}

/* ---- smtp_client_rewrite_delivery_status ---- */

static void take_code(struct thought *t, int64_t code)
{
	struct smtp_reply reply = *reply_of(t);

	if (code == reply.code)
		return;
	if (code < 200 || code > 599) {
		diag_error("policy: %s: %lld is no code of a reply",
		    rewrite_event, (long long)code);
		return;
	}
	reply.text =
	    arena_printf(t->rm->arena, "%s (the policy made this %lld of %d)",
		reply.text, (long long)code, reply.code);
	reply.code = (int)code;
	set_reply(t, reply);
}

static void rewrite_answered(struct loop_item *item)
{
	struct thought *t = CONTAINER_OF(item, struct thought, item);
	const struct value *v = script_call_result(t->call);
	int64_t code;

	ready_message_ends(t->rm, t->r->queue, t->recipients, t->count);
	switch (script_call_outcome(t->call)) {
	case SCRIPT_NO_HANDLER:
		break;
	case SCRIPT_VALUE:
		if (value_to_int(v, &code))
			take_code(t, code);
		else if (v->type == VALUE_NUMBER)
			diag_error("policy: %s: %g is no code of a reply",
			    rewrite_event, v->n);
		else if (v->type != VALUE_NIL)
			diag_error("policy: %s: returned a %s, not a code",
			    rewrite_event, value_type_name(v->type));
		break;
	case SCRIPT_REJECTED:
	case SCRIPT_ERROR:
	case SCRIPT_EXPIRED:
		say_error(t);
		break;
	}
	script_call_free(t->call);
	t->call = NULL;
	ask_requeue(t);
}

static void ask_rewrite(struct thought *t)
{
	const struct queue_name *parts = &t->rm->sq->parts;

	if (!script_policy_handles(t->policy, rewrite_event) ||
	    !is_refusal(reply_of(t), &t->attempt)) {
		ask_requeue(t);
		return;
	}
	t->call = script_call_new(t->policy, rewrite_event);
	arg_response(t);
	script_arg_string(t->call, parts->domain);
	script_arg_string(t->call, parts->tenant);
	script_arg_string(t->call, parts->campaign);
	script_arg_string(t->call,
	    parts->routing_domain ? parts->routing_domain : parts->domain);
	submit(t, rewrite_answered);
}

/* ---- */

/* What the session knew does not outlive its call of us. */
static void copy_attempt(struct thought *t, const struct attempt *from)
{
	struct arena *arena = t->rm->arena;
	struct attempt *a = &t->attempt;

	*a = *from;
	a->site = arena_strdup(arena, from->site);
	a->pool = arena_strdup(arena, from->pool);
	a->source = arena_strdup(arena, from->source);
	a->provider_name = arena_strdup(arena, from->provider_name);
	a->session_id = arena_strdup(arena, from->session_id);
	if (!from->facts)
		return;
	t->facts = *from->facts;
	t->facts.peer_name = arena_strdup(arena, from->facts->peer_name);
	t->facts.tls_cipher = arena_strdup(arena, from->facts->tls_cipher);
	t->facts.tls_version = arena_strdup(arena, from->facts->tls_version);
	t->facts.tls_peer_subject =
	    arena_strdup(arena, from->facts->tls_peer_subject);
	a->facts = &t->facts;
}

void second_thoughts(struct router *r, struct ready_message *rm,
    const struct delivery_recipient *const *group, size_t count,
    const struct attempt *attempt)
{
	struct thought *t = xcalloc(1, sizeof *t);
	struct smtp_reply reply = smtp_reply_copy(rm->arena, &group[0]->reply);

	t->r = r;
	t->policy = script_policy_ref(r->policy);
	t->rm = rm;
	t->count = count;
	t->recipients =
	    ARENA_ARRAY(rm->arena, struct delivery_recipient, count);
	for (size_t i = 0; i < count; i++) {
		t->recipients[i] = *group[i];
		t->recipients[i].reply = reply;
	}
	copy_attempt(t, attempt);
	outcomes_detour(r->outcomes, count, true);
	ask_rewrite(t);
}
