/*
 * header_encode.c - any text as the value of a header field
 *
 * Plain ASCII is folded at its blanks; anything else becomes encoded words in
 * UTF-8, form Q, each on a line of its own (RFC 2047, 2: at most 75 characters,
 * and no character is cut apart).
 */
#include "base/str.h"
#include "mail/header.h"

#define LINE 75
#define WORD_START "=?utf-8?q?"
#define WORD_END "?="

static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' ||
		    (unsigned char)text[i] >= 0x7f ||
		    (text[i] == '=' && i + 1 < len && text[i + 1] == '?'))
			return false;
	/* Blanks at the ends would not survive. */
	return len == 0 || (text[0] != ' ' && text[len - 1] != ' ');
}

/* Before a blank that is followed by a word which does not fit any more. */
static void fold(struct buf *out, const char *text, size_t len, size_t column)
{
	for (size_t i = 0; i < len; i++) {
		size_t end = i + 1;

		while (end < len && text[end] != ' ')
			end++;
		if (text[i] == ' ' && text[i + 1] != ' ' &&
		    column + (end - i) > LINE) {
			buf_addstr(out, "\r\n");
			column = 0;
		}
		buf_add(out, text + i, end - i);
		column += end - i;
		i = end - 1;
	}
}

static void encode_character(struct buf *out, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c == ' ')
			buf_addch(out, '_');
		else if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			 (c >= 'a' && c <= 'z') || (c && strchr("!*+-/", c)))
			buf_addch(out, (char)c);
		else
			buf_addf(out, "=%02X", c);
	}
}

bool header_encode(const char *name, const char *text, size_t len,
    struct buf *out, struct err *err)
{
	size_t column = strlen(name) + 2, start;
	struct buf one = BUF_INIT;

	if (!str_is_utf8(text, len) || memchr(text, '\0', len))
		return err_set(err, ERR_PERM, "the value is not UTF-8");
	if (is_plain(text, len)) {
		fold(out, text, len, column);
		return true;
	}
	start = out->len;
	buf_addstr(out, WORD_START);
	for (size_t i = 0; i < len;) {
		size_t step = str_utf8_step(text + i, len - i);

		buf_reset(&one);
		encode_character(&one, text + i, step);
		if (column + (out->len - start) + one.len + strlen(WORD_END) >
		    LINE) {
			buf_addstr(out, WORD_END "\r\n ");
			column = 1;
			start = out->len;
			buf_addstr(out, WORD_START);
		}
		buf_add(out, one.data, one.len);
		i += step;
	}
	buf_addstr(out, WORD_END);
	buf_release(&one);
	return true;
}
