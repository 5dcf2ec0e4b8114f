/*
 * ready_queue.h - messages that leave through one source to one site, now
 *
 * Named `source->site_name@smtp_client`, or `...@lua:constructor`.  Scheduled
 * queues fill it while it has room (max_ready, and its share of what may be
 * leased at all); it opens connections (policy language, 12.1) and gives them
 * one message after the other.  Full means that scheduled queues stop pulling:
 * they stand in line and are woken when there is room again.
 *
 * How much it may hold, and how many connections it may open, depends on what
 * is known of its site (shares.h).  After some failures it rests for a while
 * before it calls again, with nothing pulled meanwhile; a site that failed too
 * often (12.2) is given up: while it rests, what is pulled gets the answer that
 * those before it got.
 *
 * Ownership: counted by routes; freed when idle (ready_queues.h).
 * Threads:   the loop's.
 */
#ifndef ROUTER_READY_QUEUE_H
#define ROUTER_READY_QUEUE_H

#include "deliver/deliver.h"
#include "router/loop.h"
#include "router/outcome.h"
#include "router/shares.h"

struct connection;
struct destination;
struct ready_limits;
struct ready_message;
struct ready_queues;
struct record_ref;
struct route;
struct router;

struct ready_queue {
	struct ready_queues *owner;
	struct router *r;
	char *name;   /* source->site@smtp_client: `site` of records */
	size_t users; /* routes */
	char *routing_domain;
	struct record_ref *source; /* struct egress_source */
	struct destination *destination;
	struct record_ref *path; /* struct egress_path; NULL: not asked yet */
	int64_t path_until;      /* clock_now_ms; then it is asked again */
	int64_t path_epoch;
	bool path_asking;
	struct ready_limits *limits; /* of path; NULL: it sets none */
	struct ready_means *means;   /* NULL: not made yet */
	bool means_making;
	int64_t tls_broken_until; /* clock_now_ms: opportunistic TLS rests */
	struct list waiting;      /* struct ready_message */
	size_t waiting_count, reserved, in_flight; /* messages */
	struct list routes; /* that wait for room, struct route.waiter */
	struct list connections, idle; /* struct connection */
	size_t connection_count;
	size_t connecting;  /* opened, and have not asked for a message yet */
	bool proven;        /* somebody answered since the last failure */
	bool known;         /* answered, failed or was silent for a while */
	int64_t first_push; /* clock_now_ms; 0: nothing has come yet */
	int64_t failures;   /* connections in a row that failed */
	int64_t rest_until; /* clock_now_ms: it does not call before that */
	int64_t called;     /* clock_now_ms: nobody has answered since */
	bool remembered;    /* it failed, say the rows, before we knew it */
	bool eager;         /* mail waits longer than connecting takes */
	enum standing counted_as; /* what the shares have of it */
	size_t counted_messages, counted_connections;
	struct arena *given_up_arena;
	struct smtp_reply given_up; /* while it rests; code 0: it is not */
	size_t refused;             /* with that, since it last called */
	int64_t idle_since;         /* clock_now_ms */
	struct list paced; /* among those that may open a connection soon */
	struct list held;  /* among those that wait for router_release() */
	struct loop_deferred work;
};

size_t ready_queue_room(const struct ready_queue *rq); /* messages */
/* One more message, that is leased already, may go into it. */
bool ready_queue_has_place(const struct ready_queue *rq);
enum standing ready_queue_standing(const struct ready_queue *rq);
/* Its share is counted anew: something that it holds, or its standing, is not
 * what it was. */
void ready_queue_count(struct ready_queue *rq);
/* Something is known of its site: it answered, it failed, or it had its time.
 * Until then a pool whose other members are ready waits for it, or they would
 * take its share. */
void ready_queue_is_known(struct ready_queue *rq);
/* Room for more than a few: leasing has a cost per turn. */
bool ready_queue_worth_filling(const struct ready_queue *rq);
void ready_queue_reserve(struct ready_queue *rq, size_t messages, bool take);
/* How many messages may choose its source now; 0: it is left alone
 * (source_health.h), or was chosen too often (source_selection_rate). */
size_t ready_queue_choices(const struct ready_queue *rq);
/* It was chosen for a message, which comes with ready_queue_push(). */
void ready_queue_chosen(struct ready_queue *rq);
/* What keeps it from going on, for operators, and for how many milliseconds
 * (-1: nobody knows).  NULL: it is busy. */
const char *ready_queue_why(const struct ready_queue *rq, int64_t *ms);
/* Its source is left alone (source_health.h): nothing may be put into it. */
bool ready_queue_suspended(const struct ready_queue *rq);
/* Wakes route's scheduled queue when it is worth filling. */
void ready_queue_wait(struct ready_queue *rq, struct route *route);
void ready_queue_push(struct ready_queue *rq, struct ready_message *rm);
/* Something changed: open connections, wake idle ones, let others pull. */
void ready_queue_work(struct ready_queue *rq);
/* Does it; for rq->work.run. */
void ready_queue_run(struct loop_deferred *work);

/* For connection.c. */
const struct egress_path *ready_queue_path(const struct ready_queue *rq);
struct attempt ready_queue_attempt(const struct ready_queue *rq,
    const struct egress_path *path, const struct egress_source *source,
    const struct ready_message *rm, const struct session_facts *facts,
    const char *session_id);
struct ready_message *ready_queue_first(const struct ready_queue *rq);
/* Its site failed when it was last called; it is not called again yet. */
bool ready_queue_is_resting(const struct ready_queue *rq);
/* And failed so often that what is pulled gets the answer rq->given_up. */
bool ready_queue_is_given_up(const struct ready_queue *rq);
/* It failed once more, with this answer: it rests (shares.h), and after too
 * many failures is given up (12.2). */
void ready_queue_rest(struct ready_queue *rq, const struct smtp_reply *reply);
/* Somebody there answered. */
void ready_queue_answered(struct ready_queue *rq);
/* Takes it off when all its recipients are in jobs. */
void ready_queue_taken(struct ready_queue *rq, struct ready_message *rm);
/* Puts it back in front: recipients came back from a job. */
void ready_queue_again(struct ready_queue *rq, struct ready_message *rm);
/* All that wait, to be leased again. */
void ready_queue_give_back(struct ready_queue *rq);
/* It holds max_ready, or is so near that it is not filled further: says so,
 * for operators. */
bool ready_queue_is_full(const struct ready_queue *rq, struct buf *out);
/* Everything that waits gets this reply; `why` is attempt.why (outcome.h). */
void ready_queue_refuse(
    struct ready_queue *rq, const struct smtp_reply *reply, const char *why);
/* A connection found no host: one message pays for it; after too many in a row
 * all that wait do. */
void ready_queue_failed(struct ready_queue *rq, const struct smtp_reply *reply,
    const struct session_facts *facts, const char *session_id);

#endif
