/*
 * log_read.c - records from the files that log_segment.h writes
 */
#include "logs/log_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/xalloc.h"
#include "logs/log_segment.h"

/* A record is some kilobytes; this is for a file that is not ours. */
#define LINE_MOST ((size_t)16 << 20)

/* What a zstd frame begins with (RFC 8878, 3.1.1); no text does. */
static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

enum packing { PACKING_UNKNOWN, PACKING_ZSTD, PACKING_NONE };

struct log_reader {
	char *path;
	int fd;
	enum packing packing;
	ZSTD_DCtx *zstd;
	char in[65536];
	ZSTD_inBuffer unread;
	struct buf text; /* decompressed, not yet returned */
	size_t returned; /* bytes of text that were */
	size_t searched; /* bytes of text without a newline after returned */
	bool frame_open;
};

struct log_reader *log_reader_open(const char *path, struct err *err)
{
	struct log_reader *r;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		(void)err_errno(err,
		    errno == ENOENT || errno == EACCES ? ERR_PERM : ERR_TEMP,
		    "open %s", path);
		return NULL;
	}
	r = xcalloc(1, sizeof *r);
	r->path = xstrdup(path);
	r->fd = fd;
	r->zstd = ZSTD_createDCtx();
	if (!r->zstd)
		diag_panic("zstd: no memory for a decompressor");
	r->unread.src = r->in;
	return r;
}

void log_reader_close(struct log_reader *r)
{
	if (!r)
		return;
	(void)close(r->fd);
	(void)ZSTD_freeDCtx(r->zstd);
	buf_release(&r->text);
	free(r->path);
	free(r);
}

bool log_reader_whole(const struct log_reader *r)
{
	return !r->frame_open && r->text.len == r->returned;
}

bool log_reader_finished(const struct log_reader *r)
{
	struct stat st;

	return fstat(r->fd, &st) == 0 &&
	       (!(st.st_mode & S_IWUSR) || st.st_nlink == 0);
}

static bool take_line(struct log_reader *r, const char **line, size_t *len)
{
	const char *from = buf_str(&r->text) + r->returned;
	size_t have = r->text.len - r->returned;
	const char *newline =
	    memchr(from + r->searched, '\n', have - r->searched);

	if (!newline) {
		r->searched = have;
		return false;
	}
	*line = from;
	*len = (size_t)(newline - from);
	r->returned += *len + 1;
	r->searched = 0;
	return true;
}

/* What zstd already has is asked for before more is read: it may hold back
 * output when ours had no room. */
static enum log_read decompress(struct log_reader *r, struct err *err)
{
	for (;;) {
		ZSTD_outBuffer out;
		size_t rc, before = r->unread.pos;

		buf_reserve(&r->text, ZSTD_DStreamOutSize());
		out = (ZSTD_outBuffer){r->text.data + r->text.len,
		    r->text.size - r->text.len - 1, 0};
		rc = ZSTD_decompressStream(r->zstd, &out, &r->unread);
		if (ZSTD_isError(rc)) {
			(void)err_set(err, ERR_PERM, "%s: %s", r->path,
			    ZSTD_getErrorName(rc));
			return LOG_READ_FAILED;
		}
		r->text.len += out.pos;
		if (r->unread.pos > before || out.pos > 0)
			r->frame_open = rc != 0;
		if (out.pos > 0)
			return LOG_READ_LINE;
		if (r->unread.pos == before)
			return LOG_READ_END;
	}
}

/* Fewer bytes than tell stay in `in` until more were written. */
static enum packing recognise(const struct log_reader *r)
{
	size_t have = r->unread.size, most = sizeof magic;

	if (memcmp(r->in, magic, have < most ? have : most) != 0)
		return PACKING_NONE;
	return have < most ? PACKING_UNKNOWN : PACKING_ZSTD;
}

static enum log_read take_text(struct log_reader *r, struct err *err)
{
	if (r->packing == PACKING_UNKNOWN)
		r->packing = recognise(r);
	if (r->packing == PACKING_ZSTD)
		return decompress(r, err);
	if (r->packing == PACKING_UNKNOWN || r->unread.pos == r->unread.size)
		return LOG_READ_END;
	buf_add(
	    &r->text, r->in + r->unread.pos, r->unread.size - r->unread.pos);
	r->unread.pos = r->unread.size;
	return LOG_READ_LINE;
}

/* LOG_READ_LINE: there is more text now. */
static enum log_read read_more(struct log_reader *r, struct err *err)
{
	enum log_read got;
	ssize_t n;

	buf_consume(&r->text, r->returned);
	r->returned = 0;
	if (r->text.len > LINE_MOST) {
		(void)err_set(err, ERR_PERM,
		    "%s: a line of more than %zu bytes", r->path, LINE_MOST);
		return LOG_READ_FAILED;
	}
	for (;;) {
		size_t kept = 0;

		got = take_text(r, err);
		if (got != LOG_READ_END)
			return got;
		if (r->packing == PACKING_UNKNOWN)
			kept = r->unread.size;
		do {
			n = read(r->fd, r->in + kept, sizeof r->in - kept);
		} while (n < 0 && errno == EINTR);
		if (n < 0) {
			(void)err_errno(err, ERR_TEMP, "read %s", r->path);
			return LOG_READ_FAILED;
		}
		if (n == 0)
			return LOG_READ_END;
		r->unread = (ZSTD_inBuffer){r->in, kept + (size_t)n, 0};
	}
}

enum log_read log_reader_next(
    struct log_reader *r, const char **line, size_t *len, struct err *err)
{
	for (;;) {
		enum log_read got;

		if (take_line(r, line, len))
			return LOG_READ_LINE;
		got = read_more(r, err);
		if (got != LOG_READ_LINE)
			return got;
	}
}

/* *enough is set when `line` wants no more. */
static bool read_lines(const char *path, log_line_fn *line, void *ctx,
    bool *enough, struct err *err)
{
	struct log_reader *r = log_reader_open(path, err);
	const char *text;
	size_t len;
	enum log_read got = LOG_READ_FAILED;

	if (!r)
		return false;
	while (!*enough &&
	       (got = log_reader_next(r, &text, &len, err)) == LOG_READ_LINE)
		*enough = !line(text, len, ctx);
	log_reader_close(r);
	return *enough || got == LOG_READ_END;
}

bool log_read_file(
    const char *path, log_line_fn *line, void *ctx, struct err *err)
{
	bool enough = false;

	return read_lines(path, line, ctx, &enough, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool log_read_dir(
    const char *dir, log_line_fn *line, void *ctx, struct err *err)
{
	struct {
		char **items;
		size_t count, size;
	} names = {0};
	struct dirent *entry;
	bool ok = true, enough = false;
	char path[PATH_MAX];
	DIR *d = opendir(dir);

	if (!d)
		return err_errno(err, ERR_PERM, "open directory %s", dir);
	while ((entry = readdir(d))) {
		if (log_segment_name(entry->d_name, NULL))
			*ARRAY_ADD(&names) = xstrdup(entry->d_name);
	}
	(void)closedir(d);
	if (names.count)
		qsort(names.items, names.count, sizeof *names.items, by_name);
	for (size_t i = 0; i < names.count; i++) {
		if (ok && !enough)
			ok = path_join(
				 path, sizeof path, dir, names.items[i], err) &&
			     read_lines(path, line, ctx, &enough, err);
		free(names.items[i]);
	}
	ARRAY_FREE(&names);
	return ok;
}
