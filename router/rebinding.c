/*
 * rebinding.c - waiting messages go to other queues, because an operator says
 *so
 *
 *	order -> lease (writer thread) -> [rebind_message ->] outcome -> settled
 */
#include "router/rebinding.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "queue/queue.h"
#include "router/intake.h"
#include "router/message_load.h"
#include "router/outcome.h"
#include "router/queue_thread.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define DEADLINE_MS 60000

static const char event[] = "rebind_message";

struct rebindings {
	struct router *r;
	/* Leases and messages that are not decided.  What is decided waits for
	 * its commit like any outcome, perhaps until the file is recovered:
	 * the recovery must not wait for it. */
	size_t busy;
};

/* One order. */
struct rebinding_job {
	struct queue_job job;
	struct rebindings *all;
	struct rebind_order *order;
	struct arena *arena; /* of the leases */
	struct queue_leases leases;
	size_t
	    open; /* messages that are not settled, and one while it begins */
};

/* One message of it. */
struct rebinding {
	struct loop_item item; /* Lua has answered */
	struct rebinding_job *job;
	struct ready_message *rm;
	struct message *message;
	struct meta *meta; /* that it had */
	char *queue;       /* that it was in */
	struct script_policy *policy;
	struct script_call *call;
};

static void let_go(void *ctx)
{
	struct rebinding_job *job = ctx;
	struct rebind_order *order = job->order;

	if (--job->open > 0)
		return;
	arena_unref(job->arena);
	free(job);
	order->done(order, order->ctx);
}

static void decided(struct rebindings *all)
{
	all->busy--;
	router_progress(all->r);
}

/* ---- what becomes of a message ---- */

static void end(struct rebinding *b)
{
	struct rebindings *all = b->job->all;

	if (b->call)
		script_call_free(b->call);
	if (b->policy)
		script_policy_unref(b->policy);
	message_unref(b->message);
	meta_free(b->meta);
	free(b->queue);
	free(b);
	decided(all);
}

static void fail(struct rebinding *b, const char *why)
{
	diag_error("%s: %s: stays as it was: %s", b->rm->m.id, event, why);
	b->job->order->failed++;
	outcome_return_waiting(b->job->all->r->outcomes, b->rm);
	end(b);
}

static void decide(struct rebinding *b)
{
	struct rebind_order *order = b->job->order;
	struct outcomes *outcomes = b->job->all->r->outcomes;
	struct ready_message *rm = b->rm;
	struct message *m = b->message;
	struct buf name = BUF_INIT;
	struct err err = {0};
	bool changed;

	if (!message_queue_name(m, &name, &err)) {
		fail(b, err.text);
		buf_release(&name);
		return;
	}
	/* Envelope and content are the sender's. */
	m->recipients_changed = m->content_changed = false;
	changed = !meta_same(m->meta, b->meta);
	if (!str_eq(buf_str(&name), b->queue)) {
		order->rebound++;
		b->message = NULL;
		outcome_rebind_take(outcomes, rm, m, buf_str(&name),
		    order->reason, order->record);
	} else if (changed || order->flush) {
		*(changed ? &order->changed : &order->unchanged) += 1;
		if (order->flush)
			m->due_at = 0;
		b->message = NULL;
		outcome_rewrite_take(outcomes, rm, m, rm->sq->name);
	} else {
		order->unchanged++;
		outcome_return_waiting(outcomes, rm);
	}
	buf_release(&name);
	end(b);
}

static void run_answered(struct loop_item *item)
{
	struct rebinding *b = CONTAINER_OF(item, struct rebinding, item);
	const struct script_reject *reject;

	ready_message_ends(b->rm, b->job->all->r->queue, NULL, 0);
	switch (script_call_outcome(b->call)) {
	case SCRIPT_VALUE:
		decide(b);
		return;
	case SCRIPT_NO_HANDLER:
		fail(b, "the policy has no handler for it");
		return;
	case SCRIPT_REJECTED:
		reject = script_call_reject(b->call);
		fail(b, reject->message ? reject->message : "rejected");
		return;
	case SCRIPT_EXPIRED:
		/* The handler may still hold the message: it is left alone. */
	case SCRIPT_ERROR:
		fail(b, script_call_error(b->call));
		return;
	}
	diag_panic("%s: unknown outcome", event);
}

