/*
 * open_relay.h - may a stranger relay?  Thousands of sessions try
 *
 * Clients outside of every block that the policy names (also the addresses just
 * beside each), with names, EHLO names and identities made from what stands in
 * it (harvest.h), from all sorts of senders to domains that are not the
 * policy's, in every form that an address can have.  A message that is stored
 * for one of them is an open relay.
 *
 * Blocks wider than /16 (IPv6: /32) of public addresses are not taken for
 * insiders, unless `trusted` says so: whoever writes 0.0.0.0/0 does not mean
 * his own network.
 *
 * The same seed makes the same sessions.
 */
#ifndef TRIAL_OPEN_RELAY_H
#define TRIAL_OPEN_RELAY_H

#include <stdint.h>
#include <stdio.h>

#include "base/cidr.h"
#include "base/err.h"

#define OPEN_RELAY_SESSIONS 2000

struct open_relay_options {
	const char *policy;
	const char *const *trusted; /* CIDR texts */
	size_t trusted_count;
	uint64_t seed;
	int64_t sessions;
	FILE *out;
};

enum open_relay {
	OPEN_RELAY_NONE,
	OPEN_RELAY_FOUND,
	OPEN_RELAY_UNKNOWN, /* the policy answered nothing but 4yz */
	OPEN_RELAY_FAILED,  /* *err: ERR_CONFIG the policy, an option */
};

enum open_relay open_relay_search(
    const struct open_relay_options *options, struct err *err) MUST_USE;

#endif
