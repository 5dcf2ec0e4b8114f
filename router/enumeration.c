/*
 * enumeration.c - what was queued when the router started, seen by the policy
 */
#include "router/enumeration.h"

#include <sysexits.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "queue/queue.h"
#include "router/message_load.h"
#include "router/outcome.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define MOST 64 /* messages with the loader and with Lua */
#define DEADLINE_MS 30000
#define PAGE_BITS 512

static const char event[] = "spool_message_enumerated";

struct enumerations {
	struct router *r;
	int64_t last; /* of the recipients at the start; 0: nobody asks */
	struct map *seen;
	size_t busy;
	struct list waiting; /* struct ready_message */
	struct loop_deferred work;
};

struct enumeration {
	struct loop_item item; /* Lua has answered */
	struct enumerations *all;
	struct ready_message *rm;
	struct message *message;
	/* What it was: */
	struct meta *meta;
	char *queue;
	const char *scheduling;
	size_t prefix_len;
	int64_t due_at;
	int attempts;
	struct script_policy *policy;
	struct script_call *call;
};

static bool see(struct enumerations *e, int64_t id)
{
	char key[24];
	unsigned char *page;
	size_t bit = (size_t)(id % PAGE_BITS);
	bool seen;

	(void)snprintf(key, sizeof key, "%llx", (long long)(id / PAGE_BITS));
	page = map_get(e->seen, key);
	if (!page) {
		page = xcalloc(1, PAGE_BITS / 8);
		(void)map_put(e->seen, key, page);
	}
	seen = page[bit / 8] & 1U << bit % 8;
	page[bit / 8] |= (unsigned char)(1U << bit % 8);
	return seen;
}

/* ---- what it made of the message ---- */

static void start_more(struct enumerations *e);

static void end(struct enumeration *en)
{
	struct enumerations *e = en->all;

	if (en->call)
		script_call_free(en->call);
	if (en->policy)
		script_policy_unref(en->policy);
	message_unref(en->message);
	meta_free(en->meta);
	free(en->queue);
	free(en);
	e->busy--;
	loop_defer(e->r->loop, &e->work);
	router_progress(e->r);
}

static bool may_go_on(const struct enumerations *e)
{
	return !(e->r->holds & (HOLD_STOPPING | HOLD_POISON));
}

/* As it was; the next router asks again. */
static void refuse(struct enumeration *en, const char *why)
{
	struct router *r = en->all->r;

	diag_error("%s: policy: %s", en->rm->m.id, why);
	outcome_return_waiting(r->outcomes, en->rm);
	router_stop(r, "the policy cannot take what is queued", EX_CONFIG);
	end(en);
}

static bool is_changed(const struct enumeration *en)
{
	const struct message *m = en->message;

	return m->sender_changed || m->recipients_changed ||
	       m->content_changed || m->due_at != en->due_at ||
	       m->prefix.len != en->prefix_len ||
	       m->scheduling != en->scheduling || m->attempts != en->attempts ||
	       !meta_same(m->meta, en->meta);
}

static void decide(struct enumeration *en)
{
	struct ready_message *rm = en->rm;
	struct message *m = en->message;
	struct outcomes *outcomes = en->all->r->outcomes;
	struct buf name = BUF_INIT;
	struct err err = {0};

	if (m->recipients.count > 0 && !message_queue_name(m, &name, &err)) {
		refuse(
		    en, arena_printf(en->rm->arena, "%s: %s", event, err.text));
	} else if (is_changed(en)) {
		en->message = NULL;
		outcome_rewrite_take(outcomes, rm, m,
		    str_eq(buf_str(&name), en->queue) ? rm->sq->name
						      : buf_str(&name));
		end(en);
	} else {
		if (may_go_on(en->all))
			scheduled_queue_enumerated(rm->sq, rm);
		else
			outcome_return_waiting(outcomes, rm);
		end(en);
	}
	buf_release(&name);
}

