/*
 * report_dsn.c - delivery status notifications
 */
#include "mail/report_dsn.h"

#include "base/str.h"

#define ROW(S, header, field, what, ...)                                       \
	{                                                                      \
		.name = header, .key = #field, .kind = what,                   \
		.offset = offsetof(struct S, field), __VA_ARGS__               \
	}

static const struct report_field_spec message_specs[] = {
    ROW(dsn, "Reporting-MTA", reporting_mta, REPORT_MTA, .required = true),
    ROW(dsn, "Original-Envelope-Id", original_envelope_id, REPORT_TEXT),
    ROW(dsn, "DSN-Gateway", dsn_gateway, REPORT_MTA),
    ROW(dsn, "Received-From-MTA", received_from_mta, REPORT_MTA),
    ROW(dsn, "Arrival-Date", arrival_date, REPORT_DATE),
};
static const struct report_table message_table = {
    message_specs, COUNT(message_specs), false};

static const struct report_field_spec recipient_specs[] = {
    ROW(dsn_recipient, "Final-Recipient", final_recipient, REPORT_RECIPIENT,
	.required = true, .judged = true),
    ROW(dsn_recipient, "Original-Recipient", original_recipient,
	REPORT_RECIPIENT, .strict = true),
    ROW(dsn_recipient, "Action", action, REPORT_ACTION, .required = true),
    ROW(dsn_recipient, "Status", status, REPORT_STATUS, .required = true),
    ROW(dsn_recipient, "Remote-MTA", remote_mta, REPORT_MTA),
    ROW(dsn_recipient, "Diagnostic-Code", diagnostic_code, REPORT_DIAGNOSTIC),
    ROW(dsn_recipient, "Last-Attempt-Date", last_attempt_date, REPORT_DATE),
    ROW(dsn_recipient, "Final-Log-ID", final_log_id, REPORT_TEXT),
    ROW(dsn_recipient, "Will-Retry-Until", will_retry_until, REPORT_DATE),
};
static const struct report_table recipient_table = {
    recipient_specs, COUNT(recipient_specs), false};

/* ---- groups ---- */

static size_t line_len(const char *text, size_t len)
{
	const char *lf = memchr(text, '\n', len);

	return lf ? (size_t)(lf - text) + 1 : len;
}

/* Nothing but white space in the line. */
static bool is_empty(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", line[i]) || !line[i])
			return false;
	return true;
}

/* A line of blanks ends a group, unless what follows continues a field. */
static bool ends_group(const char *text, size_t len, size_t at, size_t line)
{
	size_t next = at + line;

	return is_empty(text + at, line) &&
	       (text[at] == '\n' || text[at] == '\r' || next == len ||
		   (text[next] != ' ' && text[next] != '\t'));
}

/* *pos moves to the group after this one; false: there is none. */
static bool next_group(const char *text, size_t len, size_t *pos,
    const char **group, size_t *group_len)
{
	size_t at = *pos, line;

	while (at < len && is_empty(text + at, line_len(text + at, len - at)))
		at += line_len(text + at, len - at);
	*group = text + at;
	*pos = at;
	for (; at < len; at += line) {
		line = line_len(text + at, len - at);
		if (ends_group(text, len, at, line))
			break;
	}
	*group_len = at - *pos;
	*pos = at;
	return *group_len > 0;
}

/* Who we wrote to: then nobody asks how the other side calls them.  Some hide
 * it, some name a file or a program. */
static bool is_named(const struct report_recipient *r)
{
	return r->type && str_case_eq(r->type, "rfc822") &&
	       strchr(r->address, '@');
}

static bool add_recipient(struct dsn *dsn, const struct report_group *group,
    const struct report_table *other, struct arena *arena, struct err *err)
{
	struct dsn_recipient *r;

	if (dsn->count == DSN_RECIPIENTS_MOST)
		return err_set(err, ERR_PERM, "more than %d recipients",
		    DSN_RECIPIENTS_MOST);
	if (dsn->count == dsn->size) {
		size_t size = dsn->size ? dsn->size * 2 : 4;

		r = ARENA_ARRAY(arena, struct dsn_recipient, size);
		if (dsn->count)
			memcpy(r, dsn->recipients, dsn->count * sizeof *r);
		dsn->recipients = r;
		dsn->size = size;
	}
	r = &dsn->recipients[dsn->count++];
	if (!report_group_parse(
		group, &recipient_table, other, r, &r->extensions, arena, err))
		return err_prefix(err, "recipient %zu", dsn->count);
	if (r->final_recipient.why_not && !is_named(&r->original_recipient))
		return err_set(err, ERR_PERM,
		    "recipient %zu: Final-Recipient: %s", dsn->count,
		    r->final_recipient.why_not);
	return *dsn_blames(r) ||
	       err_set(
		   err, ERR_PERM, "recipient %zu: nobody is named", dsn->count);
}

