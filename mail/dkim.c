/*
 * dkim.c - a DKIM-Signature for a message
 */
#include "mail/dkim.h"

#include <ctype.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/digest.h"
#include "base/str.h"
#include "mail/header.h"

#define PIECE 65536
#define LINE 75
#define MOST_HEADER (4 << 20)
#define MOST_INSTANCES 1000 /* of one field, that a signature names */

/* ---- the body (RFC 6376, 3.4.3 and 3.4.4) ---- */

/* Where the canonical bytes go: a sum, or for tests a buffer. */
struct body {
	enum dkim_canon canon;
	struct digest_sum *sum;
	struct buf *copy;
	int64_t length; /* of what went out */
	int64_t ends;   /* line ends that wait: at the end they do not count */
	bool has_cr, has_blank;
};

static void put(struct body *b, const char *p, size_t len)
{
	if (b->sum)
		digest_sum_add(b->sum, p, len);
	if (b->copy)
		buf_add(b->copy, p, len);
	b->length += (int64_t)len;
}

/* What waits is followed by text, so it counts. */
static void flush(struct body *b)
{
	for (; b->ends > 0; b->ends--)
		put(b, "\r\n", 2);
	if (b->has_blank)
		put(b, " ", 1);
	b->has_blank = false;
}

static void end_line(struct body *b)
{
	b->has_cr = false;
	b->has_blank = false; /* relaxed: blanks at its end are nothing */
	b->ends++;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_plain(const struct body *b, char c)
{
	return c != '\r' && !(b->canon == DKIM_RELAXED && is_blank(c));
}

static void add_body(struct body *b, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		const char *start = p;

		if (b->has_cr && *p == '\n') {
			end_line(b);
			p++;
			continue;
		}
		if (b->has_cr) { /* by itself it is text */
			flush(b);
			put(b, "\r", 1);
			b->has_cr = false;
		}
		if (*p == '\r') {
			b->has_cr = true;
			p++;
			continue;
		}
		if (!is_plain(b, *p)) {
			b->has_blank = true;
			p++;
			continue;
		}
		while (p < end && is_plain(b, *p))
			p++;
		flush(b);
		put(b, start, (size_t)(p - start));
	}
}

static void end_body(struct body *b)
{
	if (b->has_cr) {
		flush(b);
		put(b, "\r", 1);
	}
	if (b->length > 0 || b->canon == DKIM_SIMPLE)
		put(b, "\r\n", 2);
}

void dkim_canon_body(
    enum dkim_canon canon, const char *body, size_t len, struct buf *out)
{
	struct body b = {.canon = canon, .copy = out};

	/* Byte by byte: pieces may end anywhere. */
	for (size_t i = 0; i < len; i++)
		add_body(&b, body + i, 1);
	end_body(&b);
}

static bool hash_body(const struct dkim_signer *signer,
    const struct content *content, unsigned char out[32], int64_t *length,
    struct err *err)
{
	struct body b = {.canon = signer->body_canon, .sum = digest_sum_new()};
	const struct content_facts *facts = content_facts(content);
	char piece[PIECE];
	bool ok = true;

	for (int64_t at = facts->header_size; ok && at < facts->size;) {
		int64_t left = facts->size - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		ok = content_read(content, at, piece, n, err);
		if (ok)
			add_body(&b, piece, n);
		at += (int64_t)n;
	}
	end_body(&b);
	digest_sum_end(b.sum, out);
	*length = b.length;
	return ok;
}

/* ---- the header (RFC 6376, 3.4.1 and 3.4.2) ---- */

static void relax(struct buf *out, const char *p, size_t len)
{
	bool has_blank = false, has_text = false;

	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\r' || p[i] == '\n')
			continue;
		if (is_blank(p[i])) {
			has_blank = true;
			continue;
		}
		if (has_blank && has_text)
			buf_addch(out, ' ');
		has_blank = false;
		has_text = true;
		buf_addch(out, p[i]);
	}
}

static void add_field(struct buf *out, enum dkim_canon canon, const char *name,
    size_t name_len, const char *value, size_t value_len)
{
	if (canon == DKIM_SIMPLE) {
		buf_add(out, name, (size_t)(value - name) + value_len);
		return;
	}
	for (size_t i = 0; i < name_len; i++)
		buf_addch(out, (char)tolower((unsigned char)name[i]));
	buf_addch(out, ':');
	relax(out, value, value_len);
}

struct fields {
	struct header_field *items;
	size_t count, size;
};

static size_t count_of(const struct fields *fields, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < fields->count; i++)
		n += header_name_is(&fields->items[i], name);
	return n;
}

/* How often the list has this name; 0: it was there before item `at`. */
static size_t listed(const struct dkim_signer *signer, size_t at)
{
	size_t n = 0;

	for (size_t i = 0; i < signer->header_count; i++) {
		if (!str_case_eq(signer->headers[i], signer->headers[at]))
			continue;
		if (i < at)
			return 0;
		n++;
	}
	return n;
}

