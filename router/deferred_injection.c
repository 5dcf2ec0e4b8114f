/*
 * deferred_injection.c - new mail that the policy sees here, not in the milter
 */
#include "router/deferred_injection.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "mail/queue_name.h"
#include "router/intake.h"
#include "router/message_load.h"
#include "router/outcome.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define MOST 64 /* messages with the loader and with Lua */
#define DEADLINE_MS 10000

static const char event[] = "smtp_server_message_deferred_inject";

struct injections {
	struct router *r;
	size_t busy;
};

struct injection {
	struct loop_item item; /* Lua has answered */
	struct injections *in;
	struct ready_message *rm;
	struct message *message;
	struct script_policy *policy;
	struct script_call *call;
};

struct injections *injections_new(struct router *r)
{
	struct injections *in = xcalloc(1, sizeof *in);

	in->r = r;
	return in;
}

void injections_free(struct injections *in)
{
	free(in);
}

size_t injections_room(
    const struct injections *in, const struct scheduled_queue *sq)
{
	(void)in;
	return sq->leased < MOST ? MOST - sq->leased : 0;
}

size_t injections_busy(const struct injections *in)
{
	return in->busy;
}

/* ---- what becomes of it ---- */

static void end(struct injection *inj)
{
	struct injections *in = inj->in;

	script_call_free(inj->call);
	if (inj->policy)
		script_policy_unref(inj->policy);
	message_unref(inj->message);
	free(inj);
	in->busy--;
	intake_unblock_maildirs(in->r->intake);
	router_progress(in->r);
}

static void report(
    struct injection *inj, const struct smtp_reply *reply, bool bounce)
{
	outcome_report_waiting(inj->in->r->outcomes, inj->rm, reply,
	    &(struct attempt){.bounce = bounce});
	end(inj);
}

static void try_again(struct injection *inj, const char *why)
{
	struct smtp_reply reply = smtp_reply_make(
	    inj->rm->arena, 450, "4.3.0", "%s: %.400s", event, why);

	report(inj, &reply, false);
}

static void move(struct injection *inj)
{
	struct message *m = inj->message;
	struct buf name = BUF_INIT;
	struct err err = {0};

	if (m->recipients.count == 0) {
		buf_addstr(&name, "null");
	} else if (!message_queue_name(m, &name, &err)) {
		diag_error("policy: %s: %s", event, err.text);
		try_again(inj, err.text);
		goto out;
	} else if (str_eq(buf_str(&name), QUEUE_NAME_DEFERRED)) {
		/* It would be here again at once, and for ever. */
		try_again(inj, "the policy left it in the queue of new mail");
		goto out;
	}
	/* Unless the policy said when, it is due now. */
	if (m->due_at == inj->rm->info[0].due_at)
		m->due_at = 0;
	m->attempts = 0;
	inj->message = NULL;
	outcome_move_take(inj->in->r->outcomes, inj->rm, m, buf_str(&name));
	end(inj);
out:
	buf_release(&name);
}

static void rejected(struct injection *inj)
{
	const struct script_reject *reject = script_call_reject(inj->call);
	const char *text = reject->message ? reject->message : "";
	struct smtp_reply reply;

	if (reject->code >= 400 && reject->code <= 499) {
		try_again(inj, text);
		return;
	}
	reply = smtp_reply_from_text(
	    inj->rm->arena, reject->code, text, strlen(text));
	report(inj, &reply, true);
}

static void run_answered(struct loop_item *item)
{
	struct injection *inj = CONTAINER_OF(item, struct injection, item);

	ready_message_ends(inj->rm, inj->in->r->queue, NULL, 0);
	switch (script_call_outcome(inj->call)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		move(inj);
		return;
	case SCRIPT_REJECTED:
		rejected(inj);
		return;
	case SCRIPT_EXPIRED:
		/* The handler may still hold the message: it is left alone. */
	case SCRIPT_ERROR:
		diag_error("%s: policy: %s", inj->rm->m.id,
		    script_call_error(inj->call));
		try_again(inj, "local policy error");
		return;
	}
	diag_panic("%s: unknown outcome", event);
}

/* ---- asking ---- */

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct injection *inj = ctx;

	(void)call;
	loop_post(inj->in->r->loop, &inj->item);
}

static void loaded(struct message **messages, const struct err *err, void *ctx)
{
	struct injection *inj = ctx;
	struct router *r = inj->in->r;

	if (!messages) {
		try_again(inj, err->text);
		return;
	}
	inj->message = messages[0];
	/* Where it waited is not where it goes. */
	meta_unset(inj->message->meta, "queue");
	if (!script_policy_handles(r->policy, event)) {
		move(inj);
		return;
	}
	inj->policy = script_policy_ref(r->policy);
	inj->call = script_call_new(inj->policy, event);
	script_arg_message(inj->call, inj->message);
	/* What the connection knew; changes to it are lost. */
	script_arg_conn_meta(inj->call, inj->message->meta);
	ready_message_begins(inj->rm, inj->in->r->queue, NULL, 0);
	script_call_submit(
	    inj->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, inj);
}

void injections_put(struct injections *in, struct ready_message *rm)
{
	struct injection *inj = xcalloc(1, sizeof *inj);
	struct ready_message *const one[] = {rm};

	inj->item.run = run_answered;
	inj->in = in;
	inj->rm = rm;
	in->busy++;
	message_load(in->r->loader, one, 1, loaded, inj);
}
