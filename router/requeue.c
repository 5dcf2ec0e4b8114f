/*
 * requeue.c - requeue_message: what the policy says before a message goes back
 *
 *	(load) -> ask -> (limits of the other queue) -> done
 */
#include "router/requeue.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "mail/queue_name.h"
#include "policy/queue_config.h"
#include "router/message_load.h"
#include "router/policy_call.h"
#include "router/ready_message.h"
#include "router/router.h"

#define DEADLINE_MS 10000

static const char event[] = "requeue_message";

struct asking {
	struct loop_item item; /* Lua has answered */
	struct router *r;
	struct script_policy *policy;
	struct requeue_question q;
	requeue_done_fn *done;
	void *ctx;
	struct script_call *call;
	struct message *message;
	/* What it had before. */
	struct meta *meta;
	char *queue;
	const char *scheduling;
	int64_t due_at;
	struct record_ref *config;
	struct requeue_answer answer;
};

bool requeue_is_handled(const struct script_policy *policy)
{
	return script_policy_handles(policy, event);
}

static void finish(struct asking *a, enum requeue_kind kind)
{
	a->answer.kind = kind;
	if (kind == REQUEUE_CHANGED || kind == REQUEUE_ELSEWHERE) {
		a->message->recipients_changed = false;
		a->message->content_changed = false;
		a->answer.message = a->message;
		a->message = NULL;
	}
	a->done(&a->answer, a->ctx);
	if (a->call)
		script_call_free(a->call);
	message_unref(a->message);
	meta_free(a->meta);
	record_unref(a->config);
	script_policy_unref(a->policy);
	free(a->queue);
	free(a);
}

/* ---- the answer ---- */

static void got_config(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct asking *a = ctx;

	ready_message_ends(a->q.rm, a->r->queue, a->q.recipients, a->q.count);
	a->config = ref;
	if (ref)
		a->answer.config = ref->record;
	else if (!err)
		a->answer.config = queue_config_defaults();
	/* Else it goes there all the same, and meets the error there. */
	finish(a, REQUEUE_ELSEWHERE);
}

static void elsewhere(struct asking *a, const char *name)
{
	struct arena *arena = a->q.rm->arena;
	struct queue_name parts;

	a->answer.queue = arena_strdup(arena, name);
	if (str_eq(name, "null")) {
		finish(a, REQUEUE_ELSEWHERE);
		return;
	}
	if (str_eq(name, QUEUE_NAME_DEFERRED)) {
		a->answer.config = queue_config_deferred();
		finish(a, REQUEUE_ELSEWHERE);
		return;
	}
	parts = queue_name_parse(a->answer.queue, arena);
	ready_message_begins(a->q.rm, a->r->queue, a->q.recipients, a->q.count);
	policy_ask(a->r, "get_queue_config", &queue_config_params,
	    (const char *[]){parts.domain, parts.tenant, parts.campaign,
		parts.routing_domain},
	    4, 0, got_config, a);
}

static void take_value(struct asking *a)
{
	const struct message *m = a->message;
	struct buf name = BUF_INIT;
	struct err err = {0};

	if (!message_queue_name(m, &name, &err)) {
		diag_error("policy: %s: %s", event, err.text);
		finish(a, REQUEUE_AS_IT_WAS);
	} else if (!str_eq(buf_str(&name), a->queue)) {
		elsewhere(a, buf_str(&name));
	} else if (m->scheduling != a->scheduling || m->due_at != a->due_at ||
		   !meta_same(a->meta, m->meta)) {
		finish(a, REQUEUE_CHANGED);
	} else {
		finish(a, REQUEUE_AS_IT_WAS);
	}
	buf_release(&name);
}

static void say_error(struct asking *a)
{
	const char *text = script_call_error(a->call);

	diag_error("%s: policy: %s", a->q.rm->m.id, text ? text : event);
}

