/*
 * mx.h - the hosts that take mail for a domain (RFC 5321, 5.1; RFC 7505)
 *
 * From a domain, an address literal or the text of an mx_list entry to a list
 * of hosts with addresses, by preference.  Asynchronous; the result is handed
 * over once.
 *
 * Of an MX record set the first 100 hosts are looked up.  A host of which
 * nothing is known stays in the list with address_count 0, because the names of
 * all hosts make the site name.
 */
#ifndef NET_MX_H
#define NET_MX_H

#include "net/resolver.h"

enum mx_status {
	MX_OK,       /* at least one host has an address */
	MX_NULL,     /* RFC 7505: takes no mail, 556 5.1.10 */
	MX_TEMP,     /* DNS failure, NXDOMAIN included: 451 4.4.4 */
	MX_NO_HOSTS, /* no addresses at all: 451 4.4.4 */
};

struct mx_host {
	const char *name; /* lower case; of a literal the address */
	int preference;
	uint16_t port;             /* 0: none given */
	struct ip_addr *addresses; /* resolver order, IPv4, then IPv6 */
	size_t address_count;
	bool secure; /* all of its addresses, by DNSSEC */
	/* Some of them could not be had: nothing is known of their security. */
	bool failed;
	const char *canonical; /* it is an alias of this; NULL: none */
};

struct mx_result {
	enum mx_status status;
	const char *why;       /* "" for MX_OK */
	struct mx_host *hosts; /* by preference, then name */
	size_t count;
	bool is_literal, is_implicit, is_secure;
	int64_t expires_at;  /* clock_now_ms */
	struct arena *arena; /* owns all of it; unref when done */
};

/* What 3.8 of the policy language calls a host, unix paths aside: name,
 * name:port, ip, ip:port, [ip], [ip]:port, [IPv6:ip], [IPv6:ip]:port.  *port 0:
 * none.  ip->family 0: a name, which is in `name` (in `arena`, without the port
 * and without a trailing dot).  False when it is none of them. */
bool mx_name_parse(const char *text, struct arena *arena, const char **name,
    struct ip_addr *ip, uint16_t *port, struct err *err) MUST_USE;

typedef void mx_done_fn(struct mx_result *result, void *ctx);

/* Any form of mx_name_parse().  done runs on the resolver's thread, always, and
 * must only hand on. */
void mx_lookup(struct resolver *resolver, const char *domain, int64_t deadline,
    mx_done_fn *done, void *ctx);
/* A and AAAA of one host, without MX: for an entry of mx_list. */
void mx_lookup_host(struct resolver *resolver, const char *name,
    int64_t deadline, mx_done_fn *done, void *ctx);

#endif
