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
	size_t failed, unplumbed, proxy_failed;
	bool tls_broken; /* opportunistic candidates are spoken to in clear */
};

void smtp_route_init(struct smtp_route *r, const struct delivery_plan *plan);

void smtp_route_release(struct smtp_route *r);
/* Begins to connect to the next candidate that does not fail at once, and sets
 * the peer in `facts`.  False: there is none. */
bool smtp_route_connect(struct smtp_route *r, struct smtp_wire *wire,
    struct session_facts *facts) MUST_USE;
/* The current candidate is no use. */
void smtp_route_failed(struct smtp_route *r, const char *why);
/* The current candidate is the next, too. */
void smtp_route_again(struct smtp_route *r);
const struct candidate *smtp_route_candidate(const struct smtp_route *r);
/* How the current candidate is spoken to. */
enum tls_mode smtp_route_tls(const struct smtp_route *r);
/* The proxy is no use: our side's fault, and the reason says so. */
void smtp_route_proxy_failed(struct smtp_route *r, const char *why);
bool smtp_route_has_proxy(const struct smtp_route *r);
/* All reasons; and whose fault each of them was. */
const char *smtp_route_reasons(const struct smtp_route *r);
void smtp_route_give_up(
    const struct smtp_route *r, struct session_facts *facts);
/* What the current candidate's certificate must be like.  The name is that of
 * the candidate, of a literal the address; in `arena`. */
void smtp_route_request(
    const struct smtp_route *r, struct arena *arena, struct tls_request *out);

#endif
