/*
 * mta_sts.h - the MTA-STS policies of domains (RFC 8461)
 *
 * Asks the DNS whether a domain has a policy, fetches it over HTTPS when it is
 * new, and keeps it on disk, a file for each domain, for its max_age: a policy
 * that was seen holds although its server or its record cannot be reached.
 *
 * Blocking work runs on threads of its own.
 *
 * Threads: mta_sts_ask() any; `done` runs on one of ours and must only hand on.
 */
#ifndef NET_MTA_STS_H
#define NET_MTA_STS_H

#include "net/resolver.h"
#include "net/sts_policy.h"
#include "net/tls_result.h"

struct mta_sts;

struct mta_sts_options {
	struct resolver *resolver; /* outlives us */
	const char *cache_dir;     /* made when it does not exist */
	const char *ca_file;       /* NULL: the system's authorities */
};

struct sts_answer {
	struct sts_policy policy; /* STS_NONE: there is none */
	const char *why;          /* not NULL: it could not be had */
	enum tls_result problem;  /* then: what that is called in reports */
	int64_t expires_at;       /* clock_now_ms: ask again then */
	struct arena *arena;      /* owns all of it; unref when done */
};

struct mta_sts *mta_sts_start(const struct mta_sts_options *options) MUST_USE;
/* Answers everything that was asked, then ends. */
void mta_sts_stop(struct mta_sts *sts); /* NULL is fine */

typedef void mta_sts_done_fn(struct sts_answer *answer, void *ctx);
/* `domain` is a plain name. */
void mta_sts_ask(
    struct mta_sts *sts, const char *domain, mta_sts_done_fn *done, void *ctx);

#endif
