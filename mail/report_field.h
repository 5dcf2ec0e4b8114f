/*
 * report_field.h - the fields of delivery and feedback reports, as tables
 *
 * RFC 3464 and RFC 5965 define fields of a few kinds.  A table names them, says
 * what kind each is and where it goes; reading, checking and the JSON or Lua
 * form come from it.
 *
 *	mta        = [ mta-type ";" ] name          ; type dns when missing
 *	recipient  = [ address-type ";" ] address   ; type rfc822 when missing
 *	action     = "failed" / "delayed" / "delivered" / "relayed" / "expanded"
 *	status     = class "." subject "." detail
 *	diagnostic = [ diagnostic-type ";" ] text   ; type smtp or unknown
 *	date       = RFC 5322, obsolete forms included
 *
 * After an action or a status anything may follow that is not part of it.
 * Names and keywords are read in any case, values are unfolded and their
 * encoded words decoded, but for addresses, which have none.  A field that is
 * not required and cannot be read is kept among the extensions; one that says
 * who a report is about, and cannot be read, makes the report malformed: nobody
 * else is to be blamed.
 *
 * Ownership: everything is in the arena.
 */
#ifndef MAIL_REPORT_FIELD_H
#define MAIL_REPORT_FIELD_H

#include <stdint.h>

#include "base/err.h"
#include "base/value.h"

struct report_mta {
	const char *type, *name; /* NULL: the field is absent */
};

struct report_recipient {
	const char *type;    /* as written; NULL: the field is absent */
	const char *address; /* of rfc822: without route and <>; "": nobody */
	const char *why_not; /* it could not be read, and is as written; NULL */
};

enum report_action {
	REPORT_NO_ACTION,
	REPORT_FAILED,
	REPORT_DELAYED,
	REPORT_DELIVERED,
	REPORT_RELAYED,
	REPORT_EXPANDED,
};

struct report_status {
	int part[3]; /* class, subject, detail */
	const char *comment;
};

struct report_diagnostic {
	const char *type, *text; /* NULL: the field is absent */
};

struct report_date {
	bool known;
	int64_t unix_seconds;
};

struct report_number {
	bool known;
	int64_t n;
};

struct report_texts {
	const char **items;
	size_t count, size;
};

enum report_kind {
	REPORT_TEXT,      /* const char *, NULL: absent */
	REPORT_ADDRESS,   /* the same, an address */
	REPORT_MTA,       /* struct report_mta */
	REPORT_RECIPIENT, /* struct report_recipient */
	REPORT_ACTION,    /* enum report_action */
	REPORT_STATUS,    /* struct report_status */
	REPORT_DIAGNOSTIC,
	REPORT_DATE,
	REPORT_NUMBER,
	REPORT_TEXTS,     /* struct report_texts; may be repeated */
	REPORT_ADDRESSES, /* the same, addresses */
};

struct report_field_spec {
	const char *name; /* "Final-Recipient" */
	const char *key;  /* "final_recipient"; NULL: not shown */
	enum report_kind kind;
	size_t offset;
	bool required;
	bool strict; /* unreadable is malformed, though it may be absent */
	bool judged; /* of a recipient: by the caller, who looks at why_not */
};

struct report_table {
	const struct report_field_spec *specs;
	size_t count;
	bool first_counts; /* of fields that are not required, given twice; the
			    * others are malformed */
};

struct report_pair {
	const char *name;  /* in lower case */
	const char *value; /* unfolded, its encoded words decoded */
	const char *raw;   /* unfolded only */
};

/* A block of fields; empty lines in it do not count. */
struct report_group {
	struct report_pair *items;
	size_t count, size;
};

void report_group_read(const char *text, size_t len, struct arena *arena,
    struct report_group *out);
void report_group_release(struct report_group *group); /* the vector only */
/* Does a field of the table stand in it? */
bool report_group_has(
    const struct report_group *group, const struct report_table *table);

/* Fills `record` (zeroed).  Fields of `other` (may be NULL) are left alone;
 * what neither knows goes to *extensions, a map of lists.  False: malformed. */
bool report_group_parse(const struct report_group *group,
    const struct report_table *table, const struct report_table *other,
    void *record, struct value *extensions, struct arena *arena,
    struct err *err) MUST_USE;

/* The record as a map with a row for each key, nil where absent; `more` rows
 * are left free at the end, *next is the first. */
struct value report_value(const struct report_table *table, const void *record,
    size_t more, struct value_entry **next, struct arena *arena);

#endif