static void add_name(struct buf *names, const char *name)
{
	if (names->len > 0)
		buf_addch(names, ':');
	buf_addstr(names, name);
}

/* The fields of one name, the last one first, and `more` that are not there. */
static void add_named(const struct dkim_signer *signer,
    const struct fields *fields, const char *name, size_t more,
    struct buf *hashed, struct buf *names)
{
	for (size_t i = fields->count; i-- > 0;) {
		const struct header_field *f = &fields->items[i];

		if (!header_name_is(f, name))
			continue;
		add_name(names, name);
		add_field(hashed, signer->header_canon, f->name, f->name_len,
		    f->value, f->value_len);
		buf_addstr(hashed, "\r\n");
	}
	for (; more > 0; more--)
		add_name(names, name);
}

/* Fields as they are hashed, and h=. */
static bool add_fields(const struct dkim_signer *signer,
    const struct fields *fields, struct buf *hashed, struct buf *names,
    struct err *err)
{
	for (size_t i = 0; i < signer->header_count; i++) {
		const char *name = signer->headers[i];
		size_t there = count_of(fields, name);
		size_t wanted = listed(signer, i), more = 0;

		if (wanted == 0)
			continue;
		if (there > MOST_INSTANCES)
			return err_set(err, ERR_PERM,
			    "the message has more than %d fields %s",
			    MOST_INSTANCES, name);
		if (wanted > 1 && wanted > there)
			more = wanted - there;
		if (signer->over_sign && more == 0)
			more = 1;
		add_named(signer, fields, name, more, hashed, names);
	}
	return true;
}

/* ---- the signature ---- */

/* "tag=value; " on this line or the next; h= and b= may be broken anywhere. */
static void add_tag(
    struct buf *out, size_t *column, const char *tag, const char *value)
{
	size_t len = strlen(tag) + 1 + strlen(value) + 1;

	if (out->len > 0) {
		buf_addch(out, ';');
		if (*column + len + 2 > LINE) {
			buf_addstr(out, "\r\n\t");
			*column = 8;
		} else {
			buf_addch(out, ' ');
			*column += 2;
		}
	}
	buf_addf(out, "%s=", tag);
	*column += strlen(tag) + 1;
	for (; *value; value++) {
		if (*column >= LINE) {
			/* Before a colon or inside of base64. */
			if (*value == ':' || str_eq(tag, "b") ||
			    str_eq(tag, "bh")) {
				buf_addstr(out, "\r\n\t");
				*column = 8;
			}
		}
		buf_addch(out, *value);
		++*column;
	}
}

static void add_number(
    struct buf *out, size_t *column, const char *tag, int64_t n)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)n);
	add_tag(out, column, tag, text);
}

static const char *canon_name(enum dkim_canon canon)
{
	return canon == DKIM_SIMPLE ? "simple" : "relaxed";
}

/* All but what b= will be. */
static void add_tags(const struct dkim_signer *s, int64_t now,
    const char *names, const unsigned char body_hash[32], int64_t body_length,
    struct buf *out, size_t *column)
{
	struct buf bh = BUF_INIT;
	char canon[32];

	snprintf(canon, sizeof canon, "%s/%s", canon_name(s->header_canon),
	    canon_name(s->body_canon));
	add_tag(out, column, "v", "1");
	add_tag(out, column, "a",
	    sign_key_kind(s->key) == SIGN_RSA ? "rsa-sha256"
					      : "ed25519-sha256");
	add_tag(out, column, "d", s->domain);
	add_tag(out, column, "s", s->selector);
	add_tag(out, column, "c", canon);
	if (s->agent_user_identifier)
		add_tag(out, column, "i", s->agent_user_identifier);
	if (s->atps)
		add_tag(out, column, "atps", s->atps);
	if (s->atpsh)
		add_tag(out, column, "atpsh", s->atpsh);
	if (s->reporting)
		add_tag(out, column, "r", "y");
	add_number(out, column, "t", now);
	if (s->expiration_seconds > 0)
		add_number(out, column, "x", now + s->expiration_seconds);
	if (s->body_length)
		add_number(out, column, "l", body_length);
	add_tag(out, column, "h", names);
	base64_encode(&bh, body_hash, 32);
	add_tag(out, column, "bh", buf_str(&bh));
	add_tag(out, column, "b", "");
	buf_release(&bh);
}

/* Signs the header with the unfinished field, which becomes finished. */
static bool finish(const struct dkim_signer *s, struct buf *hashed,
    struct buf *out, size_t column, struct err *err)
{
	struct buf signature = BUF_INIT, field = BUF_INIT, text = BUF_INIT;
	unsigned char digest[32];
	struct digest_sum *sum;
	bool ok;

