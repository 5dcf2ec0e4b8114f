/*
 * content.c - the bytes of a message, wherever they are
 *
 * A builder holds everything in one growing block until spill_at; then the
 * block goes to an unlinked file, and from there on only a write buffer of
 * WRITE_BUFFER bytes stays in memory.
 *
 * The facts are found while the bytes pass.  Lines are found with memchr(3);
 * the state between two calls is the length of the line so far, its first
 * bytes (to recognise Received) and whether its last byte was a CR.
 */
#include "mail/content.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"

#define WRITE_BUFFER ((size_t)64 * 1024)
#define FIRST_BLOCK ((size_t)4 * 1024)

struct content {
	atomic_int refs;
	struct content_facts facts;
	char *bytes; /* NULL: in fd */
	int fd;
};

static const char received[] = "received:";
#define NAME_LEN (sizeof received - 1)

struct scan {
	int64_t offset;      /* bytes seen */
	int64_t line;        /* bytes of this line so far */
	char name[NAME_LEN]; /* the first of them, in the header block */
	bool in_body;
	bool after_cr; /* the last byte was CR */
};

struct content_builder {
	struct content_facts facts;
	struct scan scan;
	char *spill_dir;
	int64_t spill_at;
	char *block; /* all bytes, or after the spill those not written yet */
	size_t used, size;
	int fd; /* -1: not spilt */
};

static bool has_8bit(const char *p, size_t len)
{
	return !str_is_ascii(p, len);
}

/* The end of a line that has `length` bytes without its line end. */
static void end_line(struct scan *s, struct content_facts *f, int64_t length)
{
	if (length > f->longest_line)
		f->longest_line = length;
	if (s->in_body)
		return;
	if (length == 0) {
		s->in_body = true;
		f->header_size = s->offset;
	} else if (length >= (int64_t)NAME_LEN &&
		   str_ncase_eq(s->name, received, NAME_LEN)) {
		f->received_headers++;
	}
}

static void note_header_bytes(
    struct scan *s, struct content_facts *f, const char *p, size_t len)
{
	if (s->in_body)
		return;
	for (size_t i = 0; i < len && s->line + (int64_t)i < (int64_t)NAME_LEN;
	     i++)
		s->name[s->line + (int64_t)i] = p[i];
	if (!f->header_has_8bit && has_8bit(p, len))
		f->header_has_8bit = true;
}

/* `len` bytes without LF, and whether an LF follows them. */
static void scan_piece(
    struct scan *s, struct content_facts *f, const char *p, size_t len, bool lf)
{
	bool ends_in_cr = len ? p[len - 1] == '\r' : s->after_cr;

	if (s->after_cr && len)
		f->has_bare_cr_or_lf = true;
	if (len && !f->has_bare_cr_or_lf &&
	    memchr(p, '\r', len - (ends_in_cr ? 1 : 0)))
		f->has_bare_cr_or_lf = true;
	note_header_bytes(s, f, p, len);
	s->line += (int64_t)len;
	s->offset += (int64_t)len;
	if (!lf) {
		s->after_cr = ends_in_cr;
		return;
	}
	s->offset++;
	if (!ends_in_cr)
		f->has_bare_cr_or_lf = true;
	end_line(s, f, s->line - (ends_in_cr ? 1 : 0));
	s->line = 0;
	s->after_cr = false;
}

static void scan_bytes(
    struct scan *s, struct content_facts *f, const char *p, size_t len)
{
	const char *end = p + len, *lf;

	if (!f->has_8bit)
		f->has_8bit = has_8bit(p, len);
	if (!f->has_nul)
		f->has_nul = memchr(p, '\0', len) != NULL;
	for (; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf) {
			scan_piece(s, f, p, (size_t)(end - p), false);
			break;
		}
		scan_piece(s, f, p, (size_t)(lf - p), true);
	}
	f->size = s->offset;
}

static void scan_end(struct scan *s, struct content_facts *f)
{
	if (s->after_cr)
		f->has_bare_cr_or_lf = true;
	if (s->line > 0)
		end_line(s, f, s->line);
	if (!s->in_body)
		f->header_size = s->offset;
	f->size = s->offset;
}

