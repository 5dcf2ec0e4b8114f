/*
 * dns_stub.h - a name server on 127.0.0.1 that knows what a test tells it
 *
 * Answers by UDP and TCP on a port of its own, from a table.  A name that is
 * not in the table does not exist; a name with no row of the type has no data.
 */
#ifndef TESTS_UNIT_NET_DNS_STUB_H
#define TESTS_UNIT_NET_DNS_STUB_H

#include "net/resolver.h"

/* Instead of records in dns_stub_row.data. */
#define STUB_SERVFAIL "servfail"
#define STUB_SILENCE "silence"

struct dns_stub_row {
	const char *name;
	enum dns_type type;
	/* A, AAAA: address.  MX: "10 name".  CNAME (type 5), PTR: name.  TXT:
	 * text.
	 */
	const char *data;
};

struct dns_stub;

struct dns_stub *dns_stub_start(const struct dns_stub_row *rows, size_t count);
const char *dns_stub_forwarder(const struct dns_stub *stub);
size_t dns_stub_asked(struct dns_stub *stub); /* questions so far */
void dns_stub_stop(struct dns_stub *stub);

#endif
