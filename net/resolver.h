/*
 * resolver.h - names to addresses, through libunbound, never blocking the asker
 *
 * One context and one thread per process; others ask by inbox with a deadline.
 * At most 128 questions are outstanding at libunbound, the rest wait.  Answers
 * are cached by libunbound for their TTL.  /etc/resolv.conf forwarders and
 * /etc/hosts are the default.  A new context is made when resolv.conf changes.
 *
 * Threads: any; `done` runs on the resolver's thread and must only hand on.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inbox.h"
#include "base/ip.h"

struct dns_zone;
struct resolver;

struct resolver_options {
	/* All of the DNS, for tests (dns_zone.h): nobody is asked, the rest
	 * counts for nothing.  NULL: the real one.  Counted. */
	struct dns_zone *zone;
	/* For tests and smart set-ups: "127.0.0.1@PORT" is asked for
	 * everything. NULL: resolv.conf. */
	const char *forwarder;
	const char *trust_anchor_file; /* NULL: none */
	const char *hosts_file;        /* NULL: /etc/hosts; "": none */
};

struct resolver *resolver_start(
    const struct resolver_options *options, struct err *err) MUST_USE;
void resolver_stop(struct resolver *resolver);
/* For one that was started with a zone: another one, for what is asked from now
 * on. */
void resolver_set_zone(struct resolver *resolver, struct dns_zone *zone);

enum dns_type {
	DNS_A = 1,
	DNS_CNAME = 5,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};
enum dns_status {
	DNS_OK, /* rows, possibly none (NODATA) */
	DNS_NXDOMAIN,
	DNS_FAILED, /* SERVFAIL, timeout: may pass */
	DNS_BOGUS,  /* signatures do not hold */
};

struct dns_row {
	int preference; /* MX */
	const char
	    *name; /* MX, PTR, CNAME: lower case, no trailing dot; "" for "." */
	struct ip_addr ip; /* A, AAAA */
	const void *data;  /* TXT, TLSA: raw */
	size_t len;
};

struct dns_answer {
	enum dns_status status;
	bool secure;
	struct dns_row *rows;
	size_t count;
	/* What the name is an alias of, in the end: lower case, no trailing
	 * dot; NULL: it is none, or nothing was answered. */
	const char *canonical;
	int64_t expires_at; /* clock_now_ms */
	const char *why;    /* for DNS_FAILED, DNS_BOGUS */
};

/* The answer is in `arena`, which the question owns until done. */
typedef void dns_done_fn(const struct dns_answer *answer, void *ctx);
void resolver_ask(struct resolver *resolver, const char *name,
    enum dns_type type, int64_t deadline, struct arena *arena,
    dns_done_fn *done, void *ctx);
/* The same, waiting. */
const struct dns_answer *resolver_ask_wait(struct resolver *resolver,
    const char *name, enum dns_type type, int64_t deadline,
    struct arena *arena);

#endif
