/*
 * report.h - a message that is a report about another one (RFC 6522)
 *
 * A report is a message whose own Content-Type is multipart/report; what it
 * reports is a direct part of it.  report_dsn.h and report_arf.h read the two
 * sorts that are understood; both raise no error for what is simply no report.
 *
 * Only the first REPORT_MOST bytes of a message are looked at: a report tells
 * what it has to tell at its beginning, what follows is the original.
 *
 * Ownership: the bytes are the caller's and stay until the report is done
 *	      with; the rest is in the arena.
 */
#ifndef MAIL_REPORT_H
#define MAIL_REPORT_H

#include "base/value.h"
#include "mail/content.h"
#include "mail/mime.h"

#define REPORT_MOST ((size_t)8 << 20)
#define REPORT_FIELDS_MOST ((size_t)1 << 20) /* of the part with the fields */

struct report {
	struct mime_type type;
	struct mime_part *parts; /* the direct ones */
	size_t count;
};

enum report_result {
	REPORT_NONE,      /* ordinary mail */
	REPORT_MALFORMED, /* calls itself a report, cannot be read */
	REPORT_READ,
};

/* False: not multipart/report. */
bool report_open(const char *message, size_t len, struct arena *arena,
    struct report *out) MUST_USE;
/* Of a message's content, as far as it is needed; ordinary mail costs its
 * header.  *is_report false: not multipart/report.  False: it cannot be read.
 */
bool report_open_content(const struct content *content, struct arena *arena,
    struct report *out, bool *is_report, struct err *err) MUST_USE;

/* The first direct part of this type, or of the other; NULL: none. */
const struct mime_part *report_part(
    const struct report *report, const char *type, const char *or_type);
/* The last direct part that holds the original or its header; NULL: none. */
const struct mime_part *report_original(const struct report *report);
/* Its body with LF line ends, nil when there is none. */
struct value report_original_text(
    const struct report *report, struct arena *arena);
/* The beginning of the original, headers first, decoded; NULL: none. */
const char *report_original_header(
    const struct report *report, struct arena *arena, size_t *len);
/* What our trace header in the original says; NULL: none. */
const struct value *report_trace(
    const struct report *report, struct arena *arena);

#endif
