/*
 * ready_message.h - a leased message and those recipients of it that are due
 *
 * Made by the queue writer thread from a lease, given to the loop, and kept
 * until the last of its recipients is settled.  All that it holds is in one
 * arena of its own, so that a message that waits for a dead destination keeps
 * nothing else in memory.
 *
 * Small content comes along (m.inline_content) as long as ROUTER_INLINE_MOST
 * allows; else it is read in chunks when its turn comes (body.h).
 *
 * Threads: the loop's once it was handed over.
 */
#ifndef ROUTER_READY_MESSAGE_H
#define ROUTER_READY_MESSAGE_H

#include <stdatomic.h>

#include "base/list.h"
#include "deliver/deliver.h"
#include "queue/queue.h"

struct router;
struct scheduled_queue;

/* What the queue knows of a recipient; recipients[i].recipient_id is i. */
struct ready_recipient {
	int64_t row;
	int64_t due_at;
	int64_t expires; /* unix seconds; 0: the queue's max_age decides */
	int attempts;    /* before this one */
	int64_t ref;     /* queue_history.h; 0: none */
	int crashes;     /* of routers that were at it */
	int mark;        /* of the attempt that is under way; 0: none */
	int last_code;   /* of the reply to the one before; 0: none */
	/* The planted bug outcome.delete-before-reply was here. */
	bool settled_early;
};

struct ready_message {
	struct list link; /* in a ready queue; else alone */
	struct arena *arena;
	struct scheduled_queue *sq; /* outlives us: it counts us */
	struct queue_message m;
	struct delivery_recipient *recipients;
	struct ready_recipient *info;
	size_t count;
	size_t next;      /* recipients before it went into a job */
	size_t unsettled; /* recipients whose row we hold */
	bool rate_paid;   /* counted by the rates of its path already */
	/* Recipients that a peer wants in a transaction of their own (452).
	 * Where they are, so that a peer that says it a thousand times does not
	 * make us copy them as often. */
	struct ready_run {
		struct ready_run *next;
		struct delivery_recipient *recipients;
		size_t count;
	} * again;
	size_t said; /* bytes of what peers said, in `arena` */
	int64_t inline_bytes;
	/* When the last of its recipients is settled; NULL: nobody waits. */
	void (*settled)(void *ctx);
	void *settled_ctx;
	struct {
		struct message **items; /* that verdicts point to */
		size_t count, size;
	} kept;
	/* The content's header block when a logger wants it and the content is
	 * not at hand; NULL: see m.inline_content. */
	const char *header;
	size_t header_len;
};

/* leases[0..count) are recipients of one message.  inline_bytes: see router.h.
 * On the writer's thread. */
struct ready_message *ready_message_new(const struct queue_lease *leases,
    size_t count, struct scheduled_queue *sq, atomic_llong *inline_bytes)
    MUST_USE;
/* For log records; `bytes` is the beginning of the content. */
void ready_message_keep_header(
    struct ready_message *rm, const char *bytes, size_t len);
/* m lives as long as rm. */
void ready_message_keep_take(struct ready_message *rm, struct message *m);
void ready_message_free(struct ready_message *rm, atomic_llong *inline_bytes);
/* The attempt of these recipients of rm, all when NULL, really begins, and is
 * over; queue.h says what for.  By whoever has rm, on any thread. */
void ready_message_begins(struct ready_message *rm, struct queue *queue,
    const struct delivery_recipient *recipients, size_t count);
void ready_message_ends(struct ready_message *rm, struct queue *queue,
    const struct delivery_recipient *recipients, size_t count);
/* Two routers have died over it: the third one tries it while no other such
 * message is tried, so that only one is held for what one did. */
bool ready_message_suspected(const struct ready_message *rm);
/* Recipients that are not in a job yet. */
size_t ready_message_waiting(const struct ready_message *rm);
int64_t ready_message_size(const struct ready_message *rm);
/* Content and prefix together. */
int ready_message_received_headers(const struct ready_message *rm);
/* More than 50 of them: it goes in circles (RFC 5321, 6.3), and this is the
 * answer. */
bool ready_message_circles(
    const struct ready_message *rm, struct smtp_reply *reply) MUST_USE;

#endif
