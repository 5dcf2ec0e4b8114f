/*
 * ready_limits.h - what an egress path allows its ready queue, beside
 * connection_limit
 *
 * Rates of messages, of new connections and of choice, and limits of
 * connections that several paths share (policy language, 12.5).  A ready queue
 * whose path has none of them has no struct ready_limits, and pays nothing.
 *
 * While a rate is closed for less than idle_timeout the messages wait here, on
 * their connection.  Else they go back to the file as if they had never been
 * leased, and nothing is pulled until it is our turn: a destination that may
 * not go on holds nothing that others need.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_READY_LIMITS_H
#define ROUTER_READY_LIMITS_H

#include "policy/egress_path.h"
#include "router/gate.h"

struct ready_limits;
struct ready_message;
struct ready_queue;

/* Connections of shared limits that one connection counts in. */
struct ready_slots {
	struct gate **gates;
	size_t count;
};

/* rq has this path from now on. */
void ready_limits_set(struct ready_queue *rq, const struct egress_path *path);
void ready_limits_free(struct ready_limits *limits); /* NULL is fine */

/* Of rq->limits, which is not NULL for these: */

/* How many messages it makes sense to hold. */
size_t ready_limits_room(const struct ready_queue *rq);
/* How many may be sent now; 0: rq stands in line and works when it may. */
size_t ready_limits_sendable(struct ready_queue *rq);
/* May rm be sent now?  Counted once for each message. */
bool ready_limits_take_message(
    struct ready_queue *rq, struct ready_message *rm);
/* Messages in front that were counted and came back unsent. */
size_t ready_limits_paid(const struct ready_queue *rq);
/* May a connection be opened now?  Then it is counted, and its slots have to
 * come back by one of the next two.  If not, rq stands in line. */
bool ready_limits_take_connection(
    struct ready_queue *rq, struct ready_slots *slots);
/* It was not opened after all. */
void ready_limits_give_back_connection(
    struct ready_queue *rq, struct ready_slots *slots);
/* Gives them back; others may be called. */
void ready_slots_release(struct ready_slots *slots);
/* Others wait for one of them. */
bool ready_slots_wanted(const struct ready_slots *slots);
/* Somebody wants to put more into rq than fits: stands in line for whatever is
 * closed. */
void ready_limits_line_up(struct ready_queue *rq);
/* Nothing waits any more: leaves the lines. */
void ready_limits_leave(struct ready_queue *rq);

/* How often its source may be chosen now. */
size_t ready_limits_choices(const struct ready_queue *rq);
void ready_limits_chosen(struct ready_queue *rq, size_t count);

/* Those that want to put more into rq may be told why they cannot: now and
 * then, not each time. */
bool ready_limits_may_tell(struct ready_queue *rq);
/* It may be a while until more than one message can go on. */
bool ready_limits_are_slow(const struct ready_limits *limits);
/* What keeps rq from going on, for operators, and for how many milliseconds
 * (-1: nobody knows).  NULL: nothing of this. */
const char *ready_limits_why(const struct ready_queue *rq, int64_t *ms);

/* That which ready_limits_why() tells, as requeue_message calls it. */
const char *ready_limits_reason(const struct ready_queue *rq);

#endif
