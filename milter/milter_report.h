/*
 * milter_report.h - is it a report, and what becomes of it then?
 *
 * Mail to a domain that logs reports is looked at after the policy has had its
 * say (policy language, 7.5): a feedback report where log_arf is set, else a
 * delivery report where log_oob is.  A report obeys these settings alone, be
 * the relay decision what it may; everything else obeys the relay decision.
 *
 * A transaction's batches share their content until the policy edits one of
 * them; each content is read once.
 *
 * Ownership: what a reading says lives in the transaction's arena; its content
 *	      is held until report_readings_release.
 */
#ifndef MILTER_MILTER_REPORT_H
#define MILTER_MILTER_REPORT_H

#include "mail/report_arf.h"
#include "mail/report_dsn.h"
#include "milter/milter_batch.h"
#include "milter/milter_link.h"
#include "milter/milter_session.h"
#include "policy/relay.h"

/* One content, as far as it was asked for. */
struct report_reading {
	struct report_reading *next;
	struct content *content;
	struct report report;
	bool calls_itself_one; /* multipart/report */
	enum report_result arf_result, dsn_result;
	bool arf_read, dsn_read; /* the results are there */
	bool is_noted;           /* in the history, or on the way there */
	struct arf arf;
	struct dsn dsn;
	const struct value *feedback; /* of a Feedback record */
	/* To what we have sent, found once; milter_link.h. */
	const struct report_links *arf_links, *dsn_links;
};

/* Sets b->report and, when it is one, b->fate.  False: the content or the
 * history cannot be read now. */
bool report_judge(struct session *s, struct report_reading **readings,
    struct batch *b, const struct relay_answer *relay, int64_t deadline,
    struct err *err) MUST_USE;
/* Reports to recipients that stay with the MTA are logged and noted in the
 * history; the MTA has the message, and waits for us meanwhile: of one message
 * that is done for REPORT_LEFT_MOST recipients, and until the deadline. */
#define REPORT_LEFT_MOST 10
bool report_wanted_of_left(const struct transaction *tx);
void report_log_left(struct session *s, struct report_reading **readings,
    struct content *content, int64_t deadline, custody_progress_fn *progress,
    void *progress_ctx);
void report_readings_release(struct report_reading **readings);

#endif
