/*
 * world.h - a policy with everything it needs, and no MTA, network or system
 *
 * The milter's service (sessions run on it as in penstock-milter), a queue's
 * file and logs of its own in a scratch directory, a DNS that is a zone, and on
 * demand the router's part (routing.h).  What the policy declared counts,
 * except for paths: its logs and its queue are never touched.
 *
 * One world a process: memoize, throttles, resolvers and the clock belong to
 * the process.  Who wants another one forks before the first (runner.h).
 *
 * Ownership: a world owns everything; clients (client.h) must end before it.
 * Threads:   one; the policy's own are inside.
 */
#ifndef TRIAL_WORLD_H
#define TRIAL_WORLD_H

#include "base/arena.h"
#include "milter/milter_service.h"
#include "net/dns_zone.h"

struct routing;

struct world_options {
	const char *policy;    /* path */
	const char *dir;       /* scratch, exists, empty */
	struct dns_zone *zone; /* NULL: an empty one */
};

struct world {
	struct arena *arena;
	const char *dir, *log_dir;
	struct service service;
	struct queue_conn *conn; /* for looking */
	struct dns_zone *zone;
	struct routing *routing; /* NULL: not asked for yet */
};

/* ERR_CONFIG: the policy does not load, with file and line. */
bool world_start(struct world **out, const struct world_options *options,
    struct err *err) MUST_USE;
void world_end(struct world *world); /* NULL is fine */
/* From now on the DNS is this one. */
void world_set_zone(struct world *world, struct dns_zone *zone);

/* One message of the queue. */
struct stored {
	const char *id, *sender, *queue, *admitted_by;
	const char **recipients;
	size_t recipient_count;
	int64_t due_at;    /* unix seconds, of the first recipient */
	struct value meta; /* a map */
	const char *data;  /* as it would be sent */
	size_t len;
};

/* All messages, in the order in which they were stored; in `arena`. */
bool world_stored(struct world *world, struct arena *arena, struct stored **out,
    size_t *count, struct err *err) MUST_USE;
/* How many they are. */
bool world_stored_count(struct world *world, size_t *count, struct err *err)
    MUST_USE;
/* The log records so far, a list of maps. */
bool world_records(struct world *world, struct arena *arena, struct value *out,
    struct err *err) MUST_USE;

#endif
