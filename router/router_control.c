/*
 * router_control.c - what a running router is asked and told
 *
 * A conversation runs on a thread of the control socket, more than one at a
 * time: an order that takes long (steering.h) keeps nobody else waiting.  It
 * posts a question to the loop and waits for the answer; when it has waited
 * long enough it lets go, and whoever is last frees the question.
 */
#include "router/router_control.h"

#include <stdatomic.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_writer.h"
#include "lua/script.h"
#include "router/intake.h"
#include "router/outcome.h"
#include "router/ready_queues.h"
#include "router/reload.h"
#include "router/router.h"
#include "router/steering.h"

#define WAIT_MS 4500
/* Two more than orders are carried out at a time. */
#define THREADS (STEERING_ORDERS_MOST + 2)

struct question {
	struct loop_item item;
	struct router *r;
	char *request;
	struct buf reply;
	struct inbox *answered; /* the item comes back here */
	atomic_int holders;     /* the asker and the loop */
};

static void let_go(struct question *q)
{
	if (atomic_fetch_sub(&q->holders, 1) > 1)
		return;
	inbox_free(q->answered);
	buf_release(&q->reply);
	free(q->request);
	free(q);
}

static void answer(struct question *q)
{
	inbox_put(q->answered, &q->item.item);
	let_go(q);
}

static void counters(const struct router *r, struct json_object *o)
{
	const struct router_counters *c = &r->counters;

	json_add_int(o, "delivered", c->delivered);
	json_add_int(o, "deferred", c->deferred);
	json_add_int(o, "bounced", c->bounced);
	json_add_int(o, "expired", c->expired);
	json_add_int(o, "returned", c->returned);
	json_add_int(o, "gone", c->gone);
	json_add_int(o, "unsettled", (int64_t)outcomes_unsettled(r->outcomes));
}

static void status(struct router *r, struct buf *out)
{
	struct json_object o;
	struct log_writer_stats log = {0};

	log_writer_stats(r->log, &log);
	json_open(&o, out);
	json_add_string(&o, "program", "penstock-router");
	json_add_int(&o, "pid", getpid());
	json_add_string(&o, "version", PACKAGE_VERSION);
	json_add_string(&o, "policy", r->options->policy_path);
	json_add_string(&o, "queue", r->options->queue_path);
	json_add_int(&o, "generation", script_policy_generation(r->policy));
	json_add_string(&o, "last_reload_error",
	    r->reload_error[0] ? r->reload_error : NULL);
	json_add_int(&o, "started", r->started);
	json_add_string(&o, "paused",
	    router_may_start(r) ? intake_trouble(r->intake) : r->hold_reason);
	json_add_int(&o, "abandoned_threads", script_abandoned());
	json_add_int(&o, "log_records", log.records);
	json_add_bool(&o, "log_failing", log.failing);
	intake_status(r->intake, &o);
	ready_queues_status(r->ready, &o);
	counters(r, &o);
	json_close(&o);
}

static void reloaded(const char *error, void *ctx)
{
	struct question *q = ctx;
	struct json_object o;

	json_open(&o, &q->reply);
	json_add_string(&o, "program", "penstock-router");
	json_add_bool(&o, "ok", !error[0]);
	json_add_string(&o, "error", error[0] ? error : NULL);
	json_add_int(&o, "generation", script_policy_generation(q->r->policy));
	json_close(&o);
	answer(q);
}

static void say_ok(struct buf *out, bool ok, const char *error)
{
	struct json_object o;

	json_open(&o, out);
	json_add_bool(&o, "ok", ok);
	if (error)
		json_add_string(&o, "error", error);
	json_close(&o);
}

static void run_question(struct loop_item *item)
{
	struct question *q = CONTAINER_OF(item, struct question, item);

	if (str_eq(q->request, "reload")) {
		router_reload(q->r, reloaded, q);
		return;
	}
	if (str_eq(q->request, "status")) {
		status(q->r, &q->reply);
	} else if (str_eq(q->request, "tick")) {
		router_tick(q->r);
		say_ok(&q->reply, true, NULL);
	} else if (str_eq(q->request, "stop")) {
		say_ok(&q->reply, true, NULL);
		router_stop(q->r, "told to by the control socket", EX_OK);
	} else {
		say_ok(&q->reply, false,
		    "unknown command; there are status, reload, rebind, tick, "
		    "stop");
	}
	answer(q);
}

static void serve(const char *request, struct buf *reply, void *ctx)
{
	struct router *r = ctx;
	struct question *q;

	if (steering_serve(r, request, reply))
		return;
	q = xcalloc(1, sizeof *q);
	q->item.run = run_question;
	q->r = r;
	q->request = xstrdup(request);
	q->answered = inbox_new();
	atomic_init(&q->holders, 2);
	loop_post(r->loop, &q->item);
	if (inbox_take(q->answered, clock_now_ms() + WAIT_MS))
		buf_add(reply, q->reply.data, q->reply.len);
	else
		say_ok(reply, false, "it takes long; ask for status later");
	let_go(q);
}

bool router_control_start(struct router *r, struct err *err)
{
	r->control =
	    control_start(r->options->control_path, THREADS, serve, r, err);
	return r->control != NULL;
}

/* An order that came when the loop had just ended would be waited for, and the
 * end with it, for minutes. */
void router_control_stop(struct router *r)
{
	while (!control_is_quiet(r->control, 10))
		loop_run_posted(r->loop);
	control_stop(r->control);
	r->control = NULL;
}
