/*
 * dns_name.h - domain names as the DNS sends them
 */
#ifndef NET_DNS_NAME_H
#define NET_DNS_NAME_H

#include "base/arena.h"
#include "net/resolver.h"

/* Uncompressed labels to text: lower case, no trailing dot, "" for the root.
 * A byte that could be taken for something else is \DDD (RFC 4343, 2.1).  NULL
 * when it is malformed. */
const char *dns_name_text(struct arena *arena, const void *wire, size_t len);
const char *dns_type_name(enum dns_type type); /* "MX" */

#endif
