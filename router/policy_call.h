/*
 * policy_call.h - ask the policy for a configuration record
 *
 * Runs an event on a Lua thread and brings the answer back to the loop, as a
 * record in an arena that the asker owns.  At most POLICY_CALLS_MOST questions
 * are with Lua at a time, the rest wait here, so that a deadline is that of the
 * event and not of the queue in front of it.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_POLICY_CALL_H
#define ROUTER_POLICY_CALL_H

#include "base/err.h"
#include "policy/param.h"

struct router;

/* A record that a policy returned.  Shared by reference; never edited. */
struct record_ref {
	int refs; /* the loop's only, so not atomic */
	struct arena *arena;
	const void *record; /* of the type that was asked for */
};
struct record_ref *record_ref(struct record_ref *ref);
void record_unref(struct record_ref *ref); /* NULL is fine */
/* For the built-in defaults, which live for ever. */
struct record_ref *record_builtin(const void *record) MUST_USE;

/* ref NULL and err NULL: no handler, or it returned nothing.  ref NULL and err:
 * it raised, expired, rejected or returned something else.  The callee owns
 * ref. */
typedef void policy_answer_fn(
    struct record_ref *ref, const struct err *err, void *ctx);

struct policy_call;
/* Never NULL in `event` and `set`; arguments may be NULL: nil.  queue: the id
 * of the scheduled queue that it is about, which is suspected when the router
 * dies meanwhile; 0: none.  Suspects are asked about one at a time.  answer()
 * is called later, never from here. */
void policy_ask(struct router *r, const char *event,
    const struct param_set *set, const char *const *args, size_t arg_count,
    int64_t queue, policy_answer_fn *answer, void *ctx);

/* The bytes behind a key source (policy language, 3.10): the record of ref is a
 * struct value, a string, or err says why not. */
void policy_ask_key(struct router *r, const struct value *source,
    policy_answer_fn *answer, void *ctx);

#endif
