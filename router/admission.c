/*
 * admission.c - may a due message go on to delivery?
 */
#include "router/admission.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "router/message_load.h"
#include "router/outcome.h"
#include "router/put_back.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define MOST 64 /* messages with the loader and with Lua */
#define DEADLINE_MS 10000

static const char event[] = "throttle_insert_ready_queue";

struct admissions {
	struct router *r;
	size_t busy;
	struct list waiting; /* struct ready_message */
	struct loop_deferred work;
};

struct admission {
	struct loop_item item; /* Lua has answered */
	struct admissions *all;
	struct ready_message *rm;
	struct message *message;
	struct script_policy *policy;
	struct script_call *call;
};

static void end(struct admission *ad)
{
	struct admissions *all = ad->all;

	if (ad->call)
		script_call_free(ad->call);
	if (ad->policy)
		script_policy_unref(ad->policy);
	message_unref(ad->message);
	free(ad);
	all->busy--;
	if (!list_empty(&all->waiting))
		loop_defer(all->r->loop, &all->work);
	router_progress(all->r);
}

static bool may_go_on(const struct admissions *a)
{
	return !(a->r->holds & (HOLD_STOPPING | HOLD_POISON));
}

static void abandon(struct admission *ad, const char *why)
{
	struct smtp_reply reply = smtp_reply_make(
	    ad->rm->arena, 451, "4.3.0", "%s: %.400s", event, why);

	outcome_report_waiting(ad->all->r->outcomes, ad->rm, &reply,
	    &(struct attempt){.why = WHY_NOT_READY});
	end(ad);
}

static void go_on(struct admission *ad)
{
	struct ready_message *rm = ad->rm;
	struct buf meta = BUF_INIT;

	/* What the policy noted goes along, though not into the file. */
	meta_write_json(ad->message->meta, &meta);
	rm->m.meta_json = arena_strndup(rm->arena, meta.data, meta.len);
	buf_release(&meta);
	if (may_go_on(ad->all))
		scheduled_queue_admitted(rm->sq, rm);
	else
		outcome_return_waiting(ad->all->r->outcomes, rm);
	end(ad);
}

static void decide(struct admission *ad)
{
	struct ready_message *rm = ad->rm;
	struct message *m = ad->message;
	int64_t now = clock_unix();
	struct buf name = BUF_INIT;
	struct err err = {0};
	bool moved;

	if (!message_queue_name(m, &name, &err)) {
		diag_error("policy: %s: %s", event, err.text);
		abandon(ad, err.text);
		goto out;
	}
	moved = !str_eq(buf_str(&name), rm->sq->name) &&
		meta_get_string(m->meta, "queue");
	if (!moved && m->due_at <= now) {
		go_on(ad);
		goto out;
	}
	ad->message = NULL;
	put_back_throttled_take(
	    ad->all->r, rm, m, moved ? buf_str(&name) : rm->sq->name);
	end(ad);
out:
	buf_release(&name);
}

static void run_answered(struct loop_item *item)
{
	struct admission *ad = CONTAINER_OF(item, struct admission, item);
	const struct script_reject *reject;

	ready_message_ends(ad->rm, ad->all->r->queue, NULL, 0);
	switch (script_call_outcome(ad->call)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		decide(ad);
		return;
	case SCRIPT_REJECTED:
		reject = script_call_reject(ad->call);
		abandon(ad, reject->message ? reject->message : "rejected");
		return;
	case SCRIPT_EXPIRED:
		/* The handler may still hold the message: it is left alone. */
	case SCRIPT_ERROR:
		diag_error("%s: policy: %s", ad->rm->m.id,
		    script_call_error(ad->call));
		abandon(ad, "local policy error");
		return;
	}
}

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct admission *ad = ctx;

	(void)call;
	loop_post(ad->all->r->loop, &ad->item);
}

static void loaded(struct message **messages, const struct err *err, void *ctx)
{
	struct admission *ad = ctx;

	if (!messages) {
		abandon(ad, err->text);
		return;
	}
	ad->message = messages[0];
	ad->policy = script_policy_ref(ad->all->r->policy);
	ad->call = script_call_new(ad->policy, event);
	script_arg_message(ad->call, ad->message);
	ready_message_begins(ad->rm, ad->all->r->queue, NULL, 0);
	script_call_submit(
	    ad->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, ad);
}

static void start_more(struct admissions *a)
{
	while (!list_empty(&a->waiting) && a->busy < MOST) {
		struct ready_message *rm =
		    LIST_ITEM(a->waiting.next, struct ready_message, link);
		struct ready_message *const one[] = {rm};
		struct admission *ad;

		list_remove(&rm->link);
		if (!may_go_on(a)) {
			outcome_return_waiting(a->r->outcomes, rm);
			continue;
		}
		ad = xcalloc(1, sizeof *ad);
		ad->item.run = run_answered;
		ad->all = a;
		ad->rm = rm;
		a->busy++;
		message_load(a->r->loader, one, 1, loaded, ad);
	}
}

void admissions_put(struct admissions *a, struct ready_message *rm)
{
	list_add_tail(&a->waiting, &rm->link);
	start_more(a);
}

/* ---- */

static void run_work(struct loop_deferred *d)
{
	start_more(CONTAINER_OF(d, struct admissions, work));
}

struct admissions *admissions_new(struct router *r)
{
	struct admissions *a = xcalloc(1, sizeof *a);

	a->r = r;
	list_init(&a->waiting);
	loop_deferred_init(&a->work, run_work);
	return a;
}

void admissions_free(struct admissions *a)
{
	free(a);
}

bool admissions_needed(const struct router *r)
{
	return script_policy_handles(r->policy, event);
}

size_t admissions_busy(const struct admissions *a)
{
	return a->busy + !list_empty(&a->waiting);
}
