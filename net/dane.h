/*
 * dane.h - does the DNS vouch for a host's certificate?  (RFC 7672)
 *
 * Asks for the TLSA records of a port of a host.  A host that is an alias has
 * two names under which they may be, and where they are found decides what its
 * certificate must say (RFC 7672, 2.2.2 and 2.2.3):
 *
 *	its addresses are secure    below the name that it is an alias of, and
 *				    if there are none, below its own
 *	only its CNAME is secure    below its own
 *	no alias                    below its own; not secure: nowhere
 *
 * Whether the way from the domain to the host's name is secure is the asker's
 * business: without that the answer means nothing (RFC 7672, 2.2.1).
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

/* As net/mx.h found it, asked of a resolver that validates. */
struct dane_host {
	const char *name;
	const char *canonical; /* it is an alias of this; NULL: none */
	bool secure;           /* all of its addresses */
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
void dane_lookup(struct resolver *validator, const struct dane_host *host,
    uint16_t port, int64_t deadline, dane_done_fn *done, void *ctx);

#endif
