/*
 * report_arf.c - feedback reports
 *
 * The part is text by its definition (RFC 5965, 3.1), so its body is read as it
 * stands; one that was encoded on its way all the same is decoded first.
 */
#include "mail/report_arf.h"

#include "base/str.h"

#define ROW(header, field, what, ...)                                          \
	{                                                                      \
		.name = header, .key = #field, .kind = what,                   \
		.offset = offsetof(struct arf, field), __VA_ARGS__             \
	}

static const struct report_field_spec specs[] = {
    ROW("Feedback-Type", feedback_type, REPORT_TEXT, .required = true),
    ROW("User-Agent", user_agent, REPORT_TEXT, .required = true),
    ROW("Version", version, REPORT_TEXT, .required = true),
    ROW("Arrival-Date", arrival_date, REPORT_DATE),
    ROW("Incidents", incidents, REPORT_NUMBER),
    ROW("Original-Envelope-Id", original_envelope_id, REPORT_TEXT),
    ROW("Original-Mail-From", original_mail_from, REPORT_ADDRESS),
    ROW("Reporting-MTA", reporting_mta, REPORT_MTA),
    ROW("Source-IP", source_ip, REPORT_TEXT),
    ROW("Authentication-Results", authentication_results, REPORT_TEXTS),
    ROW("Original-Rcpt-To", original_rcpto_to, REPORT_ADDRESSES),
    ROW("Reported-Domain", reported_domain, REPORT_TEXTS),
    ROW("Reported-URI", reported_uri, REPORT_TEXTS),
    /* The older name of Arrival-Date. */
    {.name = "Received-Date",
	.kind = REPORT_DATE,
	.offset = offsetof(struct arf, received_date)},
};
static const struct report_table table = {
    specs, COUNT(specs), .first_counts = true};

/* A comment, or what else stands behind it, is not looked at. */
static bool is_feedback(const char *report_type)
{
	static const char name[] = "feedback-report";

	return report_type && str_ncase_eq(report_type, name, strlen(name)) &&
	       (!report_type[strlen(name)] ||
		   strchr(" \t;(", report_type[strlen(name)]));
}

enum report_result arf_parse(const struct report *report, struct arena *arena,
    struct arf *out, struct err *err)
{
	const struct mime_part *part =
	    report_part(report, "message/feedback-report", NULL);
	struct report_group group = {0};
	struct err why = {0};
	size_t len;
	char *text;
	bool ok;

	*out = (struct arf){0};
	if (!is_feedback(report->type.report_type))
		return REPORT_NONE;
	if (!part) {
		(void)err_set(err, ERR_PERM,
		    "a report without a message/feedback-report part");
		return REPORT_MALFORMED;
	}
	if (part->body_len > REPORT_FIELDS_MOST) {
		(void)err_set(err, ERR_PERM,
		    "the message/feedback-report part is too large");
		return REPORT_MALFORMED;
	}
	text = mime_text(part, REPORT_FIELDS_MOST, arena, &len);
	report_group_read(text, len, arena, &group);
	ok = report_group_parse(
	    &group, &table, NULL, out, &out->extensions, arena, &why);
	report_group_release(&group);
	if (!ok) {
		(void)err_set(
		    err, ERR_PERM, "%s: %s", part->type.type, why.text);
		return REPORT_MALFORMED;
	}
	if (!out->arrival_date.known)
		out->arrival_date = out->received_date;
	return REPORT_READ;
}

struct value arf_value(
    const struct arf *arf, const struct report *report, struct arena *arena)
{
	const struct value *trace = report_trace(report, arena);
	struct value_entry *next;
	struct value v = report_value(&table, arf, 3, &next, arena);

	next[0] = (struct value_entry){"extensions", arf->extensions};
	next[1] = (struct value_entry){
	    "original_message", report_original_text(report, arena)};
	next[2] = (struct value_entry){"supplemental_trace",
	    trace ? *trace : (struct value){.type = VALUE_NIL}};
	return v;
}
