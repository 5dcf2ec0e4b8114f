/*
 * plan.h - which addresses a connection tries, in which order
 *
 * A pure function of a destination, an egress path and a source (policy
 * language, 12.2, 11.2): no I/O, so tests are tables.
 */
#ifndef ROUTER_PLAN_H
#define ROUTER_PLAN_H

#include "deliver/deliver.h"
#include "net/dane.h"
#include "router/destination.h"

struct router_feed;

/* What DANE makes of one host (policy language, 12.6). */
struct host_tls {
	enum dane_status status;
	struct tlsa_set set;
	const char *why; /* DANE_FAILED */
};

struct plan_question {
	const struct destination *destination;
	const struct egress_path *path;
	const struct egress_source *source;
	/* What DANE says of each host of the destination; NULL: not asked. */
	const struct host_tls *hosts;
	const char *next_hop; /* the domain; for DANE */
	/* Is it an address of this machine?  (net/local_addr.h) */
	bool (*is_local)(const struct ip_addr *ip, void *ctx);
	void *ctx;
	const struct router_feed *feeds; /* services that feed our milter */
	size_t feed_count;
	/* Uniform in [0, n): shuffles addresses of equal preference. */
	size_t (*pick)(size_t n, void *ctx);
	/* NULL, or it becomes attempt.why (outcome.h) of a refusal that has
	 * one. */
	const char **why;
};

/* True: candidates in `arena`, at least one.  False: `refusal` is the answer to
 * every message that waits for this destination; its class says whether they
 * bounce. */
bool plan_candidates(const struct plan_question *q, struct arena *arena,
    struct candidate **out, size_t *count, struct smtp_reply *refusal) MUST_USE;

/* What a destination without hosts answers; false: it has hosts. */
bool plan_refused(const struct destination *d, struct arena *arena,
    struct smtp_reply *refusal) MUST_USE;

/* Connections that a ready queue should have: limit * (1 - e^(-0.023 n)),
 * rounded up, never more than limit or n (policy language, 12.1). */
size_t plan_connections(size_t queued, int64_t limit);
/* Of them, those that are opened at once.  A few messages are gone before a
 * second connection is there, unless the host is slow: then the others follow.
 */
size_t plan_connections_at_first(size_t queued, int64_t limit);

/* source, else the list's or the domain's, else the path's (11.2). */
uint16_t plan_port(const struct egress_path *path,
    const struct egress_source *source, const struct destination_host *h);

/* path, else source, else the host's name (policy language, 11.2). */
const char *plan_ehlo_name(const struct egress_path *path,
    const struct egress_source *source, const char *hostname);

#endif
