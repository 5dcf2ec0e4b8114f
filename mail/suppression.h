/*
 * suppression.h - addresses that get no more mail: entries, and what makes them
 *
 * The words that policy/, queue/, the daemons and the command share.  A record
 * about a recipient (a bounce, a report) that rules of the policy match is a
 * hit; enough hits make an entry, and so does an operator.  An entry stands for
 * an address or for a whole domain ("@example.com", not its subdomains), for
 * one tenant's mail or for everybody's, until a time or for ever.
 *
 * Keys.  Addresses are compared in one form: the local part without quotes and
 * in lower case (ASCII letters; RFC 5321, 2.4 leaves case to the receiving
 * host, and no host of note tells Bob from bob), the domain in lower-case
 * A-labels.
 */
#ifndef MAIL_SUPPRESSION_H
#define MAIL_SUPPRESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "mail/address.h"
#include "mail/smtp_reply.h"

/* Whose mail. */
struct suppression_scope {
	bool all;           /* everybody's */
	const char *tenant; /* else of this one; "": mail without a tenant */
};

/* A rule that a record matches. */
struct suppression_mark {
	const char *rule; /* the same text as long as the rule is the same */
	bool all_tenants; /* the entry is for everybody's mail */
	int64_t count;    /* acts at so many of them ... */
	int64_t within_s; /* ... in so many seconds; count 1: not looked at */
	int64_t keep_s;   /* the entry's life; 0: for ever */
};

struct suppression_hit {
	const char *address; /* a key */
	const char *tenant;  /* of the message; "": none */
	const char *record;  /* "Bounce", "OOB", "Feedback" */
	const char *class;   /* "InvalidRecipient", "abuse" */
	const char *reason;  /* what was said, one line */
	const char *message; /* id of the message that it is about */
	int code;            /* 0: none */
	int64_t at;          /* unix seconds */
	struct suppression_mark *marks;
	size_t mark_count;
};

struct suppression_entry {
	const char *address; /* a key */
	struct suppression_scope scope;
	const char *class, *reason; /* NULL: not said */
	const char *record;         /* "Bounce" ...; "Operator" */
	const char *message, *who;  /* NULL: none */
	int64_t hits;               /* records that it stands on; operator: 1 */
	int64_t created_at, updated_at, until; /* until 0: never ends */
};

/* The key of an address that was parsed. */
const char *suppression_key(const struct address *a, struct arena *arena);
/* The key of its whole domain. */
const char *suppression_domain_key(
    const struct address *a, struct arena *arena);
/* From what people write: an address or "@domain".  ERR_PERM says what is wrong
 * with it. */
bool suppression_key_parse(const char *text, struct arena *arena,
    const char **key, struct err *err) MUST_USE;
/* A key as people write it: with the quotes that its local part needs. */
const char *suppression_key_text(const char *key, struct arena *arena);
/* A key that stands for a domain. */
bool suppression_key_is_domain(const char *key);

/* `550 5.1.1 <bob@example.com>: mail to this address is suppressed since
 * 2026-11-21 (InvalidRecipient)`: what the sender may know.  Neither the reason
 * nor the message, which may be of somebody else's mail. */
struct smtp_reply suppression_reply(struct arena *arena, const char *recipient,
    const struct suppression_entry *entry);

#endif
