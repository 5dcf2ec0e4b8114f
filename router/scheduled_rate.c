/*
 * scheduled_rate.c - max_message_rate of a scheduled queue
 *
 * Every message that is leased counts, a retry as well (policy language, 10.2).
 * While nothing may pass the queue is blocked: not pulled from, its rows left
 * alone.
 */
#include "base/clock.h"
#include "lua/script.h"
#include "router/intake.h"
#include "router/policy_call.h"
#include "router/ready_limits.h"
#include "router/ready_queue.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

/* What a rate lets through in that time is leased together. */
#define FEW_MS 50

static void rate_opened(struct gate_waiter *w)
{
	struct scheduled_queue *sq =
	    CONTAINER_OF(w, struct scheduled_queue, turn);

	intake_unblock(sq->r->intake, sq);
}

void scheduled_queue_rate_init(struct scheduled_queue *sq)
{
	gate_waiter_init(&sq->turn, rate_opened);
}

void scheduled_queue_use_rate(
    struct scheduled_queue *sq, const struct rate *rate)
{
	struct gate *old = sq->rate;

	sq->rate = rate && !sq->drop && !sq->inject
		       ? gate_for_rate(
			     sq->r->gates, "max_message_rate", sq->name, rate)
		       : NULL;
	if (sq->turn.gate && sq->turn.gate != sq->rate)
		gate_leave_line(&sq->turn);
	gate_unref(old);
}

void scheduled_queue_release(struct scheduled_queue *sq, size_t messages)
{
	if (sq->rate)
		gate_take(sq->rate, messages);
}

void scheduled_queue_unrelease(struct scheduled_queue *sq, size_t messages)
{
	if (sq->rate && messages > 0)
		gate_give_back(sq->rate, messages);
}

bool scheduled_queue_wait_for_rate(struct scheduled_queue *sq)
{
	size_t few;

	if (!sq->rate || gate_room(sq->rate, 0) > 0)
		return false;
	/* A fast one is worth more than a message a turn. */
	few = gate_room(sq->rate, FEW_MS);
	sq->turn.want = few > 1 ? (int64_t)few : 1;
	gate_wait(sq->rate, &sq->turn);
	sq->refusal.code = 0; /* it will be old by then */
	return true;
}

const char *scheduled_queue_why(const struct scheduled_queue *sq, int64_t *ms)
{
	const char *why = NULL;
	int64_t until;

	if (sq->turn.gate) {
		*ms = gate_wait_ms(sq->turn.gate, 1);
		return gate_label(sq->turn.gate);
	}
	/* Of several routes the one that opens first. */
	for (size_t i = 0; i < sq->route_count; i++) {
		const char *one =
		    sq->routes[i].rq ? ready_queue_why(sq->routes[i].rq, &until)
				     : NULL;

		if (!one || (why && (until < 0 || (*ms >= 0 && until >= *ms))))
			continue;
		why = one;
		*ms = until;
	}
	return why;
}

bool scheduled_queue_is_full(const struct scheduled_queue *sq, struct buf *out)
{
	for (size_t i = 0; i < sq->route_count; i++)
		if (sq->routes[i].rq &&
		    ready_queue_is_full(sq->routes[i].rq, out))
			return true;
	return false;
}

bool scheduled_queue_is_slow(const struct scheduled_queue *sq)
{
	if (sq->rate && gate_is_slow(sq->rate))
		return true;
	for (size_t i = 0; i < sq->route_count; i++) {
		const struct ready_queue *rq = sq->routes[i].rq;

		if (rq && rq->limits && ready_limits_are_slow(rq->limits))
			return true;
	}
	return false;
}

bool scheduled_queue_only_waits(const struct scheduled_queue *sq)
{
	return sq->turn.gate && sq->config &&
	       sq->config_epoch == script_policy_generation(sq->r->policy) &&
	       clock_now_ms() < sq->config_until;
}
