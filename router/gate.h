/*
 * gate.h - rates and shared limits of the policy: who may pass now, who waits
 *
 * A gate is a bucket of a rate (policy/throttle.h) or a number of connections,
 * by name, so that all who use the name share it (policy language, 3.3, 12.5).
 * Who finds it closed stands in its line and is called when it is his turn, in
 * order; being called is no promise: others may have been faster, so he looks
 * again.  One timer serves all gates, set for the first that opens.
 *
 * Ownership: counted by users.  A bucket that nobody uses is kept until it is
 *	      full again, and then says no more than a new one; of those at most
 *	      100,000 are kept.
 * Threads:   the loop's.
 */
#ifndef ROUTER_GATE_H
#define ROUTER_GATE_H

#include "base/list.h"
#include "policy/rate.h"
#include "router/loop.h"

struct gate;
struct gates;

/* A place in a line; zero, then gate_waiter_init(). */
struct gate_waiter {
	struct list link;
	struct gate *gate; /* NULL: in no line */
	/* That called last; may be gone, so it is only compared. */
	const struct gate *called_by;
	int64_t turn;  /* of the gate; counts up along the line */
	int64_t limit; /* of connections: called when fewer are open */
	int64_t want;  /* of a rate: called when so many may pass */
	bool called;   /* and not served yet: goes back to its place */
	/* Leaves all lines as they are. */
	void (*opened)(struct gate_waiter *waiter);
};

struct gates *gates_new(struct loop *loop) MUST_USE;
void gates_free(struct gates *all);
/* Once a second, and when the clock was moved. */
void gates_tick(struct gates *all);

/* A reference to the bucket of kind, name and rate: "max_message_rate",
 * "a->site@smtp_client".  Made full. */
struct gate *gate_for_rate(struct gates *all, const char *kind,
    const char *name, const struct rate *rate) MUST_USE;
/* A reference to the connections that share the name. */
struct gate *gate_for_limit(
    struct gates *all, const char *kind, const char *name) MUST_USE;
struct gate *gate_ref(struct gate *gate) MUST_USE;
void gate_unref(struct gate *gate); /* NULL is fine */
/* For operators: "max_message_rate 10/h of example.com". */
const char *gate_label(const struct gate *gate);

/* Rates.  Milliseconds until `count` may pass, rounded up; 0: now. */
int64_t gate_wait_ms(const struct gate *gate, int64_t count);
/* The same for who is, or would be, in the line: those before him first. */
int64_t gate_turn_ms(const struct gate *gate, const struct gate_waiter *waiter);
/* Beyond a burst one passes a second, or less. */
bool gate_is_slow(const struct gate *gate);
/* How many may pass from now until `within_ms` later. */
size_t gate_room(const struct gate *gate, int64_t within_ms);
/* What gate_room(gate, 0) allowed. */
void gate_take(struct gate *gate, size_t count);
void gate_give_back(struct gate *gate, size_t count);

/* Limits. */
int64_t gate_used(const struct gate *gate);
void gate_enter(struct gate *gate);
void gate_leave(struct gate *gate);

/* Lines. */
void gate_waiter_init(
    struct gate_waiter *waiter, void (*opened)(struct gate_waiter *waiter));
/* Stands in the line of this gate and of no other. */
void gate_wait(struct gate *gate, struct gate_waiter *waiter);
void gate_leave_line(struct gate_waiter *waiter);
size_t gate_line(const struct gate *gate);
/* How many of the line come before him. */
size_t gate_before(const struct gate *gate, const struct gate_waiter *waiter);

#endif
