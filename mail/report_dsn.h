/*
 * report_dsn.h - delivery status notifications (RFC 3464, RFC 6533)
 *
 * What an MTA elsewhere says about mail that it had accepted: the "out of band"
 * bounce.  Policy language, 8.1.
 *
 *	body  = group 1*( 1*empty-line group )
 *
 * The first group is about the message, each other about one recipient.
 * Senders are met that leave out the empty line between the first two; that
 * group is then read as both.  A group without any field about a recipient
 * belongs to the message and says nothing that we use.  A Final-Recipient that
 * cannot be read is as written where the Original-Recipient is an address.
 */
#ifndef MAIL_REPORT_DSN_H
#define MAIL_REPORT_DSN_H

#include "mail/report.h"
#include "mail/report_field.h"
#include "mail/smtp_reply.h"

#define DSN_RECIPIENTS_MOST 5000

struct dsn_recipient {
	struct report_recipient final_recipient, original_recipient;
	enum report_action action;
	struct report_status status;
	struct report_mta remote_mta;
	struct report_diagnostic diagnostic_code;
	struct report_date last_attempt_date, will_retry_until;
	const char *final_log_id;
	struct value extensions;
};

struct dsn {
	struct report_mta reporting_mta, dsn_gateway, received_from_mta;
	const char *original_envelope_id;
	struct report_date arrival_date;
	struct value extensions;
	struct dsn_recipient *recipients;
	size_t count, size; /* at least one */
};

/* REPORT_NONE never; err says why it is malformed (may be NULL). */
enum report_result dsn_parse(const struct report *report, struct arena *arena,
    struct dsn *out, struct err *err) MUST_USE;
/* As msg:parse_rfc3464() returns it. */
struct value dsn_value(
    const struct dsn *dsn, const struct report *report, struct arena *arena);

/* Of one recipient group: who was meant, and the answer as in a log record
 * (policy language, 8.3); its text is cut at SMTP_REPLY_TEXT_MAX. */
const char *dsn_blames(const struct dsn_recipient *r);
struct smtp_reply dsn_reply(const struct dsn_recipient *r, struct arena *arena);

#endif
