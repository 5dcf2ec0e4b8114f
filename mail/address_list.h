/*
 * address_list.h - the addresses of a From, To or Cc field (RFC 5322, 3.4)
 *
 *	address-list = [address] *( "," [address] )
 *	address	     = mailbox / group
 *	mailbox	     = [phrase] "<" [route] addr-spec ">" / addr-spec
 *	group	     = phrase ":" [mailbox-list] ";"
 *
 * Comments and white space may stand anywhere between; encoded words (RFC 2047)
 * in phrases are decoded.  Empty elements are skipped.  Addresses themselves
 * are those of address.h.
 */
#ifndef MAIL_ADDRESS_LIST_H
#define MAIL_ADDRESS_LIST_H

#include "mail/address.h"

#define ADDRESS_LIST_MOST 10000 /* and groups, in one field */

struct mailbox {
	const char *name;       /* decoded, "" when there is none */
	const char *group;      /* of which it is a member; NULL: of none */
	struct address address; /* of an empty group: all NULL */
	bool is_empty_group;
};

struct address_list {
	struct mailbox *items;
	size_t count;
};

/* `value` is a field's, raw.  ERR_PERM says what is wrong. */
bool address_list_parse(const char *value, size_t len, struct arena *arena,
    struct address_list *out, struct err *err) MUST_USE;

#endif
