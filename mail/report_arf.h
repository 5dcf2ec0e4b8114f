/*
 * report_arf.h - feedback reports (ARF: RFC 5965, RFC 6591, RFC 6430)
 *
 * What a mailbox provider says when a user complained, or a message failed
 * authentication.  Policy language, 8.2.
 */
#ifndef MAIL_REPORT_ARF_H
#define MAIL_REPORT_ARF_H

#include "mail/report.h"
#include "mail/report_field.h"

struct arf {
	const char *feedback_type, *user_agent, *version;
	struct report_date arrival_date, received_date;
	struct report_number incidents;
	const char *original_envelope_id, *original_mail_from, *source_ip;
	struct report_mta reporting_mta;
	struct report_texts authentication_results, original_rcpto_to,
	    reported_domain, reported_uri;
	struct value extensions;
};

/* REPORT_NONE: a report of another sort.  err says why it is malformed (may be
 * NULL). */
enum report_result arf_parse(const struct report *report, struct arena *arena,
    struct arf *out, struct err *err) MUST_USE;
/* As msg:parse_rfc5965() returns it and as a Feedback record shows it. */
struct value arf_value(
    const struct arf *arf, const struct report *report, struct arena *arena);

#endif
