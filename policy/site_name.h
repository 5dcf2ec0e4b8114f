/*
 * site_name.h - one name for a set of mail hosts
 *
 * Domains with the same hosts share ready queues and connections, so the name
 * is made from the hosts: labels aligned at the right, those that differ listed
 * in parentheses, with a question mark where a host has no label.
 *
 *	mta5, mta6, mta7.am0.example.net -> (mta5|mta6|mta7).am0.example.net
 *
 * See: policy language, 12.3.
 */
#ifndef POLICY_SITE_NAME_H
#define POLICY_SITE_NAME_H

#include "base/arena.h"

struct site_host {
	const char *name; /* a trailing dot and ":PORT" may stand behind it */
	int preference;   /* orders the hosts; not part of the name */
};

/* "" for no hosts and for a null MX.  In any order; an address is itself. */
const char *site_name(
    const struct site_host *hosts, size_t count, struct arena *arena);

#endif