/* ---- one message ---- */

/* By the same rule as afterwards, so that only a change is one. */
static void remember(struct rebinding *b)
{
	struct buf name = BUF_INIT;

	b->meta = meta_copy(b->message->meta);
	if (!message_queue_name(b->message, &name, NULL))
		buf_reset(&name);
	b->queue = xstrdup(buf_str(&name));
	buf_release(&name);
}

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct rebinding *b = ctx;

	(void)call;
	loop_post(b->job->all->r->loop, &b->item);
}

static void loaded(struct message **messages, const struct err *err, void *ctx)
{
	struct rebinding *b = ctx;
	struct router *r = b->job->all->r;

	if (!messages) {
		fail(b, err->text);
		return;
	}
	b->message = messages[0];
	remember(b);
	b->policy = script_policy_ref(r->policy);
	b->call = script_call_new(b->policy, event);
	script_arg_message(b->call, b->message);
	script_arg_value(b->call, &b->job->order->data);
	ready_message_begins(b->rm, r->queue, NULL, 0);
	script_call_submit(
	    b->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, b);
}

/* Without asking anybody: the data becomes metadata. */
static void copy_data(struct rebinding *b)
{
	const struct ready_message *rm = b->rm;
	const struct delivery_recipient **who =
	    xcalloc(rm->count, sizeof(struct delivery_recipient *));

	for (size_t i = 0; i < rm->count; i++)
		who[i] = &rm->recipients[i];
	b->message = message_without_content(rm, who, rm->count);
	free(who);
	remember(b);
	VALUE_EACH (e, &b->job->order->data)
		meta_set(b->message->meta, e->key, &e->value);
	decide(b);
}

static void begin(struct rebinding_job *job, struct ready_message *rm)
{
	struct rebinding *b = xcalloc(1, sizeof *b);
	struct ready_message *const one[] = {rm};

	b->item.run = run_answered;
	b->job = job;
	b->rm = rm;
	rm->settled = let_go;
	rm->settled_ctx = job;
	job->open++;
	job->all->busy++;
	if (job->order->event)
		message_load(job->all->r->loader, one, 1, loaded, b);
	else
		copy_data(b);
}

/* ---- an order ---- */

static bool lease(struct queue_job *base, struct queue_conn *conn)
{
	struct rebinding_job *job =
	    CONTAINER_OF(base, struct rebinding_job, job);

	return queue_lease_waiting(conn, job->order->ids, job->order->count,
	    job->arena, &job->leases, &base->err);
}

static bool alike(const struct queue_lease *a, const struct queue_lease *b)
{
	return a->message == b->message && a->queue_id == b->queue_id &&
	       a->attempts == b->attempts && a->due_at == b->due_at;
}

static void run_leased(struct loop_item *item)
{
	struct rebinding_job *job =
	    CONTAINER_OF(item, struct rebinding_job, job.item);
	const struct queue_lease *all = job->leases.items;
	struct rebindings *rebindings = job->all;
	size_t i = 0;

	if (!job->job.ok)
		job->order->err = job->job.err;
	while (job->job.ok && i < job->leases.count) {
		size_t n = 1;

		while (i + n < job->leases.count && alike(&all[i], &all[i + n]))
			n++;
		begin(job, intake_take(job->all->r->intake, &all[i], n));
		i += n;
	}
	outcomes_flush(rebindings->r->outcomes);
	let_go(job);
	decided(rebindings);
}

void rebindings_put(struct rebindings *b, struct rebind_order *order)
{
	struct rebinding_job *job = xcalloc(1, sizeof *job);

	job->job.item.run = run_leased;
	job->job.work = lease;
	job->job.fresh = true;
	job->all = b;
	job->order = order;
	job->arena = arena_new(65536);
	job->open = 1;
	b->busy++;
	queue_threads_write(b->r->threads, &job->job);
}

size_t rebindings_busy(const struct rebindings *b)
{
	return b->busy;
}

struct rebindings *rebindings_new(struct router *r)
{
	struct rebindings *b = xcalloc(1, sizeof *b);

	b->r = r;
	return b;
}

void rebindings_free(struct rebindings *b)
{
	free(b);
}
