/*
 * ready_means.h - what a ready queue needs before it can connect
 *
 * Passwords and certificates from their key sources, a TLS profile made of
 * them, the address of a proxy.  All of it is asked for at once, off the loop,
 * and kept for 5 minutes or until the path or the source changes.  A path that
 * needs nothing of the sort has its means at once.
 *
 * Ownership: counted; connections keep those that they were opened with.
 * Threads:   the loop's.
 */
#ifndef ROUTER_READY_MEANS_H
#define ROUTER_READY_MEANS_H

#include "deliver/deliver.h"

struct destination;
struct host_tls;
struct ready_queue;
struct record_ref;

struct ready_means {
	int refs;
	struct arena *arena;
	struct record_ref *path, *source; /* what they were made for */
	int64_t expires_at;               /* clock_now_ms */
	struct tls_profile *tls;          /* NULL: nothing special */
	const char *username, *password;  /* AUTH; NULL: none */
	const struct proxy *proxy;        /* NULL: none */
	/* With enable_dane: what it says of each host; NULL: nothing. */
	struct destination *destination;
	struct host_tls *hosts;
	struct arena **answers; /* what the hosts' records lie in */
	size_t answer_count;
};

struct ready_means *ready_means_ref(struct ready_means *means);
void ready_means_unref(struct ready_means *means); /* NULL is fine */

/* True: rq->means can be used.  False: they are being made, and
 * ready_queue_work() follows; when they cannot be had, everything that waits
 * gets 451 4.4.4. */
bool ready_means_have(struct ready_queue *rq) MUST_USE;

#endif
