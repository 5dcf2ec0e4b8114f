/*
 * log_record.c - what happened to a message, for who sent it
 *
 * The table `fields` is the record: its rows in order are the members of the
 * JSON object, with their types and what the manual says of them.  Keys are
 * stored as they are written, quotes and colon included, since a record is
 * made for every message that passes and its cost is counted (3-4 us).
 */
#include "logs/log_record.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "logs/log_capture.h"
#include "policy/bounce_class.h"

static const char *const type_names[LOG_TYPE_COUNT] = {
    [LOG_RECEPTION] = "Reception",
    [LOG_REJECTION] = "Rejection",
    [LOG_DELIVERY] = "Delivery",
    [LOG_TRANSIENT_FAILURE] = "TransientFailure",
    [LOG_BOUNCE] = "Bounce",
    [LOG_EXPIRATION] = "Expiration",
    [LOG_DELAYED] = "Delayed",
    [LOG_OOB] = "OOB",
    [LOG_FEEDBACK] = "Feedback",
    [LOG_ADMIN_BOUNCE] = "AdminBounce",
    [LOG_ADMIN_REBIND] = "AdminRebind",
    [LOG_DEFERRED_INJECTION_REBIND] = "DeferredInjectionRebind",
};

enum kind {
	AS_TYPE,
	AS_TEXT,         /* NULL: "" */
	AS_TEXT_OR_NULL, /* NULL: null */
	AS_TEXT_IF_SET,  /* NULL: absent */
	AS_CLASS,        /* NULL: "Uncategorized" */
	AS_RECIPIENTS,
	AS_INT,   /* int */
	AS_INT64, /* int64_t */
	AS_REPLY,
	AS_PEER,
	AS_SECONDS, /* of a time in milliseconds */
	AS_TIME,    /* RFC 3339, of the same */
	AS_SOURCE,
	AS_SUBJECT,
	AS_VALUE,        /* NULL: null */
	AS_VALUE_IF_SET, /* NULL: absent */
	AS_META,
	AS_HEADERS,
	AS_NODEID,
};

/* What the manual calls the types. */
static const char *const kind_names[] = {
    [AS_TYPE] = "text",
    [AS_TEXT] = "text",
    [AS_TEXT_OR_NULL] = "text or null",
    [AS_TEXT_IF_SET] = "text, absent when unknown",
    [AS_CLASS] = "text",
    [AS_RECIPIENTS] = "text, or array of text",
    [AS_INT] = "number",
    [AS_INT64] = "number",
    [AS_REPLY] = "object",
    [AS_PEER] = "object or null",
    [AS_SECONDS] = "number, unix seconds",
    [AS_TIME] = "text, RFC 3339",
    [AS_SOURCE] = "object or null",
    [AS_SUBJECT] = "array of text, absent when unknown",
    [AS_VALUE] = "object or null",
    [AS_VALUE_IF_SET] = "boolean, object or array, absent elsewhere",
    [AS_META] = "object",
    [AS_HEADERS] = "object",
    [AS_NODEID] = "text",
};

#define FIELD_AT(name, kind, at, help)                                         \
	{                                                                      \
		"\"" name "\":", sizeof name + 2, kind, at, help               \
	}