static bool add_message(struct dsn *dsn, const struct report_group *group,
    struct arena *arena, struct err *err)
{
	if (!report_group_parse(group, &message_table, &recipient_table, dsn,
		&dsn->extensions, arena, err))
		return false;
	return !report_group_has(group, &recipient_table) ||
	       add_recipient(dsn, group, &message_table, arena, err);
}

static bool parse_text(struct dsn *dsn, const char *text, size_t len,
    struct arena *arena, struct err *err)
{
	size_t pos = 0, group_len, groups = 0;
	const char *group_text;
	bool ok = true;

	while (ok && next_group(text, len, &pos, &group_text, &group_len)) {
		struct report_group group = {0};

		report_group_read(group_text, group_len, arena, &group);
		/* What has no fields is prose, for those who look into it. */
		if (group.count > 0 && groups++ == 0)
			ok = add_message(dsn, &group, arena, err);
		else if (report_group_has(&group, &recipient_table))
			ok = add_recipient(dsn, &group, NULL, arena, err);
		report_group_release(&group);
	}
	if (!ok)
		return false;
	return dsn->count > 0 ||
	       err_set(err, ERR_PERM, "it says nothing of any recipient");
}

enum report_result dsn_parse(const struct report *report, struct arena *arena,
    struct dsn *out, struct err *err)
{
	const struct mime_part *part = report_part(report,
	    "message/delivery-status", "message/global-delivery-status");
	struct err why = {0};
	size_t len;
	char *text;

	*out = (struct dsn){0};
	if (!part) {
		(void)err_set(err, ERR_PERM,
		    "a report without a message/delivery-status part");
		return REPORT_MALFORMED;
	}
	if (part->body_len > REPORT_FIELDS_MOST) {
		(void)err_set(err, ERR_PERM,
		    "the message/delivery-status part is too large");
		return REPORT_MALFORMED;
	}
	text = mime_text(part, REPORT_FIELDS_MOST, arena, &len);
	if (parse_text(out, text, len, arena, &why))
		return REPORT_READ;
	(void)err_set(err, ERR_PERM, "%s: %s", part->type.type, why.text);
	return REPORT_MALFORMED;
}

/* ---- what it says ---- */

static struct value with_extensions(const struct report_table *table,
    const void *record, const struct value *extensions, struct arena *arena)
{
	struct value_entry *next;
	struct value v = report_value(table, record, 1, &next, arena);

	*next = (struct value_entry){"extensions", *extensions};
	return v;
}

struct value dsn_value(
    const struct dsn *dsn, const struct report *report, struct arena *arena)
{
	struct value v = {.type = VALUE_MAP, .count = 3};
	struct value list = {.type = VALUE_LIST, .count = dsn->count};

	list.items = ARENA_ARRAY(arena, struct value, dsn->count);
	for (size_t i = 0; i < dsn->count; i++)
		list.items[i] = with_extensions(&recipient_table,
		    &dsn->recipients[i], &dsn->recipients[i].extensions, arena);
	v.entries = ARENA_ARRAY(arena, struct value_entry, 3);
	v.entries[0] = (struct value_entry){"per_message",
	    with_extensions(&message_table, dsn, &dsn->extensions, arena)};
	v.entries[1] = (struct value_entry){"per_recipient", list};
	v.entries[2] = (struct value_entry){
	    "original_message", report_original_text(report, arena)};
	return v;
}

const char *dsn_blames(const struct dsn_recipient *r)
{
	const struct report_recipient *original = &r->original_recipient;

	return original->type && *original->address
		   ? original->address
		   : r->final_recipient.address;
}

struct smtp_reply dsn_reply(const struct dsn_recipient *r, struct arena *arena)
{
	const struct report_diagnostic *d = &r->diagnostic_code;
	struct smtp_reply reply = {.code = 550, .text = ""};
	const char *p = d->text;

	memcpy(reply.enhanced, r->status.part, sizeof reply.enhanced);
	if (!d->type || !str_case_eq(d->type, "smtp"))
		return reply;
	reply.text = d->text;
	if (p[0] >= '1' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' &&
	    p[2] >= '0' && p[2] <= '9' && p[3] == ' ') {
		reply.code =
		    (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
		for (p += 3; *p == ' ';)
			p++;
		reply.text = p;
	}
	if (strlen(reply.text) > SMTP_REPLY_TEXT_MAX)
		reply.text =
		    arena_strndup(arena, reply.text, SMTP_REPLY_TEXT_MAX);
	return reply;
}
