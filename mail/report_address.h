/*
 * report_address.h - the one address that a field of a report names
 *
 *	value   = [ comment ] ( address / phrase "<" address ">" ) *comment
 *	comment = "(" ... ")"		; balanced, RFC 5322, 3.2.2
 *
 * The address may stand in brackets and quotes that are not its own, with
 * blanks around its "@", and a "," or ";" may follow: <<bob@b.test>>,
 * 'bob@b.test', "bob@b.test";
 *
 * A value that may mean two people names nobody: "<ann@a.test>, <bob@b.test>"
 * is refused, and so is "ann@a.test <bob@b.test>", while the same address twice
 * is one.
 */
#ifndef MAIL_REPORT_ADDRESS_H
#define MAIL_REPORT_ADDRESS_H

#include "base/arena.h"
#include "base/err.h"

/* *out is without route and <>, "" of the null address; it is in the arena.
 * False: it is no address, or more than one. */
bool report_address_parse(const char *value, struct arena *arena,
    const char **out, struct err *err) MUST_USE;

/* Does it name a mailbox, with an "@" and a domain? */
bool report_address_is_whole(const char *value, struct arena *arena);

#endif
