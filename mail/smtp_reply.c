/*
 * smtp_reply.c - code, enhanced code, text
 *
 * The parser reads byte by byte into one line of bounded length and joins the
 * lines of a reply with '\n'.  What goes beyond the bounds is read and dropped,
 * so that a talkative peer is still understood; a peer without end is not.
 */
#include "mail/smtp_reply.h"

#include <stdarg.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length of an enhanced code at the start of text, 0: there is none. */
static size_t read_enhanced(
    const char *text, size_t len, int code, int enhanced[3])
{
	int parts[3] = {0};
	size_t i = 0, digits;

	for (int part = 0; part < 3; part++) {
		if (part > 0 && (i >= len || text[i++] != '.'))
			return 0;
		for (digits = 0; i < len && is_digit(text[i]) && digits < 4;
		     i++, digits++)
			parts[part] = parts[part] * 10 + (text[i] - '0');
		if (digits == 0 || digits > (part == 0 ? 1u : 3u))
			return 0;
	}
	if (i < len && text[i] != ' ' && text[i] != '\n')
		return 0;
	if (parts[0] != code / 100 ||
	    (parts[0] != 2 && parts[0] != 4 && parts[0] != 5))
		return 0;
	memcpy(enhanced, parts, sizeof parts);
	return i;
}

struct smtp_reply smtp_reply_make(
    struct arena *arena, int code, const char *enhanced, const char *fmt, ...)
{
	struct smtp_reply reply = {.code = code};
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (enhanced)
		(void)read_enhanced(
		    enhanced, strlen(enhanced), code, reply.enhanced);
	reply.text = arena_strndup(arena, buf_str(&text), text.len);
	buf_release(&text);
	return reply;
}

bool smtp_reply_ok(const struct smtp_reply *r)
{
	return r->code / 100 == 2;
}

/* Servers repeat the enhanced code on every line (RFC 2034, 4). */
struct smtp_reply smtp_reply_from_text(
    struct arena *arena, int code, const char *text, size_t len)
{
	struct smtp_reply reply = {.code = code};
	const char *end = text + len, *line, *newline;
	struct buf out = BUF_INIT;

	for (line = text; line < end; line = newline + 1) {
		int enhanced[3] = {0};
		size_t skip;

		newline = memchr(line, '\n', (size_t)(end - line));
		if (!newline)
			newline = end;
		skip = read_enhanced(
		    line, (size_t)(newline - line), code, enhanced);
		if (skip && line == text)
			memcpy(reply.enhanced, enhanced, sizeof enhanced);
		if (memcmp(reply.enhanced, enhanced, sizeof enhanced) != 0)
			skip = 0;
		line += skip;
		if (skip && line < newline)
			line++; /* the space */
		buf_add(&out, line, (size_t)(newline - line));
		if (newline < end)
			buf_addch(&out, '\n');
	}
	reply.text = arena_strndup(arena, buf_str(&out), out.len);
	buf_release(&out);
	return reply;
}

void smtp_reply_one_line(struct buf *out, const struct smtp_reply *r)
{
	buf_addint(out, r->code);
	if (smtp_reply_has_enhanced(r))
		buf_addf(out, " %d.%d.%d", r->enhanced[0], r->enhanced[1],
		    r->enhanced[2]);
	if (!r->text || !*r->text)
		return;
	buf_addch(out, ' ');
	for (const char *p = r->text; *p; p++) {
		if (*p == '\n')
			buf_addstr(out, "\\r\\n");
		else
			buf_addch(out, *p);
	}
}

bool smtp_reply_has_enhanced(const struct smtp_reply *r)
{
	return r->enhanced[0] != 0;
}

void smtp_reply_dsn(char out[16], const struct smtp_reply *r)
{
	int class = r->code / 100;

	if (smtp_reply_has_enhanced(r))
		(void)snprintf(out, 16, "%d.%d.%d", r->enhanced[0] % 10,
		    r->enhanced[1] % 1000, r->enhanced[2] % 1000);
	else
		(void)snprintf(
		    out, 16, "%d.0.0", class == 2 || class == 5 ? class : 4);
}

struct smtp_reply smtp_reply_copy(
    struct arena *arena, const struct smtp_reply *r)
{
	struct smtp_reply copy = *r;

