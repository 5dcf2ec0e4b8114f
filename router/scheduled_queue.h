/*
 * scheduled_queue.h - mail that waits for the same destination, until it is due
 *
 * One for each `campaign:tenant@domain!routing_domain` that has something due
 * or being tried; nothing is kept for queues whose mail waits for later.  It
 * knows how to treat its mail (get_queue_config), where to it goes
 * (destination.h) and from where (egress.h); with all three known it is
 * prepared, and intake.h leases from it.
 *
 * What fails on the way is an answer, too: `refusal` goes to every message that
 * is due, with the usual retries (policy language, 4.3, 10.6).
 *
 *	IDLE -> PREPARING -> RUNNABLE -> LEASING -> RUNNABLE ... -> IDLE
 *		    RUNNABLE -> BLOCKED -> RUNNABLE
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_SCHEDULED_QUEUE_H
#define ROUTER_SCHEDULED_QUEUE_H

#include "base/list.h"
#include "mail/queue_name.h"
#include "mail/smtp_reply.h"
#include "policy/queue_config.h"
#include "router/gate.h"

struct destination;
struct egress_choice;
struct ready_message;
struct ready_queue;
struct record_ref;
struct router;

enum sq_state {
	SQ_IDLE,      /* nothing known to be due */
	SQ_PREPARING, /* waits for the policy or for DNS */
	SQ_RUNNABLE,  /* waits for its turn to lease */
	SQ_LEASING,   /* the queue writer is at it */
	SQ_BLOCKED,   /* whatever it could go to is full */
	SQ_STATES,
};

/* From a scheduled queue to one of its ready queues, by pool entry. */
struct route {
	struct list waiter; /* in rq's list of those that wait for room */
	struct scheduled_queue *sq;
	struct ready_queue *rq; /* NULL: weight 0 */
};

struct scheduled_queue {
	struct list link; /* intake's list of the state */
	struct router *r;
	enum sq_state state;
	int64_t id;
	struct arena *arena;
	const char *name;
	struct queue_name parts;
	struct record_ref *config;      /* NULL: not asked yet */
	struct record_ref *config_next; /* came while it was leasing */
	int64_t config_until; /* clock_now_ms; then it is asked again */
	int64_t config_epoch;
	bool config_asking;
	struct destination *destination;
	struct egress_choice *choice;
	struct route *routes;
	bool *usable; /* scratch of dispatching, one for each route */
	size_t route_count;
	int route_before; /* of those that were leased together; -1: none */
	struct arena *refusal_arena;
	struct smtp_reply refusal; /* code 0: none */
	const char *refusal_why;   /* attempt.why of it */
	bool drop;      /* the queue `null`: mail goes, without a record */
	bool inject;    /* new mail that the policy has not seen whole yet */
	bool due_again; /* seen due while it was leasing */
	size_t leased;  /* recipients that we hold */
	size_t leased_messages;
	struct gate *rate;       /* max_message_rate; NULL: none */
	struct gate_waiter turn; /* in its line while that blocks us */
	char *held_because; /* held_queues.h has told this; NULL: nothing */
	int64_t held_until; /* unix seconds: told until then */
	bool held_before;   /* for a moment only, which is not told */
	int64_t since;      /* clock_now_ms: in this state */
	int64_t not_before;
};

struct scheduled_queue *scheduled_queue_new(
    struct router *r, int64_t id, const char *name) MUST_USE;
/* IDLE or BLOCKED, nothing leased, nothing asked. */
void scheduled_queue_free(struct scheduled_queue *sq);
bool scheduled_queue_can_go(const struct scheduled_queue *sq);
/* The defaults while nothing is known. */
const struct queue_config *scheduled_queue_config(
    const struct scheduled_queue *sq);
/* To RUNNABLE (intake_runnable), at once or when all answers have come. */
void scheduled_queue_prepare(struct scheduled_queue *sq);
/* How many messages may be leased now; 0: none, block it. */
size_t scheduled_queue_room(const struct scheduled_queue *sq);
/* Room that a lease under way will use, so that others do not. */
void scheduled_queue_reserve(
    struct scheduled_queue *sq, size_t messages, bool take);
/* scheduled_rate.c: the queue has this rate from now on, NULL for none; */
void scheduled_queue_rate_init(struct scheduled_queue *sq);
void scheduled_queue_use_rate(
    struct scheduled_queue *sq, const struct rate *rate);
/* stands in its line, true, while it is closed; */
bool scheduled_queue_wait_for_rate(struct scheduled_queue *sq);
/* releases messages from the queue, and takes back what was not released. */
void scheduled_queue_release(struct scheduled_queue *sq, size_t messages);
void scheduled_queue_unrelease(struct scheduled_queue *sq, size_t messages);
/* Puts all routes in line for room, or us for max_message_rate;
 * scheduled_queue_unwait() undoes it. */
void scheduled_queue_wait(struct scheduled_queue *sq);
void scheduled_queue_unwait(struct scheduled_queue *sq);
/* What it waits for while it is blocked, for operators, and for how many
 * milliseconds (-1: nobody knows).  NULL: that what it goes to has room. */
const char *scheduled_queue_why(const struct scheduled_queue *sq, int64_t *ms);
/* The same where it waits for room in a full ready queue, which every busy
 * queue does now and then.  False: nothing of this. */
bool scheduled_queue_is_full(const struct scheduled_queue *sq, struct buf *out);
/* Some rate or limit lets so little through that it is worth a look whether
 * anything is left, before it is said to wait. */
bool scheduled_queue_is_slow(const struct scheduled_queue *sq);
/* Blocked by nothing but its own rate, which opens by itself. */
bool scheduled_queue_only_waits(const struct scheduled_queue *sq);
/* A leased message will be dispatched; those that were leased with it follow,
 * and scheduled_queue_leased() ends them. */
void scheduled_queue_expect(struct scheduled_queue *sq);
void scheduled_queue_leased(struct scheduled_queue *sq);
/* A leased message goes where it should. */
void scheduled_queue_dispatch(
    struct scheduled_queue *sq, struct ready_message *rm);
/* The policy has seen it (enumeration.h). */
void scheduled_queue_enumerated(
    struct scheduled_queue *sq, struct ready_message *rm);
/* The policy has nothing against its delivery now (admission.h). */
void scheduled_queue_admitted(
    struct scheduled_queue *sq, struct ready_message *rm);

#endif
