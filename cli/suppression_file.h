/*
 * suppression_file.h - the suppression list as a file: read and written
 *
 * Two forms are read.  One address (or @domain) a line; empty lines and those
 * that begin with # do not count.  Or CSV (RFC 4180, one record a line), which
 * begins with a line of column names:
 *
 *	address	 required
 *	scope	 "all", "tenant", or empty: by tenant
 *	tenant	 a name; empty: everybody's (with scope "tenant": mail without
 *		 one)
 *	class, reason, record, message, hits
 *	created, until	2026-11-21T03:24:00Z, or unix seconds; empty: now,
 *		 never
 *
 * That is also what is written, with terminal_add_exact() where a terminal
 * would obey, and for line breaks.  Errors name the line.
 */
#ifndef CLI_SUPPRESSION_FILE_H
#define CLI_SUPPRESSION_FILE_H

#include <stdio.h>

#include "base/value.h"
#include "mail/suppression.h"

struct suppression_list {
	struct suppression_entry *items;
	size_t count, size;
};

/* `like`: what holds where the file says nothing.  Texts are in `arena`; the
 * caller frees items. */
bool suppression_file_read(const char *name, const char *text, size_t len,
    const struct suppression_entry *like, struct arena *arena,
    struct suppression_list *out, struct err *err) MUST_USE;
/* A date as above, or unix seconds. */
bool suppression_time_parse(const char *text, int64_t *out, struct err *err)
    MUST_USE;

void suppression_file_header(FILE *out);
/* A row of v_suppression. */
void suppression_file_row(
    FILE *out, const struct value *row, struct arena *arena);

#endif
