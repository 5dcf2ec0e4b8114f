/*
 * ready_room.c - how much a ready queue may hold, and when it may call
 *
 * What stands here are the numbers; ready_queue.c acts upon them.
 *
 * See: shares.h for what one may have in view of the others.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "router/destination.h"
#include "router/intake.h"
#include "router/ready_limits.h"
#include "router/ready_queue.h"
#include "router/ready_queues.h"
#include "router/router.h"

/* What is leased for a ready queue while its path is not known. */
#define PATHLESS_READY 4
/* A host that has not answered for so long may be dead. */
#define SILENT_MS 2000
/* Of a site that was given up, pulled in one turn. */
#define REFUSED_AT_ONCE 200
/* What is held beside 4 a connection while bodies use up their memory. */
#define MUCH_READY 32

enum standing ready_queue_standing(const struct ready_queue *rq)
{
	if (rq->connection_count > rq->connecting)
		return STANDING_GOOD;
	if (rq->connecting > 0 && clock_now_ms() - rq->called >= SILENT_MS)
		return STANDING_BAD;
	if (rq->proven)
		return STANDING_GOOD;
	return rq->failures > 0 || rq->remembered ? STANDING_BAD : STANDING_NEW;
}

void ready_queue_count(struct ready_queue *rq)
{
	struct shares *s = ready_queues_shares(rq->owner);

	s->messages[rq->counted_as] -= rq->counted_messages;
	s->connections[rq->counted_as] -= rq->counted_connections;
	rq->counted_as = ready_queue_standing(rq);
	rq->counted_messages = rq->waiting_count + rq->reserved;
	rq->counted_connections = rq->connection_count;
	s->messages[rq->counted_as] += rq->counted_messages;
	s->connections[rq->counted_as] += rq->counted_connections;
}

bool ready_queue_is_resting(const struct ready_queue *rq)
{
	return rq->rest_until > 0 && clock_now_ms() < rq->rest_until;
}

bool ready_queue_is_given_up(const struct ready_queue *rq)
{
	return rq->given_up.code && ready_queue_is_resting(rq);
}

/* What is leased for a site that was given up does not stay. */
static size_t refusable(const struct ready_queue *rq, size_t max_ready)
{
	size_t left = max_ready > rq->refused ? max_ready - rq->refused : 0;

	return left < REFUSED_AT_ONCE ? left : REFUSED_AT_ONCE;
}

/* ---- room ---- */

/* max_ready, and less while nobody answers or while much is leased: what may be
 * leased in all is a fixed number, and destinations that do not move must not
 * use it up. */
static size_t allowance(
    const struct ready_queue *rq, const struct shares *shares)
{
	enum standing standing = ready_queue_standing(rq);
	bool much = atomic_load(&rq->r->inline_bytes) > ROUTER_INLINE_MOST / 2;
	size_t most = (size_t)ready_queue_path(rq)->max_ready, share;

	if (rq->limits) {
		size_t allowed = ready_limits_room(rq);

		most = most < allowed ? most : allowed;
	}
	if (ready_queue_is_given_up(rq))
		return refusable(rq, most);
	if (standing == STANDING_BAD && ready_queue_is_resting(rq))
		return 0;
	share = shares_messages(shares, standing, intake_leased(rq->r->intake));
	/* Enough to keep its connections busy, not more: a body that does not
	 * fit into memory has to be read twice. */
	if (much && share > MUCH_READY + 4 * rq->connection_count)
		share = MUCH_READY + 4 * rq->connection_count;
	return most < share ? most : share;
}

bool ready_queue_has_place(const struct ready_queue *rq)
{
	static const struct shares none;
	const struct shares *shares = ready_queues_shares(rq->owner);

	/* It is leased in any case: where it waits makes no difference to
	 * others, and a source that has some may have them all. */
	if (ready_queue_standing(rq) == STANDING_NEW)
		shares = &none;
	return rq->waiting_count + rq->reserved < allowance(rq, shares);
}

/* Its path is asked for when something waits; what does not fit then goes back.
 */
static size_t to_lease(const struct ready_queue *rq)
{
	size_t most = allowance(rq, ready_queues_shares(rq->owner));

	return rq->path || most < PATHLESS_READY ? most : PATHLESS_READY;
}

size_t ready_queue_room(const struct ready_queue *rq)
{
	size_t most = to_lease(rq), used = rq->waiting_count + rq->reserved;

	return used < most ? most - used : 0;
}

bool ready_queue_worth_filling(const struct ready_queue *rq)
{
	size_t most = to_lease(rq), used = rq->waiting_count + rq->reserved;

	/* From three quarters on a lease would be small. */
	return used < most && used <= most - most / 4;
}

bool ready_queue_is_full(const struct ready_queue *rq, struct buf *out)
{
	size_t most = (size_t)ready_queue_path(rq)->max_ready;
	size_t used = rq->waiting_count + rq->reserved;

	if (!rq->path || (used < most && used <= most - most / 4))
		return false;
	buf_addf(out, "max_ready %zu of %s", most, rq->name);
	return true;
}

void ready_queue_reserve(struct ready_queue *rq, size_t messages, bool take)
{
	invariant(take || rq->reserved >= messages);
	if (take)
		rq->reserved += messages;
	else
		rq->reserved -= messages;
	ready_queue_count(rq);
}

/* ---- resting ---- */

/* Before it calls again; after too many failures what waits gets an answer
 * meanwhile (12.2). */
void ready_queue_rest(struct ready_queue *rq, const struct smtp_reply *reply)
{
	int64_t limit =
	    ready_queue_path(rq)->consecutive_connection_failures_before_delay;

	rq->failures++;
	rq->rest_until = clock_now_ms() + shares_rest_ms(rq->failures, limit);
	if (rq->failures <= limit)
		return;
	arena_unref(rq->given_up_arena);
	rq->given_up_arena = arena_new(512);
	rq->given_up = smtp_reply_make(rq->given_up_arena, 451, "4.4.1",
	    "no mail host of %s answers; last: %d %.300s",
	    rq->destination->site_name, reply->code, reply->text);
	rq->refused = 0;
}
