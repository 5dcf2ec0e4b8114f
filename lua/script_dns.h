/*
 * script_dns.h - the resolvers that policies ask
 *
 * The default one is started when the first policy asks; others have names
 * (define_resolver).  The router's own is not shared: it ends before the Lua
 * threads do.
 *
 * Ownership: what is started here lives until script_resolvers_stop().
 * Threads:   any.
 */
#ifndef LUA_SCRIPT_DNS_H
#define LUA_SCRIPT_DNS_H

#include "net/dns_zone.h"
#include "net/mx.h"
#include "net/resolver.h"

/* The resolver of that name; NULL: the default one.  NULL when it cannot be
 * started, or does not exist. */
struct resolver *script_resolver(const char *name, struct err *err) MUST_USE;
/* From now on `name` (NULL: the default) asks this server, "ADDRESS@PORT".
 * Questions under way go on. */
bool script_resolver_define(
    const char *name, const char *forwarder, struct err *err) MUST_USE;
/* The same with a zone instead of a server (net/dns_zone.h). */
bool script_resolver_define_zone(
    const char *name, struct dns_zone *zone, struct err *err) MUST_USE;
/* All resolvers that have no zone of their own, started or not, know this and
 * nothing else: for tests of policies.  First called before any policy is
 * loaded. */
void script_use_zone(struct dns_zone *zone);
/* When no Lua thread is left. */
void script_resolvers_stop(void);
void script_mx_timeout_set(int64_t ms);

/* Waits.  The result's arena is the caller's to unref. */
struct mx_result *script_mx_lookup(
    struct resolver *resolver, const char *domain, int64_t deadline) MUST_USE;
/* The site name of what was found (policy/site_name.h), in `arena`; "" for a
 * null MX.  NULL: nothing was found, mx->why says why. */
const char *script_site_name(const struct mx_result *mx, struct arena *arena)
    MUST_USE;

struct site_question {
	const char *domain;
	/* The answer. */
	const char *name; /* NULL: it cannot be told */
	const char *why;  /* NULL: the DNS has just said so */
};

/* The site names of many domains at once.  Waits, no longer than one look-up
 * may last.  A domain that cannot be looked up has the name that it had when
 * this process last asked, with `why`. */
void script_site_names(struct resolver *resolver,
    struct site_question *questions, size_t count, int64_t deadline,
    struct arena *arena);

#endif
