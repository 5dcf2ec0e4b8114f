/*
 * address.h - an envelope address (RFC 5321, 4.1.2)
 *
 * Accepts what clients send: with or without <>, a source route (dropped),
 * quoted local parts, address literals, UTF-8 (RFC 6531), underscores in
 * domains.  Empty and <> are the null sender.  Bare <postmaster>, in any case,
 * has user "postmaster" and an empty domain.  Anything left over is an error.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/arena.h"
#include "base/err.h"

struct address {
	const char *local;  /* as written, quotes and all; "" for <> */
	const char *user;   /* local without quotes and backslashes */
	const char *domain; /* letter case kept, A-labels; "" for <> and bare
			       postmaster; literals keep their brackets */
	const char *email; /* local@domain as written, without route; "" for <>;
			      "Postmaster" for bare postmaster */
};

bool address_parse(const char *text, size_t len, struct arena *arena,
    struct address *out, struct err *err) MUST_USE;
/* "" and <> */
bool address_is_null(const struct address *a);
/* The domain in lower case. */
const char *address_domain_lower(const struct address *a, struct arena *arena);
/* True when the unquoted local part holds @, % or !: it could be routed by a
 * server behind us (policy language, 7.2, D34). */
bool address_is_routed(const struct address *a);
/* Lower-case A-label form of a domain name; false when IDNA refuses it. */
bool domain_to_ascii(const char *name, struct arena *arena, const char **out,
    struct err *err) MUST_USE;

#endif
