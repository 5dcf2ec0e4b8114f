/*
 * header.c - the header block of a message, field by field
 *
 *	field        = name *WSP ":" value *( line-end WSP value ) line-end
 *	encoded-word = "=?" charset [ "*" lang ] "?" ( "B" / "Q" ) "?" text "?="
 *
 * White space between two encoded words is not shown (RFC 2047, 6.2), and two
 * of the same charset are decoded together, since senders split characters
 * between them.  A word that cannot be decoded stays as it is.
 */
#include "mail/header.h"

#include <errno.h>
#include <iconv.h>

#include "base/base64.h"
#include "base/str.h"

#define CHARSET_MOST 40

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* After the line that begins at `at`. */
static size_t next_line(const char *block, size_t len, size_t at)
{
	const char *lf = memchr(block + at, '\n', len - at);

	return lf ? (size_t)(lf - block) + 1 : len;
}

static bool is_empty_line(const char *block, size_t len, size_t at)
{
	return block[at] == '\n' ||
	       (block[at] == '\r' && at + 1 < len && block[at + 1] == '\n');
}

static bool read_field(
    const char *block, size_t begin, size_t end, struct header_field *out)
{
	size_t name_end = begin, colon, value_end = end;

	while (name_end < end && (unsigned char)block[name_end] > ' ' &&
	       (unsigned char)block[name_end] < 0x7f && block[name_end] != ':')
		name_end++;
	for (colon = name_end; colon < end && is_blank(block[colon]); colon++)
		;
	if (name_end == begin || colon == end || block[colon] != ':')
		return false;
	if (value_end > colon + 1 && block[value_end - 1] == '\n')
		value_end--;
	if (value_end > colon + 1 && block[value_end - 1] == '\r')
		value_end--;
	*out = (struct header_field){
	    .name = block + begin,
	    .name_len = name_end - begin,
	    .value = block + colon + 1,
	    .value_len = value_end - colon - 1,
	    .offset = begin,
	    .len = end - begin,
	};
	return true;
}

bool header_next(
    const char *block, size_t len, size_t *pos, struct header_field *out)
{
	while (*pos < len && !is_empty_line(block, len, *pos)) {
		size_t begin = *pos;

		*pos = next_line(block, len, begin);
		while (*pos < len && is_blank(block[*pos]))
			*pos = next_line(block, len, *pos);
		if (read_field(block, begin, *pos, out))
			return true;
	}
	return false;
}

bool header_name_is(const struct header_field *f, const char *name)
{
	return f->name_len == strlen(name) &&
	       str_ncase_eq(f->name, name, f->name_len);
}

struct word {
	char charset[CHARSET_MOST + 1];
	bool base64;
	const char *text;
	size_t text_len;
	const char *end; /* after "?=" */
};

static bool read_charset(struct word *w, const char *p, const char *end)
{
	size_t len = (size_t)(end - p);
	const char *lang = memchr(p, '*', len);

	if (lang)
		len = (size_t)(lang - p);
	if (len == 0 || len > CHARSET_MOST)
		return false;
	/* Nothing that iconv(3) takes for an option, such as "//IGNORE". */
	for (size_t i = 0; i < len; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') ||
			(p[i] >= 'A' && p[i] <= 'Z') ||
			(p[i] >= '0' && p[i] <= '9') || p[i] == '-' ||
			p[i] == '_' || p[i] == '.' || p[i] == ':'))
			return false;
	memcpy(w->charset, p, len);
	w->charset[len] = '\0';
	return true;
}

