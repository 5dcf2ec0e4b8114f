/*
 * dane.h - does the DNS vouch for a host's certificate?  (RFC 7672)
 *
 * Asks for the TLSA records of a port of a host.  Whether the host's name and
 * addresses are secure themselves is the asker's business: without that the
 * answer means nothing (RFC 7672, 2.2).
 *
 * Threads: any; `done` runs on the resolver's thread and must only hand on.
 */
#ifndef NET_DANE_H
#define NET_DANE_H

#include "net/resolver.h"
#include "net/tlsa.h"

enum dane_status {
	DANE_NONE,     /* provably no records, or the zone is not signed */
	DANE_USABLE,   /* `set` decides */
	DANE_UNUSABLE, /* records, none of which we can use: TLS, unverified */
	DANE_FAILED,   /* not to be known now: do not deliver there */
};

struct dane_result {
	enum dane_status status;
	struct tlsa_set set;
	const char *why;     /* DANE_FAILED */
	int64_t expires_at;  /* clock_now_ms */
	struct arena *arena; /* owns all of it; unref when done */
};

typedef void dane_done_fn(struct dane_result *result, void *ctx);

/* `validator` has a trust anchor. */
void dane_lookup(struct resolver *validator, const char *host, uint16_t port,
    int64_t deadline, dane_done_fn *done, void *ctx);

#endif
