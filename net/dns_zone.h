/*
 * dns_zone.h - records that are all of the DNS there is
 *
 * For tests of policies and of this program: a resolver that was given a zone
 * (resolver.h) answers from it and asks nobody.  What is not in it does not
 * exist.  "*.example.org" stands for names that are not there themselves (RFC
 * 4592, simplified: any depth).  CNAMEs are followed within the zone.
 *
 * Ownership: counted; filled by one thread, then never changed.
 * Threads:   once filled, any number of readers.
 */
#ifndef NET_DNS_ZONE_H
#define NET_DNS_ZONE_H

#include "net/resolver.h"

struct dns_zone;

struct dns_zone *dns_zone_new(void) MUST_USE;
struct dns_zone *dns_zone_ref(struct dns_zone *zone);
void dns_zone_unref(struct dns_zone *zone); /* NULL is fine */

/* One record: A, AAAA, MX ("10 mx.example.org"), TXT (one text, or several in
 * quotes), PTR, CNAME, TLSA ("3 1 1 HEX").  SOA and NS are accepted and
 * forgotten.  FAIL, without data: the servers of this name and of all below it
 * do not answer.  Names are absolute, with or without a trailing dot. */
bool dns_zone_add(struct dns_zone *zone, const char *name, const char *type,
    const char *data, int64_t ttl, struct err *err) MUST_USE;
/* Lines of a zone file (RFC 1035, 5.1): NAME [TTL] [IN] TYPE DATA; a line that
 * begins with a space continues the name; $ORIGIN, $TTL, "@", comments,
 * parentheses.  Without $ORIGIN names are absolute.  Errors say "line 3: ...".
 */
bool dns_zone_add_text(struct dns_zone *zone, const char *text, struct err *err)
    MUST_USE;

/* Fills *out but expires_at; texts live in `arena` or the zone. */
void dns_zone_answer(struct dns_zone *zone, const char *name,
    enum dns_type type, struct arena *arena, struct dns_answer *out,
    int64_t *ttl);

#endif
