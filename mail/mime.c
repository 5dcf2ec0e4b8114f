/*
 * mime.c - the parts of a multipart message, and their text
 *
 *	multipart = [ preamble ] 1*( delimiter part ) close [ epilogue ]
 *	delimiter = line-begin *WSP "--" boundary *WSP line-end
 *	close     = line-begin *WSP "--" boundary "--" *WSP line-end
 *
 * The line end before a delimiter belongs to the delimiter (RFC 2046, 5.1.1).
 * A boundary that is the beginning of another one, such as a and ab, is why
 * the whole line is compared.
 */
#include "mail/mime.h"

#include <gmime/gmime.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/str.h"
#include "mail/header.h"

#define VALUE_MOST 8192  /* of a field that GMime is given */
#define INDENTED_LEAST 8 /* length of a boundary */

static void start_gmime(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, g_mime_init);
}

/* ---- fields ---- */

static bool find_field(
    const char *header, size_t len, const char *name, struct header_field *out)
{
	size_t pos = 0;

	while (header_next(header, len, &pos, out))
		if (header_name_is(out, name))
			return true;
	return false;
}

/* The raw value as a string, NULL when there is none. */
static char *field_value(
    const char *header, size_t len, const char *name, struct arena *arena)
{
	struct header_field f;
	size_t n, skip = 0;

	if (!find_field(header, len, name, &f))
		return NULL;
	n = f.value_len < VALUE_MOST ? f.value_len : VALUE_MOST;
	while (n > 0 && strchr(" \t\r\n", f.value[n - 1]))
		n--;
	while (skip < n && strchr(" \t\r\n", f.value[skip]))
		skip++;
	return arena_strndup(arena, f.value + skip, n - skip);
}

static const char *parameter(
    GMimeContentType *type, const char *name, struct arena *arena)
{
	const char *value = g_mime_content_type_get_parameter(type, name);
	size_t len = value ? strlen(value) : 0;

	/* A boundary does not end in a space (RFC 2046, 5.1.1). */
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	return len ? arena_strndup(arena, value, len) : NULL;
}

void mime_type_parse(
    const char *header, size_t len, struct arena *arena, struct mime_type *out)
{
	const char *value = field_value(header, len, "Content-Type", arena);
	GMimeContentType *type;

	*out = (struct mime_type){.type = ""};
	if (!value || !*value)
		return;
	start_gmime();
	type = g_mime_content_type_parse(NULL, value);
	if (!type)
		return;
	out->type = str_lower(arena_printf(arena, "%s/%s",
	    g_mime_content_type_get_media_type(type),
	    g_mime_content_type_get_media_subtype(type)));
	out->boundary = parameter(type, "boundary", arena);
	out->report_type = parameter(type, "report-type", arena);
	out->charset = parameter(type, "charset", arena);
	g_object_unref(type);
}

/* ---- parts ---- */

enum delimiter { DELIMITER_NONE, DELIMITER_PART, DELIMITER_CLOSE };

/* What the line [p, end) is; end is after its line end.  Some indent it with
 * all that they send; a short boundary may then be anything. */
static enum delimiter delimiter_of(
    const char *p, const char *end, const char *boundary, size_t boundary_len)
{
	enum delimiter found = DELIMITER_PART;

	while (boundary_len >= INDENTED_LEAST && p < end &&
	       (*p == ' ' || *p == '\t'))
		p++;
	if ((size_t)(end - p) < boundary_len + 2 || p[0] != '-' ||
	    p[1] != '-' || memcmp(p + 2, boundary, boundary_len) != 0)
		return DELIMITER_NONE;
	p += 2 + boundary_len;
	if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
		found = DELIMITER_CLOSE;
		p += 2;
	}
	for (; p < end; p++)
		if (!strchr(" \t\r\n", *p) || !*p)
			return DELIMITER_NONE;
	return found;
}

static const char *line_end(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	return lf ? lf + 1 : end;
}

/* The line of blanks that the field [p, end) ends in, NULL when it does not.
 * Strictly it continues the field, but nobody writes one for that: what comes
 * after it, and does not continue anything, is the body. */
static const char *blank_line_at_end(const char *p, const char *end)
{
	const char *line = end;

	while (line > p && strchr(" \t\r\n", line[-1]) && line[-1])
		line--;
	line = line_end(line, end);
	return line < end ? line : NULL;
}

/* Header and body of [p, end). */
static void read_part(
    const char *p, const char *end, struct arena *arena, struct mime_part *out)
{
	struct header_field f;
	size_t len = (size_t)(end - p), pos = 0;
	const char *blank = NULL;

	while (!blank && header_next(p, len, &pos, &f))
		if (pos == len || (p[pos] != '\n' && p[pos] != '\r'))
			blank = blank_line_at_end(p + f.offset, p + pos);
	if (blank)
		pos = (size_t)(blank - p);
	/* The empty line belongs to the header. */
	pos = (size_t)(line_end(p + pos, end) - p);
	out->header = p;
	out->header_len = pos;
	out->body = p + pos;
	out->body_len = len - pos;
	mime_type_parse(out->header, out->header_len, arena, &out->type);
}

