/*
 * record_asks.c - what the policy is asked about log records
 *
 * A few questions are with Lua at a time, the rest wait, so that a deadline is
 * that of the event and not of the questions in front of it.
 */
#include "router/record_asks.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "deliver/deliver.h"
#include "logs/log_hook.h"
#include "lua/script.h"
#include "router/message_load.h"
#include "router/ready_message.h"
#include "router/router.h"

#define AT_ONCE 32
#define DEADLINE_MS 10000
#define SHOULD_ENQUEUE "should_enqueue_log_record"

enum kind { ASK_FILTER, ASK_HOOK, ASK_DISPOSITION };

struct ask {
	struct loop_item item;
	struct record_asks *asks;
	enum kind kind;
	const char *event, *name; /* name: of a hook */
	struct message *m; /* a hook's own, or a copy of what it is about */
	struct ready_message *rm; /* where m's content is; NULL: it has one */
	struct value record;      /* disposition */
	struct buf text;          /* filter */
	int where;
	struct script_call *call;
};

struct record_asks {
	struct router *r;
	struct script_policy *policy;
	struct arena *arena; /* of values and texts */
	struct {
		struct ask **items;
		size_t count, size;
	} all;
	struct {
		struct message **items;
		size_t count, size;
	} messages;
	size_t next, open; /* asked so far, not answered yet */
	struct log_batch *log;
	void (*done)(void *ctx);
	void *ctx;
};

bool record_asks_needed(const struct router *r)
{
	return script_policy_setup(r->policy)->hook_count > 0 ||
	       log_writer_filters(r->log) > 0;
}

struct record_asks *record_asks_new(struct router *r)
{
	struct record_asks *asks = xcalloc(1, sizeof *asks);

	asks->r = r;
	asks->policy = script_policy_ref(r->policy);
	asks->arena = arena_new(4096);
	return asks;
}

void record_asks_free(struct record_asks *asks)
{
	if (!asks)
		return;
	for (size_t i = 0; i < asks->all.count; i++) {
		struct ask *ask = asks->all.items[i];

		message_unref(ask->m);
		buf_release(&ask->text);
		free(ask);
	}
	for (size_t i = 0; i < asks->messages.count; i++)
		message_unref(asks->messages.items[i]);
	ARRAY_FREE(&asks->all);
	ARRAY_FREE(&asks->messages);
	script_policy_unref(asks->policy);
	arena_unref(asks->arena);
	free(asks);
}

size_t record_asks_count(const struct record_asks *asks)
{
	return asks->all.count;
}

struct message *const *record_asks_messages(
    const struct record_asks *asks, size_t *count)
{
	*count = asks->messages.count;
	return asks->messages.items;
}

/* ---- collecting ---- */

static struct ask *add(
    struct record_asks *asks, enum kind kind, const char *event)
{
	struct ask *ask = xcalloc(1, sizeof *ask);

	ask->asks = asks;
	ask->kind = kind;
	ask->event = event;
	*ARRAY_ADD(&asks->all) = ask;
	return ask;
}

/* The message that the record is about. */
static void give_message(struct ask *ask, const struct record_subject *about)
{
	struct ready_message *rm = about->rm;

	if (about->message) {
		ask->m = message_copy(about->message);
		return;
	}
	ask->m = message_without_content(rm, about->recipients, about->count);
	if (rm->m.inline_content || rm->m.facts.size == 0)
		ask->m->content = content_from_bytes(
		    rm->m.facts.size ? rm->m.inline_content : "",
		    (size_t)rm->m.facts.size);
	else
		ask->rm = rm;
}

static void add_filters(struct record_asks *asks, const struct log_batch *log,
    const struct log_record *record, const struct record_subject *about)
{
	const struct log_writer *w = asks->r->log;

	for (size_t i = 0; i < log_writer_filters(w); i++) {
		const char *event = log_writer_filter(w, i, record->type);
		struct ask *ask;

		if (!event)
			continue;
		ask = add(asks, ASK_FILTER, event);
		ask->where = log_batch_format(log, i, record, &ask->text);
		give_message(ask, about);
	}
}