static bool read_word(const char *p, const char *end, struct word *out)
{
	const char *charset_end, *text;

	if (end - p < 8 || p[0] != '=' || p[1] != '?')
		return false;
	charset_end = memchr(p + 2, '?', (size_t)(end - p - 2));
	if (!charset_end || end - charset_end < 5 || charset_end[2] != '?' ||
	    !read_charset(out, p + 2, charset_end))
		return false;
	out->base64 = charset_end[1] == 'B' || charset_end[1] == 'b';
	if (!out->base64 && charset_end[1] != 'Q' && charset_end[1] != 'q')
		return false;
	text = charset_end + 3;
	out->text = text;
	for (; text + 1 < end; text++) {
		if (is_blank(*text))
			return false;
		if (text[0] == '?' && text[1] == '=') {
			out->text_len = (size_t)(text - out->text);
			out->end = text + 2;
			return true;
		}
	}
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_q(struct buf *out, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '_') {
			buf_addch(out, ' ');
		} else if (p[i] != '=') {
			buf_addch(out, p[i]);
		} else {
			int high = i + 2 < len ? hex_digit(p[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			buf_addch(out, (char)(high << 4 | low));
			i += 2;
		}
	}
	return true;
}

static void add_latin1(struct buf *out, const struct buf *in)
{
	for (size_t i = 0; i < in->len; i++) {
		unsigned char c = (unsigned char)in->data[i];

		if (c < 0x80) {
			buf_addch(out, (char)c);
		} else {
			buf_addch(out, (char)(0xc0 | c >> 6));
			buf_addch(out, (char)(0x80 | (c & 0x3f)));
		}
	}
}

static bool add_by_iconv(
    struct buf *out, const char *charset, const struct buf *in)
{
	iconv_t cd = iconv_open("UTF-8", charset);
	size_t before = out->len, left = in->len;
	char *from = in->data, chunk[512];
	bool ok = true;

	if (cd == (iconv_t)-1)
		return false;
	while (ok && left > 0) {
		char *to = chunk;
		size_t room = sizeof chunk;

		if (iconv(cd, &from, &left, &to, &room) == (size_t)-1 &&
		    errno != E2BIG)
			ok = false;
		buf_add(out, chunk, sizeof chunk - room);
	}
	(void)iconv_close(cd);
	if (!ok && out->data) {
		out->len = before;
		out->data[before] = '\0';
	}
	return ok;
}

static bool add_charset(
    struct buf *out, const char *charset, const struct buf *in)
{
	bool plain =
	    str_case_eq(charset, "UTF-8") || str_case_eq(charset, "US-ASCII");

	if (in->len == 0)
		return true;
	if (plain) {
		if (!str_is_utf8(in->data, in->len))
			return false;
		buf_add(out, in->data, in->len);
		return true;
	}
	if (str_case_eq(charset, "ISO-8859-1")) {
		add_latin1(out, in);
		return true;
	}
	return add_by_iconv(out, charset, in);
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* Decodes the run of words of one charset that begins at p; the end of the run,
 * or NULL when it cannot be decoded or is none. */
static const char *add_words(struct buf *out, const char *p, const char *end)
{
	struct buf bytes = BUF_INIT;
	struct word first, word;
	const char *run_end = NULL;

	if (!read_word(p, end, &first))
		return NULL;
	word = first;
	do {
		if (!(word.base64
			    ? base64_decode(&bytes, word.text, word.text_len)
			    : decode_q(&bytes, word.text, word.text_len))) {
			run_end = NULL;
			break;
		}
		run_end = word.end;
	} while (read_word(skip_blanks(run_end, end), end, &word) &&
		 str_case_eq(word.charset, first.charset));
	if (run_end && !add_charset(out, first.charset, &bytes))
		run_end = NULL;
	buf_release(&bytes);
	return run_end;
}

static void unfold(struct buf *out, const struct header_field *f)
{
	const char *p = f->value, *end = p + f->value_len;

	p = skip_blanks(p, end);
	buf_reserve(out, f->value_len);
	for (; p < end; p++)
		if (*p != '\n' &&
		    !(*p == '\r' && (p + 1 == end || p[1] == '\n')))
			buf_addch(out, *p);
	while (out->len && is_blank(out->data[out->len - 1]))
		out->data[--out->len] = '\0';
}

char *header_decode(const struct header_field *f, struct arena *arena)
{
	struct buf raw = BUF_INIT, out = BUF_INIT;
	const char *p, *end, *after, *blanks;
	bool after_word = false;
	char *result;

	unfold(&raw, f);
	p = skip_blanks(buf_str(&raw), buf_str(&raw) + raw.len);
	end = buf_str(&raw) + raw.len;
	buf_reserve(&out, raw.len);
	while (p < end) {
		blanks = p;
		p = skip_blanks(p, end);
		after = NULL;
		if (end - p > 1 && p[0] == '=' && p[1] == '?') {
			size_t mark = out.len;

			/* Blanks are kept unless a word stands on both sides.
			 */
			if (!after_word)
				buf_add(&out, blanks, (size_t)(p - blanks));
			after = add_words(&out, p, end);
			if (!after)
				out.len = mark;
		}
		after_word = after != NULL;
		if (after) {
			p = after;
			continue;
		}
		for (after = p; after < end && !is_blank(*after); after++)
			if (after > p && after[0] == '=' && after + 1 < end &&
			    after[1] == '?')
				break;
		buf_add(&out, blanks, (size_t)(after - blanks));
		p = after;
	}
	result = arena_strndup(arena, buf_str(&out), out.len);
	buf_release(&raw);
	buf_release(&out);
	return result;
}
