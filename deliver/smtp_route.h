/*
 * smtp_route.h - the candidates of a plan, one after the other
 *
 * Which is being tried, why those before it failed, and whether all of that was
 * the fault of our own source address.
 */
#ifndef DELIVER_SMTP_ROUTE_H
#define DELIVER_SMTP_ROUTE_H

#include "deliver/deliver.h"
#include "deliver/smtp_wire.h"

struct smtp_route {
	const struct delivery_plan *plan;
	size_t at;          /* the one after the current */
	struct buf reasons; /* bounded */
	size_t failed, unplumbed;
};

void smtp_route_release(struct smtp_route *r);
/* Begins to connect to the next candidate that does not fail at once, and sets
 * the peer in `facts`.  False: there is none. */
bool smtp_route_connect(struct smtp_route *r, struct smtp_wire *wire,
    struct session_facts *facts) MUST_USE;
/* The current candidate is no use. */
void smtp_route_failed(struct smtp_route *r, const char *why);
/* All reasons, and whether each was that our source is not plumbed. */
const char *smtp_route_reasons(const struct smtp_route *r);
bool smtp_route_unplumbed(const struct smtp_route *r);
/* The name that the current candidate's certificate must carry, in `arena`: of
 * a literal the address, and then *is_name is false. */
const char *smtp_route_certificate_name(
    const struct smtp_route *r, struct arena *arena, bool *is_name);

#endif