void record_asks_add(struct record_asks *asks, const struct log_batch *log,
    const struct log_record *record, const struct record_subject *about)
{
	const struct policy_setup *setup = script_policy_setup(asks->policy);
	const char *nodeid = log_writer_nodeid(asks->r->log);

	add_filters(asks, log, record, about);
	for (size_t i = 0; i < setup->hook_count; i++) {
		const struct log_hook *hook = setup->hooks[i];
		const char *event = hook->event ? hook->event : SHOULD_ENQUEUE;
		struct ask *ask;

		if (!log_hook_wants(hook, record) ||
		    !script_policy_handles(asks->policy, event))
			continue;
		ask =
		    add(asks, hook->event ? ASK_DISPOSITION : ASK_HOOK, event);
		ask->name = hook->name;
		if (!hook->event) {
			ask->m = log_hook_message(hook, record, nodeid);
			continue;
		}
		give_message(ask, about);
		ask->record =
		    log_hook_record(hook, record, nodeid, asks->arena);
	}
}

/* ---- answers ---- */

static void insert(struct ask *ask, struct message *m)
{
	struct err err = {0};
	bool wanted;

	if (!log_hook_insertable(m, &wanted, &err)) {
		diag_error("policy: %s: %s: not queued: %s",
		    ask->name ? ask->name : ask->event, m->id, err.text);
		return;
	}
	if (wanted)
		*ARRAY_ADD(&ask->asks->messages) = message_ref(m);
}

static void take_answer(struct ask *ask)
{
	const struct value *v = script_call_result(ask->call);
	bool yes = v->type == VALUE_BOOL && v->b;
	struct message *const *injected;
	size_t count;

	switch (script_call_outcome(ask->call)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		break;
	case SCRIPT_REJECTED:
		diag_error(
		    "policy: %s: kumo.reject means nothing there", ask->event);
		return;
	case SCRIPT_ERROR:
	case SCRIPT_EXPIRED:
		diag_error("policy: %s", script_call_error(ask->call));
		return;
	}
	switch (ask->kind) {
	case ASK_FILTER:
		if (yes)
			log_batch_put(ask->asks->log, ask->where, &ask->text);
		break;
	case ASK_HOOK:
		if (yes)
			insert(ask, ask->m);
		break;
	case ASK_DISPOSITION:
		injected = script_call_injected(ask->call, &count);
		for (size_t i = 0; i < count; i++)
			insert(ask, injected[i]);
		break;
	}
}

static void ask_more(struct record_asks *asks);

static void answered(struct ask *ask)
{
	struct record_asks *asks = ask->asks;

	asks->open--;
	if (ask->call)
		script_call_free(ask->call);
	ask->call = NULL;
	ask_more(asks);
}

static void run_answer(struct loop_item *item)
{
	struct ask *ask = CONTAINER_OF(item, struct ask, item);

	take_answer(ask);
	answered(ask);
}

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct ask *ask = ctx;

	(void)call;
	loop_post(ask->asks->r->loop, &ask->item);
}

static void submit(struct ask *ask)
{
	ask->call = script_call_new(ask->asks->policy, ask->event);
	script_arg_message(ask->call, ask->m);
	if (ask->kind == ASK_HOOK)
		script_arg_string(ask->call, ask->name);
	if (ask->kind == ASK_DISPOSITION) {
		script_arg_value(ask->call, &ask->record);
		script_collect(ask->call);
	}
	ask->item.run = run_answer;
	script_call_submit(
	    ask->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, ask);
}

static void on_loaded(
    struct message **messages, const struct err *err, void *ctx)
{
	struct ask *ask = ctx;

	ask->m = messages ? messages[0] : NULL;
	if (ask->m) {
		submit(ask);
		return;
	}
	diag_error("policy: %s: not asked: %s", ask->event, err->text);
	answered(ask);
}

static void run_done(struct loop_item *item)
{
	struct ask *ask = CONTAINER_OF(item, struct ask, item);

	ask->asks->done(ask->asks->ctx);
}

static void ask_more(struct record_asks *asks)
{
	while (asks->open < AT_ONCE && asks->next < asks->all.count) {
		struct ask *ask = asks->all.items[asks->next++];
		struct message *m = ask->m;

		asks->open++;
		if (ask->rm) {
			ask->m = NULL;
			message_complete_take(
			    asks->r->loader, m, ask->rm, on_loaded, ask);
		} else {
			submit(ask);
		}
	}
	if (asks->open == 0 && asks->next == asks->all.count &&
	    asks->all.count > 0) {
		struct ask *last = asks->all.items[asks->all.count - 1];

		/* Later: done() may free us, and our caller. */
		asks->next++;
		last->item.run = run_done;
		loop_post(asks->r->loop, &last->item);
	}
}

void record_asks_run(struct record_asks *asks, struct log_batch *log,
    void (*done)(void *ctx), void *ctx)
{
	invariant(asks->all.count > 0);
	asks->log = log;
	asks->done = done;
	asks->ctx = ctx;
	ask_more(asks);
}