/* The end of a part before the delimiter at `at`. */
static const char *before_line_end(const char *begin, const char *at)
{
	if (at > begin && at[-1] == '\n')
		at--;
	if (at > begin && at[-1] == '\r')
		at--;
	return at;
}

bool mime_split(const char *body, size_t len, const char *boundary,
    struct arena *arena, struct mime_part **parts, size_t *count)
{
	size_t boundary_len = strlen(boundary);
	const char *end = body + len, *begin = NULL, *next;
	struct mime_part *all =
	    ARENA_ARRAY(arena, struct mime_part, MIME_PARTS_MOST);
	enum delimiter found = DELIMITER_NONE;

	*parts = all;
	*count = 0;
	for (const char *p = body; p < end && found != DELIMITER_CLOSE;
	     p = next) {
		next = line_end(p, end);
		found = delimiter_of(p, next, boundary, boundary_len);
		if (found == DELIMITER_NONE)
			continue;
		if (begin && *count == MIME_PARTS_MOST)
			return false;
		if (begin)
			read_part(begin, before_line_end(begin, p), arena,
			    &all[(*count)++]);
		begin = next;
	}
	/* The end was cut off. */
	if (begin && found != DELIMITER_CLOSE) {
		if (*count == MIME_PARTS_MOST)
			return false;
		read_part(begin, end, arena, &all[(*count)++]);
	}
	return *count > 0;
}

/* ---- text ---- */

/* What the first word of the field says, without quotes. */
static GMimeContentEncoding encoding_of(
    const struct mime_part *part, struct arena *arena)
{
	char *value = field_value(
	    part->header, part->header_len, "Content-Transfer-Encoding", arena);

	if (!value)
		return GMIME_CONTENT_ENCODING_8BIT;
	value += *value == '"';
	value[strcspn(value, "\" \t\r\n;,(")] = '\0';
	return g_mime_content_encoding_from_string(value);
}

/* A line with a colon is none of base64: gateways are met that say so of parts
 * they left as they were. */
static bool has_colon_at_first(const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end && (*p == '\r' || *p == '\n'))
		p++;
	return p < end && memchr(p, ':', (size_t)(line_end(p, end) - p));
}

static void undo_encoding(
    GMimeContentEncoding kind, const char *p, size_t len, struct buf *out)
{
	GMimeEncoding state;

	if (kind == GMIME_CONTENT_ENCODING_BASE64 && has_colon_at_first(p, len))
		kind = GMIME_CONTENT_ENCODING_8BIT;
	g_mime_encoding_init_decode(&state, kind);
	buf_reserve(out, g_mime_encoding_outlen(&state, len) + 1);
	out->len += g_mime_encoding_flush(&state, p, len, out->data + out->len);
	out->data[out->len] = '\0';
}

static bool add_converted(
    const char *charset, const struct buf *in, struct buf *out)
{
	iconv_t cd = g_mime_iconv_open("UTF-8", charset);
	char *from = in->data, chunk[1024];
	size_t left = in->len;
	bool ok = true;

	if (cd == (iconv_t)-1)
		return false;
	while (ok && left > 0) {
		char *to = chunk;
		size_t room = sizeof chunk;

		ok = g_mime_iconv(cd, &from, &left, &to, &room) != (size_t)-1 ||
		     errno == E2BIG;
		buf_add(out, chunk, sizeof chunk - room);
	}
	(void)g_mime_iconv_close(cd);
	if (!ok)
		buf_reset(out);
	return ok;
}

static void add_latin1(const struct buf *in, struct buf *out)
{
	for (size_t i = 0; i < in->len; i++) {
		unsigned char c = (unsigned char)in->data[i];

		if (c >= 0x80)
			buf_addch(out, (char)(0xc0 | c >> 6));
		buf_addch(out, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
	}
}

static bool is_plain_charset(const char *charset)
{
	return !charset || str_case_eq(charset, "utf-8") ||
	       str_case_eq(charset, "us-ascii");
}

char *mime_text(
    const struct mime_part *part, size_t most, struct arena *arena, size_t *len)
{
	struct buf raw = BUF_INIT, text = BUF_INIT;
	const struct buf *result = &raw;
	size_t mark;
	char *copy;

	start_gmime();
	undo_encoding(encoding_of(part, arena), part->body,
	    part->body_len < most ? part->body_len : most, &raw);
	if (!is_plain_charset(part->type.charset) &&
	    add_converted(part->type.charset, &raw, &text)) {
		result = &text;
	} else if (!str_is_utf8(raw.data, raw.len)) {
		add_latin1(&raw, &text);
		result = &text;
	}
	/* Some editors begin every text with a byte order mark. */
	mark = result->len >= 3 && memcmp(result->data, "\xef\xbb\xbf", 3) == 0
		   ? 3
		   : 0;
	*len = result->len - mark;
	copy = arena_strndup(arena, buf_str(result) + mark, *len);
	buf_release(&raw);
	buf_release(&text);
	return copy;
}