#define FIELD(name, kind, help)                                                \
	FIELD_AT(#name, kind, offsetof(struct log_record, name), help)

static const struct field {
	const char *head; /* "key": */
	size_t head_len;
	enum kind kind;
	size_t offset;
	const char *help;
} fields[] = {
    FIELD(type, AS_TYPE, "What happened, one of the types below."),
    FIELD(id, AS_TEXT,
	"The message's id. Empty for Rejection: nothing was taken."),
    FIELD(sender, AS_TEXT, "The envelope sender, empty for the null sender."),
    FIELD_AT("recipient", AS_RECIPIENTS, 0,
	"The envelope recipient; an array when there are several."),
    FIELD(queue, AS_TEXT, "The scheduled queue."),
    FIELD(site, AS_TEXT,
	"Source and destination of a delivery, source->site; empty on "
	"reception."),
    FIELD(size, AS_INT64, "Bytes of the message. 0 for OOB and Rejection."),
    FIELD(response, AS_REPLY,
	"The answer that decided: code, enhanced_code (class, subject and "
	"detail, or null), content (line breaks are shown as \\r\\n), and the "
	"command that it answered or null."),
    FIELD_AT("peer_address", AS_PEER, 0,
	"The other side: addr, and name as in its HELO (reception) or in its "
	"MX record (delivery)."),
    FIELD_AT("timestamp", AS_SECONDS, offsetof(struct log_record, event_ms),
	"When it happened."),
    FIELD_AT("created", AS_SECONDS, offsetof(struct log_record, created_ms),
	"When the message was received."),
    FIELD(num_attempts, AS_INT, "Attempts to deliver before this one."),
    FIELD(bounce_classification, AS_CLASS,
	"What the bounce classifier made of the response."),
    FIELD(egress_pool, AS_TEXT_OR_NULL, "The egress pool."),
    FIELD(egress_source, AS_TEXT_OR_NULL, "The source chosen from it."),
    FIELD(source_address, AS_SOURCE,
	"The local address and port of the connection (address), and the "
	"proxy that it went through, if any (protocol, server)."),
    FIELD(feedback_report, AS_VALUE, "The report, in a Feedback record."),
    FIELD(meta, AS_META, "Metadata chosen by the logger's meta."),
    FIELD_AT("headers", AS_HEADERS, 0,
	"Header fields chosen by the logger's headers; an array where a "
	"message has several of a name."),
    FIELD(delivery_protocol, AS_TEXT_OR_NULL, "ESMTP, LMTP, Maildir or Lua."),
    FIELD(reception_protocol, AS_TEXT_OR_NULL, "ESMTP, HTTP or LogRecord."),
    FIELD_AT("nodeid", AS_NODEID, 0,
	"A UUID, the same for all records of this installation."),
    FIELD(tls_cipher, AS_TEXT_IF_SET, "The cipher of the connection."),
    FIELD(tls_protocol_version, AS_TEXT_IF_SET, "The version of TLS."),
    FIELD(tls_peer_subject_name, AS_SUBJECT,
	"The subject of the peer's certificate."),
    FIELD_AT("event_time", AS_TIME, offsetof(struct log_record, event_ms),
	"As timestamp, with milliseconds."),
    FIELD_AT("created_time", AS_TIME, offsetof(struct log_record, created_ms),
	"As created, with milliseconds."),
    FIELD(provider_name, AS_TEXT_IF_SET,
	"The group of destinations that the site belongs to."),
    FIELD(session_id, AS_TEXT_IF_SET,
	"The connection: the same for all that happened on it."),
    FIELD(linked, AS_VALUE_IF_SET,
	"Of OOB and Feedback: true when message and recipient that the report "
	"is about are known here, or our signature in the trace header vouches "
	"for them. Anybody can send a report: trust no other."),
    FIELD(linked_to, AS_VALUE_IF_SET,
	"Where linked is true: id, recipient and queue of that message, "
	"campaign, tenant, the last outcome and site that are known of it, and "
	"by: signed, id, message_id or envelope_id. An array where a feedback "
	"report is about several recipients."),
};

/* Whose response is worth a class. */
static const bool classified[LOG_TYPE_COUNT] = {
    [LOG_REJECTION] = true,
    [LOG_TRANSIENT_FAILURE] = true,
    [LOG_BOUNCE] = true,
    [LOG_EXPIRATION] = true,
    [LOG_OOB] = true,
    [LOG_FEEDBACK] = true,
    [LOG_ADMIN_BOUNCE] = true,
};

void log_record_classify(struct log_record *r, struct bounce_classifier *c)
{
	if (c && classified[r->type])
		r->bounce_classification = bounce_class_of(c, &r->response);
}

const char *log_type_name(enum log_type type)
{
	return type_names[type];
}

bool log_type_parse(const char *name, enum log_type *out)
{
	for (int i = 0; i < LOG_TYPE_COUNT; i++) {
		if (str_eq(type_names[i], name)) {
			*out = (enum log_type)i;
			return true;
		}
	}
	return false;
}

#define ADD_LITERAL(out, text) buf_add(out, text, sizeof(text) - 1)

static void add_text(struct buf *out, const char *s)
{
	json_write_string(out, s, strlen(s));
}

static void add_text_or_null(struct buf *out, const char *s)
{
	if (s)
		add_text(out, s);
	else
		ADD_LITERAL(out, "null");
}

/* ,"key":"s", or nothing */
static void add_member(struct buf *out, const char *key, const char *s)
{
	if (!s)
		return;
	buf_addch(out, ',');
	add_text(out, key);
	buf_addch(out, ':');
	add_text(out, s);
}

static void add_recipients(struct buf *out, const struct log_record *r)
{
	if (r->recipient_count <= 1) {
		add_text(out, r->recipient_count ? r->recipients[0] : "");
		return;
	}
	buf_addch(out, '[');
	for (size_t i = 0; i < r->recipient_count; i++) {
		if (i)
			buf_addch(out, ',');
		add_text(out, r->recipients[i]);
	}
	buf_addch(out, ']');
}

/* A reply of several lines is shown in one, as KumoMTA does. */
static void add_reply_text(struct buf *out, const char *text)
{
	struct buf line = BUF_INIT;

	if (!text || !strchr(text, '\n')) {
		add_text(out, text ? text : "");
		return;
	}
	for (; *text; text++) {
		if (*text == '\n')
			ADD_LITERAL(&line, "\\r\\n");
		else if (*text != '\r')
			buf_addch(&line, *text);
	}
	json_write_string(out, line.data, line.len);
	buf_release(&line);
}

static void add_reply(struct buf *out, const struct smtp_reply *reply)
{
	ADD_LITERAL(out, "{\"code\":");
	buf_addint(out, reply->code);
	if (smtp_reply_has_enhanced(reply)) {
		ADD_LITERAL(out, ",\"enhanced_code\":{\"class\":");
		buf_addint(out, reply->enhanced[0]);
		ADD_LITERAL(out, ",\"subject\":");
		buf_addint(out, reply->enhanced[1]);
		ADD_LITERAL(out, ",\"detail\":");
		buf_addint(out, reply->enhanced[2]);
		ADD_LITERAL(out, "},\"content\":");
	} else {
		ADD_LITERAL(out, ",\"enhanced_code\":null,\"content\":");
	}
	add_reply_text(out, reply->text);
	ADD_LITERAL(out, ",\"command\":");
	add_text_or_null(out, reply->command);
	buf_addch(out, '}');
}

static void add_peer(struct buf *out, const struct log_record *r)
{
	if (!r->peer_name && !r->peer_addr) {
		ADD_LITERAL(out, "null");
		return;
	}
	ADD_LITERAL(out, "{\"name\":");
	add_text(out, r->peer_name ? r->peer_name : "");
	ADD_LITERAL(out, ",\"addr\":");
	add_text_or_null(out, r->peer_addr);
	buf_addch(out, '}');
}

static void add_source(struct buf *out, const struct log_record *r)
{
	if (!r->source_address) {
		ADD_LITERAL(out, "null");
		return;
	}
	ADD_LITERAL(out, "{\"address\":");
	add_text(out, r->source_address);
	add_member(out, "protocol", r->source_proxy_protocol);
	add_member(out, "server", r->source_proxy_server);
	buf_addch(out, '}');
}

/* subject = part *( "," part ), a comma inside a part is "\," (RFC 4514) */
static void add_subject(struct buf *out, const char *subject)
{
	const char *start = subject, *p = subject;

	buf_addch(out, '[');
	for (;; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			continue;
		}
		if (*p && *p != ',')
			continue;
		while (*start == ' ')
			start++;
		if (start < p) {
			if (out->data[out->len - 1] != '[')
				buf_addch(out, ',');
			json_write_string(out, start, (size_t)(p - start));
		}
		if (!*p)
			break;
		start = p + 1;
	}
	buf_addch(out, ']');
}

