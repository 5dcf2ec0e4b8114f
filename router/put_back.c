/*
 * put_back.c - messages that were taken out, and may not go on yet
 */
#include "router/put_back.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "mail/message.h"
#include "policy/retry.h"
#include "router/outcome.h"
#include "router/ready_message.h"
#include "router/requeue.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

static const char throttle_event[] = "throttle_insert_ready_queue";
static const char requeue_event[] = "requeue_message";

struct putting {
	struct router *r;
	struct ready_message *rm;
	struct smtp_reply reply;
	struct message *message; /* NULL: rm goes back as it was leased */
	const char *queue;
};

/* When it is due it would have lived too long. */
static bool is_expired(const struct ready_message *rm,
    const struct queue_config *config, int64_t due_at)
{
	struct retry_question q = {
	    .attempts = rm->info[0].attempts,
	    .now = clock_unix(),
	    .created_at = rm->m.created_ms / 1000,
	    .expires_at = rm->info[0].expires,
	};

	return retry_without_attempt(
	    config, &q, due_at > q.now ? due_at - q.now : 0)
	    .expired;
}

/* Takes m. */
static void wait_for_due(struct router *r, struct ready_message *rm,
    struct message *m, const char *queue, const struct smtp_reply *reply)
{
	if (is_expired(rm, scheduled_queue_config(rm->sq), m->due_at)) {
		message_unref(m);
		outcome_expire_waiting(r->outcomes, rm, reply);
		return;
	}
	m->recipients_changed = false;
	m->content_changed = false;
	m->attempts = rm->info[0].attempts;
	outcome_put_back_take(r->outcomes, rm, m, queue, throttle_event);
}

/* ---- what requeue_message says ---- */

static void go_elsewhere(struct putting *p, const struct requeue_answer *answer)
{
	struct outcomes *o = p->r->outcomes;
	struct message *m = answer->message;

	m->attempts = p->rm->info[0].attempts + 1;
	m->due_at = 0;
	if (str_eq(answer->queue, "null")) {
		outcome_rewrite_take(o, p->rm, m, answer->queue);
	} else if (answer->config &&
		   is_expired(p->rm, answer->config, clock_unix())) {
		message_unref(m);
		outcome_expire_waiting(o, p->rm, &p->reply);
	} else {
		outcome_put_back_take(
		    o, p->rm, m, answer->queue, requeue_event);
	}
}

static void give_up(struct putting *p, const struct script_reject *reject)
{
	const char *text = reject->message ? reject->message : "";
	struct smtp_reply reply = smtp_reply_from_text(
	    p->rm->arena, reject->code, text, strlen(text));

	outcome_report_waiting(
	    p->r->outcomes, p->rm, &reply, &(struct attempt){.bounce = true});
}

static void stay(struct putting *p, const struct requeue_answer *answer)
{
	struct outcomes *o = p->r->outcomes;
	struct message *m = answer->message;

	if (p->message)
		wait_for_due(p->r, p->rm, m ? m : message_ref(p->message),
		    p->queue, &p->reply);
	else if (m)
		outcome_rewrite_take(o, p->rm, m, p->queue);
	else
		outcome_return_waiting(o, p->rm);
}

static void answered(const struct requeue_answer *answer, void *ctx)
{
	struct putting *p = ctx;
	struct router *r = p->r;

	outcomes_detour(r->outcomes, p->rm->count, false);
	switch (answer->kind) {
	case REQUEUE_AS_IT_WAS:
	case REQUEUE_CHANGED:
		stay(p, answer);
		break;
	case REQUEUE_ELSEWHERE:
		go_elsewhere(p, answer);
		break;
	case REQUEUE_REJECTED:
		give_up(p, answer->reject);
		break;
	}
	message_unref(p->message);
	free(p);
	router_progress(r);
}

static void ask(struct router *r, struct ready_message *rm, struct message *m,
    const char *queue, const struct requeue_question *q)
{
	struct putting *p = xcalloc(1, sizeof *p);

	p->r = r;
	p->rm = rm;
	p->reply = q->reply;
	p->message = m;
	p->queue = arena_strdup(rm->arena, queue);
	outcomes_detour(r->outcomes, rm->count, true);
	requeue_ask(r, r->policy, q, answered, p);
}

/* ---- */

void put_back_throttled_take(struct router *r, struct ready_message *rm,
    struct message *m, const char *queue)
{
	int64_t now = clock_unix();
	char text[40];
	struct requeue_question q = {
	    .rm = rm,
	    .reply = smtp_reply_make(rm->arena, 451, "4.4.4",
		"%s: held back until %s", throttle_event,
		clock_rfc3339(text, m->due_at * 1000)),
	    .reasons = {"ThrottledByThrottleInsertReadyQueue"},
	    .delay_ms = m->due_at > now ? (m->due_at - now) * 1000 : 0,
	};

	if (!requeue_is_handled(r->policy)) {
		wait_for_due(r, rm, m, queue, &q.reply);
		return;
	}
	/* Ours stays as it is, whatever that handler ends in. */
	q.message = message_copy(m);
	ask(r, rm, m, queue, &q);
}

void put_back_for_limit(struct router *r, struct ready_message *rm,
    const char *reason, const char *label, int64_t ms)
{
	struct requeue_question q = {
	    .rm = rm, .reasons = {reason}, .delay_ms = ms < 0 ? -1 : ms};

	/* Of one that is half-way some recipients are with a connection. */
	if (!requeue_is_handled(r->policy) ||
	    ready_message_waiting(rm) < rm->count) {
		outcome_return_waiting(r->outcomes, rm);
		return;
	}
	q.reply = smtp_reply_make(
	    rm->arena, 451, "4.4.4", "the queue waits for %.400s", label);
	ask(r, rm, NULL, rm->sq->name, &q);
}