static void run_answered(struct loop_item *item)
{
	struct enumeration *en = CONTAINER_OF(item, struct enumeration, item);
	const struct script_reject *reject;
	const char *text;

	ready_message_ends(en->rm, en->all->r->queue, NULL, 0);
	switch (script_call_outcome(en->call)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		decide(en);
		return;
	case SCRIPT_REJECTED:
		reject = script_call_reject(en->call);
		text = reject->message ? reject->message : "";
		refuse(en, arena_printf(
			       en->rm->arena, "%s: rejected: %s", event, text));
		return;
	case SCRIPT_EXPIRED:
		/* The handler may still hold the message: it is left alone. */
	case SCRIPT_ERROR:
		refuse(en, script_call_error(en->call));
		return;
	}
	diag_panic("%s: unknown outcome", event);
}

/* ---- asking ---- */

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct enumeration *en = ctx;

	(void)call;
	loop_post(en->all->r->loop, &en->item);
}

static void remember(struct enumeration *en)
{
	const struct message *m = en->message;
	struct buf name = BUF_INIT;

	en->meta = meta_copy(m->meta);
	en->scheduling = m->scheduling;
	en->prefix_len = m->prefix.len;
	en->due_at = m->due_at;
	en->attempts = m->attempts;
	/* By the same rule as afterwards, so that only a change is one. */
	if (!message_queue_name(m, &name, NULL))
		buf_reset(&name);
	en->queue = xstrdup(buf_str(&name));
	buf_release(&name);
}

static void loaded(struct message **messages, const struct err *err, void *ctx)
{
	struct enumeration *en = ctx;
	struct router *r = en->all->r;

	if (!messages) {
		struct smtp_reply reply = smtp_reply_make(en->rm->arena, 451,
		    "4.3.0", "%s: %.400s", event, err->text);

		outcome_report_waiting(r->outcomes, en->rm, &reply,
		    &(struct attempt){.why = WHY_NOT_READY});
		end(en);
		return;
	}
	en->message = messages[0];
	remember(en);
	en->policy = script_policy_ref(r->policy);
	en->call = script_call_new(en->policy, event);
	script_arg_message(en->call, en->message);
	ready_message_begins(en->rm, r->queue, NULL, 0);
	script_call_submit(
	    en->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, en);
}

static void start_more(struct enumerations *e)
{
	while (!list_empty(&e->waiting) && e->busy < MOST) {
		struct ready_message *rm =
		    LIST_ITEM(e->waiting.next, struct ready_message, link);
		struct ready_message *const one[] = {rm};
		struct enumeration *en;

		list_remove(&rm->link);
		if (!may_go_on(e)) {
			outcome_return_waiting(e->r->outcomes, rm);
			continue;
		}
		en = xcalloc(1, sizeof *en);
		en->item.run = run_answered;
		en->all = e;
		en->rm = rm;
		e->busy++;
		message_load(e->r->loader, one, 1, loaded, en);
	}
}

static void run_work(struct loop_deferred *d)
{
	start_more(CONTAINER_OF(d, struct enumerations, work));
}

bool enumerations_take(struct enumerations *e, struct ready_message *rm)
{
	bool is_new = false;

	for (size_t i = 0; i < rm->count; i++)
		if (rm->info[i].row <= e->last && !see(e, rm->info[i].row))
			is_new = true;
	if (!is_new)
		return false;
	list_add_tail(&e->waiting, &rm->link);
	start_more(e);
	return true;
}

size_t enumerations_busy(const struct enumerations *e)
{
	return e->busy + !list_empty(&e->waiting);
}

/* ---- */

struct enumerations *enumerations_new(struct router *r, struct err *err)
{
	struct enumerations *e = xcalloc(1, sizeof *e);
	struct queue_conn *conn;
	bool ok;

	e->r = r;
	e->seen = map_new();
	list_init(&e->waiting);
	loop_deferred_init(&e->work, run_work);
	if (!script_policy_handles(r->policy, event))
		return e;
	ok = queue_connect(r->queue, false, &conn, err);
	if (ok) {
		ok = queue_last_recipient(conn, &e->last, err);
		queue_disconnect(conn);
	}
	if (ok)
		return e;
	enumerations_free(e);
	return NULL;
}

void enumerations_free(struct enumerations *e)
{
	if (!e)
		return;
	map_free(e->seen, free);
	free(e);
}
