/*
 * connection.h - one connection of a ready queue: gives it messages, hears what
 * became of them
 *
 * The router's side of a session of deliver.h.  It holds references to the
 * records that the session was made with, so they may be replaced meanwhile.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_CONNECTION_H
#define ROUTER_CONNECTION_H

#include "deliver/deliver.h"
#include "net/local_addr.h"
#include "router/loop.h"
#include "router/ready_limits.h"
#include "router/tls_counts.h"

struct ready_message;
struct ready_queue;
struct record_ref;
struct destination;
struct lua_connection;

struct connection {
	struct list link;    /* of the ready queue's connections */
	struct list idle;    /* and, while it has no work, of its idle ones */
	struct list attempt; /* of all that are connecting, oldest first */
	int64_t opened;      /* clock_now_ms */
	struct ready_queue *rq;
	struct arena *arena;
	struct delivery_plan plan;
	struct smtp_session *session; /* one of the two */
	struct lua_connection *lua;   /* lua_connection.h */
	struct record_ref *path, *source;
	struct ready_means *means;
	struct ready_slots slots; /* of shared limits */
	struct destination *destination;
	char session_id[37];
	struct tls_session tls;
	bool connecting; /* has not asked for a message yet */
	bool ending;     /* gets no more messages */
	struct loop_deferred release;
};

/* Takes the slots.  False: it does not, the plan has no candidates, and all
 * that waits got that answer. */
bool connection_open(struct ready_queue *rq, struct local_addr *local,
    const struct ready_slots *slots) MUST_USE;
void connection_wake(struct connection *c);
/* Finishes what it is at, then closes. */
void connection_end(struct connection *c);
/* The same for all of rq but `keep`: idle ones first; those that are not ready
 * yet are cut. */
void connection_end_others(struct ready_queue *rq, size_t keep);
void connection_abort(struct connection *c);
/* It has not answered, and others need what it holds: fails now. */
void connection_give_up(struct connection *c);

/* For lua_connection.c: it can take messages; */
void connection_connected(struct connection *c);
/* it has no work, and others wait for its place under a shared limit; */
bool connection_is_wanted(const struct connection *c);
/* this is the answer for what waits of rm; */
void connection_refuse(struct connection *c, struct ready_message *rm,
    const struct smtp_reply *reply);
/* and it is no more.  failed: it never was, and this is why. */
void connection_closed(struct connection *c, const struct smtp_reply *failed,
    const struct session_facts *facts);

#endif