	buf_addf(&field, "DKIM-Signature: %s", buf_str(out));
	add_field(hashed, s->header_canon, field.data, 14, field.data + 15,
	    field.len - 15);
	if (sign_key_kind(s->key) == SIGN_ED25519) {
		/* RFC 8463, 3: the hash is what is signed. */
		sum = digest_sum_new();
		digest_sum_add(sum, hashed->data, hashed->len);
		digest_sum_end(sum, digest);
		ok = sign_key_sign(
		    s->key, digest, sizeof digest, &signature, err);
	} else {
		ok = sign_key_sign(
		    s->key, hashed->data, hashed->len, &signature, err);
	}
	if (ok) {
		base64_encode(&text, signature.data, signature.len);
		for (const char *p = buf_str(&text); *p; p++) {
			if (column++ >= LINE) {
				buf_addstr(out, "\r\n\t");
				column = 9;
			}
			buf_addch(out, *p);
		}
	}
	buf_release(&signature);
	buf_release(&field);
	buf_release(&text);
	return ok;
}

/* Prefix and header of the content. */
static bool read_header(const struct message *m, struct arena *arena,
    struct fields *fields, struct err *err)
{
	int64_t size = content_facts(m->content)->header_size;
	struct header_field f;
	size_t len, pos = 0;
	char *block;

	if (size > MOST_HEADER)
		return err_set(err, ERR_PERM,
		    "the header is larger than %d bytes", MOST_HEADER);
	len = m->prefix.len + (size_t)size;
	block = arena_alloc(arena, len + 1);
	if (m->prefix.len > 0)
		memcpy(block, m->prefix.data, m->prefix.len);
	if (!content_read(
		m->content, 0, block + m->prefix.len, (size_t)size, err))
		return false;
	while (header_next(block, len, &pos, &f))
		*ARRAY_ADD(fields) = f;
	return true;
}

bool dkim_sign(const struct dkim_signer *signer, const struct message *m,
    int64_t now, struct buf *out, struct err *err)
{
	struct arena *arena = arena_new(0);
	struct buf hashed = BUF_INIT, names = BUF_INIT, field = BUF_INIT;
	struct fields fields = {NULL, 0, 0};
	unsigned char body_hash[32];
	size_t column = sizeof "DKIM-Signature: " - 1;
	int64_t body_length;
	bool ok = false;

	if (!m->content) {
		err_set(err, ERR_TEMP, "the message has no content here");
		goto out;
	}
	if (!read_header(m, arena, &fields, err))
		goto out;
	if (count_of(&fields, "From") == 0) {
		err_set(err, ERR_PERM, "the message has no From field");
		goto out;
	}
	if (!hash_body(signer, m->content, body_hash, &body_length, err))
		goto out;
	if (!add_fields(signer, &fields, &hashed, &names, err))
		goto out;
	add_tags(signer, now, buf_str(&names), body_hash, body_length, &field,
	    &column);
	ok = finish(signer, &hashed, &field, column, err);
	if (ok)
		buf_add(out, field.data, field.len);
out:
	buf_release(&hashed);
	buf_release(&names);
	buf_release(&field);
	free(fields.items);
	arena_unref(arena);
	return ok;
}

/* ---- what may stand in it ---- */

/* Printable ASCII without blanks and semicolons. */
static bool check_word(const char *what, const char *s, struct err *err)
{
	for (const char *p = s; p && *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == ';')
			return err_set(err, ERR_CONFIG,
			    "%s: invalid value: \"%s\"", what, s);
	return !s || *s ||
	       err_set(err, ERR_CONFIG, "%s: invalid value: it is empty", what);
}

/* i= is an address in the domain or below it. */
static bool check_identity(const struct dkim_signer *s, struct err *err)
{
	const char *i = s->agent_user_identifier, *at, *host;

	if (!i)
		return true;
	at = strrchr(i, '@');
	host = at ? at + 1 : "";
	if (str_case_eq(host, s->domain))
		return true;
	if (strlen(host) > strlen(s->domain) + 1) {
		const char *tail = host + strlen(host) - strlen(s->domain);

		if (tail[-1] == '.' && str_case_eq(tail, s->domain))
			return true;
	}
	return err_set(err, ERR_CONFIG,
	    "agent_user_identifier: invalid value: \"%s\" is not in %s", i,
	    s->domain);
}

bool dkim_check(const struct dkim_signer *s, struct err *err)
{
	bool has_from = false;

	if (!check_word("domain", s->domain, err) ||
	    !check_word("selector", s->selector, err) ||
	    !check_word("atps", s->atps, err) ||
	    !check_word("atpsh", s->atpsh, err) ||
	    !check_word(
		"agent_user_identifier", s->agent_user_identifier, err) ||
	    !check_identity(s, err))
		return false;
	for (size_t i = 0; i < s->header_count; i++) {
		if (!check_word("headers", s->headers[i], err))
			return false;
		if (strchr(s->headers[i], ':'))
			return err_set(err, ERR_CONFIG,
			    "headers: invalid value: \"%s\"", s->headers[i]);
		if (str_case_eq(s->headers[i], "DKIM-Signature"))
			return err_set(err, ERR_CONFIG,
			    "headers: invalid value: a signature does not "
			    "sign DKIM-Signature");
		has_from = has_from || str_case_eq(s->headers[i], "From");
	}
	return has_from || err_set(err, ERR_CONFIG,
			       "headers: invalid value: From must be signed");
}
