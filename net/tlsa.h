/*
 * tlsa.h - which certificates the DNS vouches for (RFC 6698, RFC 7672)
 *
 * Threads: records never change once parsed.
 */
#ifndef NET_TLSA_H
#define NET_TLSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

enum tlsa_usage { TLSA_DANE_TA = 2, TLSA_DANE_EE = 3 };

struct tlsa_record {
	uint8_t usage, selector, matching;
	const unsigned char *data;
	size_t len;
};

/* Those of a host that we can use, and the name they were found under. */
struct tlsa_set {
	const char *base; /* the host's name, or what its alias leads to */
	struct tlsa_record *records;
	size_t count;
};

/* One record of the DNS.  False: not to be used (RFC 7672, 3.1.3: usages 0 and
 * 1; unknown parameters; a digest of the wrong length; no certificate in full).
 * `out->data` points into `data`. */
bool tlsa_parse(const void *data, size_t len, struct tlsa_record *out);

#endif
