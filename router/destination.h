/*
 * destination.h - the hosts that take the mail of a scheduled queue
 *
 * From mx_list, or from the MX records of the (routing) domain: hosts with
 * addresses, and the site name that goes with the set (policy language, 12.1,
 * 12.2).  plan.h makes a connection's candidates from it.
 *
 * Ownership: counted; the loop's only.
 * Threads:   the loop's.
 */
#ifndef ROUTER_DESTINATION_H
#define ROUTER_DESTINATION_H

#include "base/ip.h"
#include "mail/queue_name.h"
#include "mail/smtp_reply.h"
#include "net/sts_policy.h"
#include "policy/queue_config.h"

struct router;

struct destination_host {
	const char *name; /* for records and certificates */
	const char *path; /* a unix socket; the rest is unset */
	int preference;
	uint16_t port;         /* 0: none given */
	bool secure;           /* its addresses, by DNSSEC */
	bool failed;           /* some of them could not be had */
	const char *canonical; /* it is an alias of this; NULL: none */
	bool sts_unnamed;      /* MTA-STS of the domain does not name it ... */
	bool sts_refused;      /* ... and enforces that */
	const struct ip_addr *addresses;
	size_t address_count;
};

/* custom_lua: the mail goes to an object of the policy. */
struct lua_target {
	const char *constructor; /* event */
	/* Of one of the queues that it is for: the constructor's arguments. */
	const char *domain, *tenant, *campaign;
	size_t batch_size, least; /* messages: in a call at most; to wait for */
	int64_t latency_ms;
};

/* What DNSSEC says of the way from the domain to its hosts' names. */
enum dnssec {
	DNSSEC_UNKNOWN, /* nobody asked: no path has wanted DANE so far */
	DNSSEC_INSECURE,
	DNSSEC_SECURE,
	DNSSEC_BOGUS, /* it cannot be validated; the hosts are as found */
};

struct destination {
	int refs;
	struct arena *arena;
	struct arena **parts; /* answers whose addresses are pointed to */
	size_t part_count, parts_most;
	const char *site_name;
	struct destination_host *hosts; /* mx_list: as listed; MX: preference */
	size_t count;
	bool is_list;   /* mx_list: no shuffling */
	bool is_exempt; /* the policy named it: the rule about our own addresses
			   covers only services that feed us */
	bool is_null;   /* RFC 7505 */
	enum dnssec dnssec;
	enum sts_mode sts; /* the domain's MTA-STS policy */
	/* What sets it apart from others with the same site: a secure and an
	 * insecure way to the same hosts have no queue in common, nor have
	 * lists that call the same address by other names. */
	const char *terms;
	const struct lua_target *lua; /* instead of hosts; NULL: SMTP */
	const char *why;    /* not NULL: no host can be had, for now */
	bool has_none;      /* because none has an address */
	int64_t expires_at; /* clock_now_ms */
};

struct destination *destination_ref(struct destination *d);
void destination_unref(struct destination *d); /* NULL is fine */

/* For custom_lua: nothing has to be looked up. */
struct destination *destination_for_lua(const struct protocol *protocol,
    const struct queue_name *queue, const char *domain) MUST_USE;

typedef void destination_done_fn(struct destination *d, void *ctx);
/* `domain` may carry a port.  done() is called later, never from here, and owns
 * a reference. */
void destination_resolve(struct router *r, const struct protocol *protocol,
    const char *domain, bool is_routing_domain, destination_done_fn *done,
    void *ctx);

#endif