	copy.text = arena_strdup(arena, r->text);
	copy.command = arena_strdup(arena, r->command);
	return copy;
}

struct smtp_reply_parser {
	struct buf
	    line; /* at most SMTP_REPLY_LINE_MOST bytes of the current one */
	struct buf text; /* of the reply so far */
	size_t lines, bytes;
	int code; /* of the lines before; 0: none yet */
};

struct smtp_reply_parser *smtp_reply_parser_new(void)
{
	return xcalloc(1, sizeof(struct smtp_reply_parser));
}

void smtp_reply_parser_free(struct smtp_reply_parser *p)
{
	if (!p)
		return;
	buf_release(&p->line);
	buf_release(&p->text);
	free(p);
}

static void start_over(struct smtp_reply_parser *p)
{
	buf_reset(&p->line);
	buf_reset(&p->text);
	p->lines = p->bytes = 0;
	p->code = 0;
}

/* Appends what of a peer's text may be shown, as far as there is room. */
static void add_text(struct smtp_reply_parser *p, const char *s, size_t len)
{
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		unsigned char c = (unsigned char)s[i];

		step = str_utf8_step(s + i, len - i);
		if (p->text.len + (step ? step : 1) > SMTP_REPLY_TEXT_MAX)
			return;
		if (c == '\t') {
			buf_addch(&p->text, ' ');
		} else if (!step || c < ' ' || c == 0x7f) {
			step = 1;
			buf_addch(&p->text, '?');
		} else {
			buf_add(&p->text, s + i, step);
		}
	}
}

static bool malformed(struct smtp_reply_parser *p, struct err *err)
{
	char quoted[120];

	(void)err_set(err, ERR_TEMP, "malformed SMTP reply \"%s\"",
	    diag_quote(quoted, sizeof quoted, buf_str(&p->line), p->line.len));
	return false;
}

/* Takes the line in p->line; *last: the reply ends with it. */
static bool take_line(struct smtp_reply_parser *p, bool *last, struct err *err)
{
	const char *s;
	size_t len;
	int code;

	while (p->line.len && p->line.data[p->line.len - 1] == '\r')
		p->line.data[--p->line.len] = '\0';
	s = buf_str(&p->line);
	len = p->line.len;
	if (len < 3 || s[0] < '2' || s[0] > '5' || !is_digit(s[1]) ||
	    !is_digit(s[2]) || (len > 3 && s[3] != ' ' && s[3] != '-'))
		return malformed(p, err);
	code = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
	/* Codes that differ only in detail have been seen: the last counts. */
	if (p->code && p->code / 100 != code / 100)
		return malformed(p, err);
	p->code = code;
	*last = len == 3 || s[3] == ' ';
	if (p->lines++ < SMTP_REPLY_LINES_MOST) {
		if (p->lines > 1 && p->text.len < SMTP_REPLY_TEXT_MAX)
			buf_addch(&p->text, '\n');
		if (len > 4)
			add_text(p, s + 4, len - 4);
	}
	buf_reset(&p->line);
	return true;
}

enum smtp_parse smtp_reply_parse(struct smtp_reply_parser *p, const char *data,
    size_t len, size_t *used, struct arena *arena, struct smtp_reply *out,
    struct err *err)
{
	const char *at = data, *end = data + len;
	bool last = false;

	*used = len;
	while (at < end) {
		const char *lf = memchr(at, '\n', (size_t)(end - at));
		size_t piece = (size_t)((lf ? lf : end) - at);
		size_t room = SMTP_REPLY_LINE_MOST - p->line.len;

		p->bytes += piece + 1;
		if (p->bytes > SMTP_REPLY_MOST) {
			(void)err_set(err, ERR_TEMP, "SMTP reply without end");
			return SMTP_PARSE_BAD;
		}
		buf_add(&p->line, at, piece < room ? piece : room);
		if (!lf)
			return SMTP_PARSE_MORE;
		at = lf + 1;
		if (!take_line(p, &last, err))
			return SMTP_PARSE_BAD;
		if (!last)
			continue;
		*used = (size_t)(at - data);
		*out = smtp_reply_from_text(
		    arena, p->code, buf_str(&p->text), p->text.len);
		start_over(p);
		return SMTP_PARSE_REPLY;
	}
	return SMTP_PARSE_MORE;
}