static void run_answered(struct loop_item *item)
{
	struct asking *a = CONTAINER_OF(item, struct asking, item);

	ready_message_ends(a->q.rm, a->r->queue, a->q.recipients, a->q.count);
	switch (script_call_outcome(a->call)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		take_value(a);
		return;
	case SCRIPT_REJECTED:
		a->answer.reject = script_call_reject(a->call);
		finish(a, REQUEUE_REJECTED);
		return;
	case SCRIPT_EXPIRED:
		/* The handler may still hold the message: it is left alone. */
	case SCRIPT_ERROR:
		say_error(a);
		finish(a, REQUEUE_AS_IT_WAS);
		return;
	}
	diag_panic("%s: unknown outcome", event);
}

/* ---- the question ---- */

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct asking *a = ctx;

	(void)call;
	loop_post(a->r->loop, &a->item);
}

static void remember(struct asking *a)
{
	const struct message *m = a->message;
	struct buf name = BUF_INIT;

	a->meta = meta_copy(m->meta);
	a->scheduling = m->scheduling;
	a->due_at = m->due_at;
	/* By the same rule as afterwards, so that only a change is one. */
	if (!message_queue_name(m, &name, NULL))
		buf_reset(&name);
	a->queue = xstrdup(buf_str(&name));
	buf_release(&name);
}

static void add_arguments(struct asking *a)
{
	const struct requeue_question *q = &a->q;
	struct value reasons[COUNT(q->reasons)];
	struct value context = {.type = VALUE_LIST, .items = reasons};
	const struct value counts = {.type = VALUE_BOOL, .b = q->counts};
	struct buf line = BUF_INIT;

	script_arg_message(a->call, a->message);
	smtp_reply_one_line(&line, &q->reply);
	script_arg_string(a->call, buf_str(&line));
	buf_release(&line);
	for (size_t i = 0; i < COUNT(q->reasons) && q->reasons[i]; i++)
		reasons[context.count++] = (struct value){.type = VALUE_STRING,
		    .s = q->reasons[i],
		    .len = strlen(q->reasons[i])};
	script_arg_value(a->call, &context);
	script_arg_value(a->call, &counts);
	if (q->delay_ms < 0)
		script_arg_nil(a->call);
	else
		script_arg_time_delta(a->call, q->delay_ms);
}

static void ask(struct asking *a)
{
	remember(a);
	a->item.run = run_answered;
	a->call = script_call_new(a->policy, event);
	add_arguments(a);
	ready_message_begins(a->q.rm, a->r->queue, a->q.recipients, a->q.count);
	script_call_submit(
	    a->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, a);
}

static void on_loaded(
    struct message **messages, const struct err *err, void *ctx)
{
	struct asking *a = ctx;

	if (!messages) {
		diag_error(
		    "%s: %s: not asked: %s", a->q.rm->m.id, event, err->text);
		finish(a, REQUEUE_AS_IT_WAS);
		return;
	}
	a->message = messages[0];
	ask(a);
}

static void load(struct asking *a)
{
	const struct requeue_question *q = &a->q;
	struct ready_message *rm = q->rm;
	struct delivery_recipient *all =
	    q->recipients ? q->recipients : rm->recipients;
	size_t count = q->recipients ? q->count : rm->count;
	const struct delivery_recipient **who =
	    xcalloc(count, sizeof(struct delivery_recipient *));
	struct message *m;

	for (size_t i = 0; i < count; i++)
		who[i] = &all[i];
	m = message_without_content(rm, who, count);
	free(who);
	message_complete_take(a->r->loader, m, rm, on_loaded, a);
}

void requeue_ask(struct router *r, struct script_policy *policy,
    const struct requeue_question *question, requeue_done_fn *done, void *ctx)
{
	struct asking *a = xcalloc(1, sizeof *a);

	a->r = r;
	a->policy = script_policy_ref(policy);
	a->q = *question;
	a->done = done;
	a->ctx = ctx;
	a->message = question->message;
	if (a->message)
		ask(a);
	else
		load(a);
}
