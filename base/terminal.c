/*
 * terminal.c - text of strangers, fit for a terminal
 */
#include "base/terminal.h"

#include <stdarg.h>
#include <string.h>

#include "base/str.h"

static uint32_t code_point(const char *s, size_t len)
{
	static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)s[0] & masks[len];

	for (size_t i = 1; i < len; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	return c;
}

bool terminal_obeys(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

size_t terminal_step(const char *s, size_t len)
{
	size_t step = str_utf8_step(s, len);

	return step && !terminal_obeys(code_point(s, step)) ? step : 0;
}

/* What is no plain character, escaped; its length. */
static size_t escape(struct buf *out, const char *s, size_t len)
{
	size_t step = str_utf8_step(s, len);

	if (step > 1) {
		buf_addf(out, "\\u{%04x}", (unsigned)code_point(s, step));
		return step;
	}
	buf_addf(out, "\\x%02x", (unsigned char)*s);
	return 1;
}

void terminal_add(struct buf *out, const char *s, size_t len)
{
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		step = terminal_step(s + i, len - i);
		if (step)
			buf_add(out, s + i, step);
		else
			step = escape(out, s + i, len - i);
	}
}

void terminal_add_lines(struct buf *out, const char *s, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && s[i] != '\r' && s[i] != '\n' && s[i] != '\t')
			continue;
		terminal_add(out, s + start, i - start);
		start = i + 1;
		if (i < len && s[i] != '\r')
			buf_addch(out, s[i]);
	}
}

void terminal_add_json(struct buf *out, const char *json, size_t len)
{
	size_t step;

	for (size_t i = 0; i < len; i += step) {
		step = terminal_step(json + i, len - i);
		if (step) {
			buf_add(out, json + i, step);
			continue;
		}
		step = str_utf8_step(json + i, len - i);
		buf_addf(out, "\\u%04x",
		    step ? (unsigned)code_point(json + i, step) : 0xfffdU);
		step += !step;
	}
}

/* ---- there and back ---- */

/* Hexadecimal digits as escape() writes them; how many. */
static size_t read_hex(const char *s, size_t most, uint32_t *out)
{
	size_t n = 0;

	*out = 0;
	for (; n < most; n++) {
		if (s[n] >= '0' && s[n] <= '9')
			*out = *out << 4 | (uint32_t)(s[n] - '0');
		else if (s[n] >= 'a' && s[n] <= 'f')
			*out = *out << 4 | (uint32_t)(s[n] - 'a' + 10);
		else
			break;
	}
	return n;
}

/* All that terminal_obeys() has no more than four digits. */
static size_t put_utf8(uint32_t c, char out[3])
{
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* One of ours at s: its length, and what it stands for; 0: it is none. */
static size_t read_escape(const char *s, char out[3], size_t *out_len)
{
	uint32_t c;

	if (s[0] == '\\' && s[1] == 'x' && read_hex(s + 2, 2, &c) == 2 &&
	    (c == '\\' || (c > 0 && c < 0x20) || c >= 0x7f)) {
		out[0] = (char)c;
		*out_len = 1;
		return 4;
	}
	if (s[0] == '\\' && s[1] == 'u' && s[2] == '{' &&
	    read_hex(s + 3, 4, &c) == 4 && s[7] == '}' && c >= 0x80 &&
	    terminal_obeys(c)) {
		*out_len = put_utf8(c, out);
		return 8;
	}
	return 0;
}

void terminal_add_exact(struct buf *out, const char *s, size_t len)
{
	const char *end = s + len;
	char what[3];
	size_t n;

	for (;;) {
		const char *slash = memchr(s, '\\', (size_t)(end - s));
		char next[9] = "";

		terminal_add(
		    out, s, slash ? (size_t)(slash - s) : (size_t)(end - s));
		if (!slash)
			return;
		n = (size_t)(end - slash);
		memcpy(next, slash, n < 8 ? n : 8);
		buf_addstr(out, read_escape(next, what, &n) ? "\\x5c" : "\\");
		s = slash + 1;
	}
}

void terminal_restore(char *text)
{
	char *to = text, what[3];
	size_t step, n;

	for (const char *from = text; *from; from += step) {
		step = read_escape(from, what, &n);
		if (step) {
			memcpy(to, what, n);
			to += n;
			continue;
		}
		*to++ = *from;
		step = 1;
	}
	*to = '\0';
}

/* ---- streams ---- */

static void write_with(FILE *out, const char *s, size_t len,
    void (*add)(struct buf *, const char *, size_t))
{
	struct buf text = BUF_INIT;

	add(&text, s, len);
	if (text.len)
		(void)fwrite(text.data, 1, text.len, out);
	buf_release(&text);
}

void terminal_write(FILE *out, const char *s, size_t len)
{
	write_with(out, s, len, terminal_add);
}

void terminal_write_lines(FILE *out, const char *s, size_t len)
{
	write_with(out, s, len, terminal_add_lines);
}

void terminal_printf(FILE *out, const char *fmt, ...)
{
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	terminal_write_lines(out, buf_str(&text), text.len);
	buf_release(&text);
}
