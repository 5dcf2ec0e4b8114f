/*
 * tls_counts.h - how TLS went with whom, for reports (RFC 8460)
 *
 * Sessions are counted in memory by day, policy domain, policy, host and
 * result, and what has come together is added to the queue's file every
 * minute, or earlier when it is much, and at the end.  A crash loses the last
 * minute: nothing is decided by these numbers.
 *
 * Threads: the loop's; the file is written on the queue writer's.
 */
#ifndef ROUTER_TLS_COUNTS_H
#define ROUTER_TLS_COUNTS_H

#include <stddef.h>

#include "net/tls_result.h"

struct ready_queue;
struct router;
struct tls_counts;

struct tls_counts *tls_counts_new(struct router *r);
/* When the queue's threads have ended. */
void tls_counts_free(struct tls_counts *t);

/* `domain` may carry a port, which does not count; `mx` NULL: no host. */
void tls_counts_add(struct tls_counts *t, const char *domain,
    enum tls_policy policy, const char *mx, enum tls_result result);
/* One that carries nothing, for each domain that has mail waiting for it (8 at
 * most). */
void tls_counts_waiting(struct tls_counts *t, const struct ready_queue *rq,
    enum tls_policy policy, const char *mx, enum tls_result result);
/* A session that mail of several domains may go through counts for each of
 * them, once. */
#define TLS_COUNTS_DOMAINS 8
struct tls_session {
	bool known; /* the rest is, and it is counted as it carries mail */
	enum tls_policy policy;
	enum tls_result result;
	const char *mx;
	const char *domains[TLS_COUNTS_DOMAINS];
	size_t count;
};
struct arena;
struct ready_message;
/* `arena` is the session's. */
void tls_counts_carries(struct tls_counts *t, struct tls_session *session,
    const struct ready_message *rm, struct arena *arena);
/* Every second: is it time to write? */
void tls_counts_tick(struct tls_counts *t);
/* Hands everything to the queue writer. */
void tls_counts_flush(struct tls_counts *t);

#endif