struct content_builder *content_builder_new(
    const char *spill_dir, int64_t spill_at)
{
	struct content_builder *b = xcalloc(1, sizeof *b);

	b->spill_dir = xstrdup(spill_dir);
	b->spill_at = spill_at;
	b->fd = -1;
	return b;
}

static bool flush(struct content_builder *b, struct err *err)
{
	if (!fd_write_all(b->fd, b->block, b->used, "message content", err))
		return false;
	b->used = 0;
	return true;
}

static bool spill(struct content_builder *b, struct err *err)
{
	b->fd = fd_unlinked(b->spill_dir, err);
	if (b->fd < 0 || !flush(b, err))
		return false;
	/* A new block: realloc would keep the pages of the old one in use. */
	free(b->block);
	b->block = xmalloc(WRITE_BUFFER);
	b->size = WRITE_BUFFER;
	return true;
}

static void make_room(struct content_builder *b, size_t len)
{
	size_t want = b->used + len;

	invariant(want >= len);
	if (want <= b->size)
		return;
	if (want < b->size * 2)
		want = b->size * 2;
	if (want < FIRST_BLOCK)
		want = FIRST_BLOCK;
	b->block = xrealloc(b->block, want);
	b->size = want;
}

bool content_builder_add(
    struct content_builder *b, const void *p, size_t len, struct err *err)
{
	if (!len)
		return true;
	scan_bytes(&b->scan, &b->facts, p, len);
	if (b->fd < 0 && b->facts.size >= b->spill_at && !spill(b, err))
		return false;
	if (b->fd < 0) {
		make_room(b, len);
	} else if (b->used + len > b->size) {
		if (!flush(b, err))
			return false;
		if (len >= b->size)
			return fd_write_all(
			    b->fd, p, len, "message content", err);
	}
	memcpy(b->block + b->used, p, len);
	b->used += len;
	return true;
}

int64_t content_builder_size(const struct content_builder *b)
{
	return b->facts.size;
}

struct content *content_builder_finish(
    struct content_builder *b, struct err *err)
{
	struct content *c = NULL;

	scan_end(&b->scan, &b->facts);
	if (b->fd >= 0 && !flush(b, err))
		goto out;
	c = xcalloc(1, sizeof *c);
	atomic_init(&c->refs, 1);
	c->facts = b->facts;
	c->fd = b->fd;
	b->fd = -1;
	if (c->fd < 0) {
		c->bytes = xrealloc(b->block, b->used);
		b->block = NULL;
	}
out:
	content_builder_free(b);
	return c;
}

void content_builder_free(struct content_builder *b)
{
	if (!b)
		return;
	if (b->fd >= 0)
		(void)close(b->fd);
	free(b->block);
	free(b->spill_dir);
	free(b);
}

struct content *content_from_bytes(const void *p, size_t len)
{
	struct content *c = xcalloc(1, sizeof *c);
	struct scan scan = {0};

	atomic_init(&c->refs, 1);
	c->fd = -1;
	c->bytes = xmemdup(p, len);
	if (len)
		scan_bytes(&scan, &c->facts, c->bytes, len);
	scan_end(&scan, &c->facts);
	return c;
}

struct content *content_ref(struct content *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void content_unref(struct content *c)
{
	if (!c ||
	    atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->bytes);
	free(c);
}

const struct content_facts *content_facts(const struct content *c)
{
	return &c->facts;
}

bool content_read(const struct content *c, int64_t offset, void *out,
    size_t len, struct err *err)
{
	char *to = out;

	invariant(offset >= 0 && offset <= c->facts.size &&
		  len <= (uint64_t)(c->facts.size - offset));
	if (!len)
		return true;
	if (c->bytes) {
		memcpy(to, c->bytes + offset, len);
		return true;
	}
	while (len > 0) {
		ssize_t n = pread(c->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_TEMP, "read message content");
		if (n == 0)
			return err_set(err, ERR_TEMP,
			    "message content: file is too short");
		to += n;
		offset += n;
		len -= (size_t)n;
	}
	return true;
}

const void *content_bytes(const struct content *c)
{
	return c->bytes;
}
