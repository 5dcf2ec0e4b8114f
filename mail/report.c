/*
 * report.c - a message that is a report about another one
 */
#include "mail/report.h"

#include "base/str.h"
#include "mail/header.h"
#include "mail/trace_header.h"

#define HEADER_MOST ((int64_t)1 << 20)
#define TRACE_MOST ((size_t)1 << 20)

static bool is_report(
    const char *header, size_t len, struct arena *arena, struct report *out)
{
	*out = (struct report){0};
	mime_type_parse(header, len, arena, &out->type);
	return str_eq(out->type.type, "multipart/report");
}

/* Parts are found when the type has been; a report without any has none that
 * could tell something, so it is malformed further up. */
static void find_parts(struct report *out, const char *message, size_t len,
    size_t header_len, struct arena *arena)
{
	if (!out->type.boundary ||
	    !mime_split(message + header_len, len - header_len,
		out->type.boundary, arena, &out->parts, &out->count))
		out->count = 0;
}

bool report_open(
    const char *message, size_t len, struct arena *arena, struct report *out)
{
	struct header_field f;
	size_t pos = 0;

	if (len > REPORT_MOST)
		len = REPORT_MOST;
	while (header_next(message, len, &pos, &f))
		;
	if (!is_report(message, pos, arena, out))
		return false;
	find_parts(out, message, len, pos, arena);
	return true;
}

bool report_open_content(const struct content *content, struct arena *arena,
    struct report *out, bool *found, struct err *err)
{
	const struct content_facts *facts = content_facts(content);
	const char *bytes = content_bytes(content);
	size_t header_len = (size_t)facts->header_size;
	size_t len = (size_t)facts->size;
	char *copy;

	*found = false;
	if (facts->header_size > HEADER_MOST)
		return true;
	if (len > REPORT_MOST)
		len = REPORT_MOST;
	if (!bytes) {
		copy = arena_alloc(arena, header_len + 1);
		if (!content_read(content, 0, copy, header_len, err))
			return false;
		*found = is_report(copy, header_len, arena, out);
		if (!*found)
			return true;
		copy = arena_alloc(arena, len + 1);
		if (!content_read(content, 0, copy, len, err))
			return false;
		bytes = copy;
	} else {
		*found = is_report(bytes, header_len, arena, out);
	}
	if (*found)
		find_parts(out, bytes, len, header_len, arena);
	return true;
}

const struct mime_part *report_part(
    const struct report *report, const char *type, const char *or_type)
{
	for (size_t i = 0; i < report->count; i++)
		if (str_eq(report->parts[i].type.type, type) ||
		    (or_type && str_eq(report->parts[i].type.type, or_type)))
			return &report->parts[i];
	return NULL;
}

const struct mime_part *report_original(const struct report *report)
{
	/* Two are those of internationalised mail (RFC 6533).  The last ones
	 * nobody defined: the first is what several gateways and younger
	 * servers write, the second is of the drafts that the older senders of
	 * complaints were written to. */
	static const char *const types[] = {"message/rfc822",
	    "text/rfc822-headers", "message/global", "message/global-headers",
	    "message/rfc822-headers", "text/rfc822-header"};

	for (size_t i = report->count; i-- > 0;)
		for (size_t j = 0; j < COUNT(types); j++)
			if (str_eq(report->parts[i].type.type, types[j]))
				return &report->parts[i];
	return NULL;
}

/* CRLF becomes LF. */
static struct value with_lf(struct arena *arena, const char *text, size_t len)
{
	char *out = arena_alloc(arena, len + 1), *to = out;

	for (size_t i = 0; i < len; i++)
		if (text[i] != '\r' || i + 1 == len || text[i + 1] != '\n')
			*to++ = text[i];
	*to = '\0';
	return (struct value){
	    .type = VALUE_STRING, .s = out, .len = (size_t)(to - out)};
}

struct value report_original_text(
    const struct report *report, struct arena *arena)
{
	const struct mime_part *part = report_original(report);

	if (!part)
		return (struct value){.type = VALUE_NIL};
	return with_lf(arena, part->body, part->body_len);
}

const char *report_original_header(
    const struct report *report, struct arena *arena, size_t *len)
{
	const struct mime_part *part = report_original(report);
	const char *text;

	if (!part)
		return NULL;
	/* Encoding an original is against RFC 2046, and done. */
	text = mime_text(part, TRACE_MOST, arena, len);
	/* So are empty lines before it. */
	for (; *len > 0 && (*text == '\r' || *text == '\n'); text++)
		--*len;
	return text;
}

const struct value *report_trace(
    const struct report *report, struct arena *arena)
{
	size_t len;
	const char *text = report_original_header(report, arena, &len);

	return text ? trace_decode(text, len, arena) : NULL;
}