static void add_time(struct buf *out, int64_t ms)
{
	char text[40];

	buf_addch(out, '"');
	buf_addstr(out, clock_rfc3339(text, ms));
	buf_addch(out, '"');
}

/* Unix seconds, rounded down also before 1970. */
static void add_seconds(struct buf *out, int64_t ms)
{
	buf_addint(out, ms / 1000 - (ms % 1000 < 0));
}

/* ---- the record ---- */

static bool field_absent(const struct field *f, const void *at)
{
	if (f->kind == AS_VALUE_IF_SET)
		return !*(const struct value *const *)at;
	return (f->kind == AS_TEXT_IF_SET || f->kind == AS_SUBJECT) &&
	       !*(const char *const *)at;
}

void log_record_json(const struct log_record *r, const char *nodeid,
    struct string_list_view meta_names, struct string_list_view header_names,
    struct buf *out)
{
	char separator = '{';

	buf_reserve(out, 1024);
	for (const struct field *f = fields; f < fields + COUNT(fields); f++) {
		const void *at = (const char *)r + f->offset;
		const char *text;

		if (field_absent(f, at))
			continue;
		buf_addch(out, separator);
		separator = ',';
		buf_add(out, f->head, f->head_len);
		switch (f->kind) {
		case AS_TYPE:
			add_text(out, type_names[r->type]);
			break;
		case AS_TEXT:
			text = *(const char *const *)at;
			add_text(out, text ? text : "");
			break;
		case AS_TEXT_OR_NULL:
		case AS_TEXT_IF_SET:
			add_text_or_null(out, *(const char *const *)at);
			break;
		case AS_CLASS:
			text = *(const char *const *)at;
			add_text(out, text ? text : BOUNCE_UNCATEGORIZED);
			break;
		case AS_RECIPIENTS:
			add_recipients(out, r);
			break;
		case AS_INT:
			buf_addint(out, *(const int *)at);
			break;
		case AS_INT64:
			buf_addint(out, *(const int64_t *)at);
			break;
		case AS_REPLY:
			add_reply(out, &r->response);
			break;
		case AS_PEER:
			add_peer(out, r);
			break;
		case AS_SECONDS:
			add_seconds(out, *(const int64_t *)at);
			break;
		case AS_TIME:
			add_time(out, *(const int64_t *)at);
			break;
		case AS_SOURCE:
			add_source(out, r);
			break;
		case AS_SUBJECT:
			add_subject(out, r->tls_peer_subject_name);
			break;
		case AS_VALUE:
		case AS_VALUE_IF_SET:
			if (*(const struct value *const *)at)
				json_write(
				    out, *(const struct value *const *)at);
			else
				ADD_LITERAL(out, "null");
			break;
		case AS_META:
			log_capture_meta(out, r->meta, meta_names);
			break;
		case AS_HEADERS:
			log_capture_headers(
			    out, r->header_block, r->header_len, header_names);
			break;
		case AS_NODEID:
			add_text(out, nodeid ? nodeid : "");
			break;
		}
	}
	ADD_LITERAL(out, "}\n");
}

void log_record_document(bool mdoc, struct buf *out)
{
	if (mdoc)
		buf_addstr(out, ".Bl -tag -width Ds\n");
	for (const struct field *f = fields; f < fields + COUNT(fields); f++) {
		int name_len = (int)f->head_len - 3;

		if (mdoc)
			buf_addf(out, ".It Cm %.*s Pq %s\n", name_len,
			    f->head + 1, kind_names[f->kind]);
		else
			buf_addf(out, "%.*s (%s)\n    ", name_len, f->head + 1,
			    kind_names[f->kind]);
		for (const char *p = f->help; *p; p++) {
			/* In roff a backslash begins an escape, and a sentence
			 * a line. */
			if (mdoc && *p == '\\')
				buf_addstr(out, "\\e");
			else if (mdoc && *p == ' ' && p > f->help &&
				 p[-1] == '.')
				buf_addch(out, '\n');
			else
				buf_addch(out, *p);
		}
		buf_addch(out, '\n');
	}
	if (mdoc)
		buf_addstr(out, ".El\n");
}
