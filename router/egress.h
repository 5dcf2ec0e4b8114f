/*
 * egress.h - pools and sources, as the policy gives them, for their ttl
 *
 * A choice is a pool with the records of all its sources; one bad source makes
 * the whole pool unusable (policy language, 11.1).  Answers are cached by name
 * for their ttl, errors are not, at most EGRESS_CACHED of each are kept.  The
 * weighted round robin has one state per pool name, whichever scheduled queue
 * picks (D9).
 *
 * Ownership: choices are counted and never edited; the turn is shared.
 * Threads:   the loop's.
 */
#ifndef ROUTER_EGRESS_H
#define ROUTER_EGRESS_H

#include "base/err.h"
#include "policy/egress_pool.h"
#include "policy/egress_source.h"
#include "router/policy_call.h"
#include "router/source_choice.h"

#define EGRESS_CACHED 128

struct egress;
struct router;

struct egress_turn {
	int refs;
	struct source_turn turn;
};

struct egress_choice {
	int refs;
	struct record_ref *pool;     /* struct egress_pool */
	struct record_ref **sources; /* struct egress_source, one per entry */
	size_t count;
	struct egress_turn *turn;
	int64_t expires_at; /* clock_now_ms */
};

const struct egress_pool *egress_choice_pool(const struct egress_choice *c);
const struct egress_source *egress_choice_source(
    const struct egress_choice *c, size_t i);
void egress_choice_unref(struct egress_choice *c); /* NULL is fine */

struct egress *egress_new(struct router *r) MUST_USE;
void egress_free(struct egress *e);
/* A reference when it is cached and fresh; NULL: resolve it.  pool NULL:
 * "unspecified". */
struct egress_choice *egress_cached(struct egress *e, const char *pool)
    MUST_USE;
/* choice NULL: err says why.  Called later, never from here; the callee owns a
 * reference. */
typedef void egress_done_fn(
    struct egress_choice *choice, const struct err *err, void *ctx);
void egress_resolve(
    struct egress *e, const char *pool, egress_done_fn *done, void *ctx);
/* A new generation of the policy: ask again. */
void egress_flush(struct egress *e);

#endif
