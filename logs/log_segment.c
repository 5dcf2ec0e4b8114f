/*
 * log_segment.c - the files that records go to
 *
 *	text  --compress-->  packed  --write-->  file
 *
 * The text of a batch is kept until all of its packed form is in the file.  A
 * write that stops in the middle (disk full) is continued with the same bytes,
 * because the compressor has moved on and cannot make them again.  When the
 * file was removed meanwhile, which is what an operator with a full disk does,
 * the text starts a new one.
 *
 * One frame over many blocks rather than a frame for each batch: measured with
 * 824-byte records written one by one, blocks come to 12 % of the text and
 * frames to 64 %, and take half the time (4 and 8 us).
 */
#include "logs/log_segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"

struct log_segment {
	char *dir, *suffix, *role;
	char *header; /* with its newline; NULL: none */
	int64_t max_file_size, max_duration_ms;
	ZSTD_CCtx *zstd;
	struct buf text;   /* not known to be in the file */
	struct buf packed; /* the same, compressed */
	size_t written;    /* bytes of packed that are in the file */

	int fd; /* -1: no file */
	char name[NAME_MAX + 1];
	int64_t text_size;             /* put into this file so far */
	int64_t opened_at, written_at; /* clock_now_ms() */
	bool in_frame;
	bool sync_wanted; /* by the next flush */
	bool name_synced; /* the directory knows the file, on disk */
};

struct log_segment *log_segment_new(const struct log_segment_options *options)
{
	struct log_segment *s = xcalloc(1, sizeof *s);

	s->dir = xstrdup(options->dir);
	s->suffix = xstrdup(options->suffix ? options->suffix : "");
	s->role = xstrdup(options->role);
	if (options->header && *options->header)
		s->header = xasprintf("%s%s", options->header,
		    str_ends(options->header, "\n") ? "" : "\n");
	s->max_file_size = options->max_file_size;
	s->max_duration_ms = options->max_duration_ms;
	s->fd = -1;
	s->zstd = ZSTD_createCCtx();
	if (!s->zstd)
		diag_panic("zstd: no memory for a compressor");
	/* Levels out of range are clamped by the library. */
	(void)ZSTD_CCtx_setParameter(
	    s->zstd, ZSTD_c_compressionLevel, options->compression_level);
	(void)ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_checksumFlag, 1);
	return s;
}

/* ---- names ---- */

#define STAMP "dddddddd-dddddd.ddd-" /* d: a digit */

bool log_segment_name(const char *name, const char *role)
{
	size_t len = 0;

	for (const char *p = STAMP; *p; p++, name++) {
		if (*p == 'd' ? *name < '0' || *name > '9' : *name != *p)
			return false;
	}
	while (name[len] >= 'a' && name[len] <= 'z')
		len++;
	if (len == 0 || name[len] != '.' || name[len + 1] < '0' ||
	    name[len + 1] > '9')
		return false;
	return !role || (strlen(role) == len && memcmp(name, role, len) == 0);
}

static bool make_name(
    const struct log_segment *s, int64_t ms, char out[NAME_MAX + 1])
{
	time_t seconds = (time_t)(ms / 1000);
	char stamp[32];
	struct tm tm;
	int n;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &tm);
	n = snprintf(out, NAME_MAX + 1, "%s.%03d-%s.%ld%s", stamp,
	    (int)(ms % 1000), s->role, (long)getpid(), s->suffix);
	return n > 0 && n <= NAME_MAX;
}

/* ---- the open file ---- */

static void make_read_only(int fd, const char *dir, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || fchmod(fd, st.st_mode & 07555) < 0)
		diag_warn("%s/%s: cannot be made read-only: %s", dir, name,
		    strerror(errno));
}

/* Writes the end of the frame, so that the file so far is whole.  The packed
 * bytes are few; when they do not fit, none of them stay. */
static bool end_frame(struct log_segment *s)
{
	char end[64];
	ZSTD_inBuffer in = {NULL, 0, 0};
	ZSTD_outBuffer out = {end, sizeof end, 0};
	off_t size = lseek(s->fd, 0, SEEK_END);
	struct err err = {0};

	s->in_frame = false;
	if (ZSTD_compressStream2(s->zstd, &out, &in, ZSTD_e_end) != 0)
		diag_panic("zstd: the end of a frame has %zu bytes", out.pos);
	if (fd_write_all(s->fd, end, out.pos, s->name, &err))
		return true;
	if (size < 0 || ftruncate(s->fd, size) < 0)
		diag_warn("%s/%s: %s", s->dir, s->name, strerror(errno));
	return false;
}

static void finish(struct log_segment *s)
{
	if (s->fd < 0)
		return;
	if (s->in_frame && !end_frame(s))
		diag_warn("%s/%s: no room for the end of its zstd frame; all "
			  "records are there",
		    s->dir, s->name);
	make_read_only(s->fd, s->dir, s->name);
	(void)close(s->fd);
	s->fd = -1;
}

void log_segment_free(struct log_segment *s)
{
	if (!s)
		return;
	/* The compressor is ahead of the file, which may end in half a block:
	 * its frame cannot be ended any more. */
	if (s->packed.len > 0)
		s->in_frame = false;
	finish(s);
	(void)ZSTD_freeCCtx(s->zstd);
	buf_release(&s->text);
	buf_release(&s->packed);
	free(s->dir);
	free(s->suffix);
	free(s->role);
	free(s->header);
	free(s);
}

/* A process that starts may take a file for a leftover before it is locked. */
static bool lock_fresh(int fd)
{
	struct stat st;

	while (flock(fd, LOCK_EX) < 0) {
		/* No locks here: our leftovers will stay writable. */
		if (errno != EINTR)
			return true;
	}
	return fstat(fd, &st) == 0 && (st.st_mode & S_IWUSR);
}

static bool open_file(struct log_segment *s, struct err *err)
{
	int64_t ms = clock_unix_ms();
	char path[PATH_MAX];
	int fd = -1;

	for (int tries = 0; tries < 1000; tries++) {
		if (!make_name(s, ms + tries, s->name))
			return err_set(err, ERR_CONFIG,
			    "the suffix \"%.40s\" is too long", s->suffix);
		if (!path_join(path, sizeof path, s->dir, s->name, err))
			return false;
		fd = open(path,
		    O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
		if (fd >= 0 && lock_fresh(fd))
			break;
		if (fd >= 0) {
			(void)close(fd);
			(void)unlink(path);
			fd = -1;
			errno = EEXIST;
		}
		if (errno == ENOENT) {
			if (!fd_make_dirs(s->dir, 0750, err))
				return false;
		} else if (errno != EEXIST) {
			break;
		}
	}
	if (fd < 0)
		return err_errno(err, ERR_TEMP, "create %s", path);
	s->fd = fd;
	s->name_synced = false;
	s->text_size = 0;
	s->opened_at = s->written_at = clock_now_ms();
	(void)ZSTD_CCtx_reset(s->zstd, ZSTD_reset_session_only);
	s->in_frame = false;
	return true;
}

static bool file_removed(const struct log_segment *s)
{
	struct stat st;

	return fstat(s->fd, &st) == 0 && st.st_nlink == 0;
}

/* ---- writing ---- */

static void begin_with_header(struct log_segment *s)
{
	struct buf whole = BUF_INIT;

	if (!s->header)
		return;
	buf_addstr(&whole, s->header);
	buf_add(&whole, s->text.data, s->text.len);
	buf_release(&s->text);
	s->text = whole;
}

void log_segment_put(struct log_segment *s, const char *lines, size_t len)
{
	invariant(s->packed.len == 0);
	buf_add(&s->text, lines, len);
}

static void pack(struct log_segment *s)
{
	ZSTD_inBuffer in = {s->text.data, s->text.len, 0};
	size_t left;

	do {
		ZSTD_outBuffer out;

		buf_reserve(&s->packed, ZSTD_CStreamOutSize());
		out = (ZSTD_outBuffer){s->packed.data + s->packed.len,
		    s->packed.size - s->packed.len - 1, 0};
		left = ZSTD_compressStream2(s->zstd, &out, &in, ZSTD_e_flush);
		if (ZSTD_isError(left))
			diag_panic("zstd: %s", ZSTD_getErrorName(left));
		s->packed.len += out.pos;
	} while (left > 0);
	s->in_frame = true;
}

static bool write_packed(struct log_segment *s, struct err *err)
{
	if (FAULT_POINT("log.before-write"))
		return err_set(
		    err, ERR_TEMP, "write %s/%s: fault", s->dir, s->name);
	while (s->written < s->packed.len) {
		ssize_t n = write(s->fd, s->packed.data + s->written,
		    s->packed.len - s->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(
			    err, ERR_TEMP, "write %s/%s", s->dir, s->name);
		s->written += (size_t)n;
	}
	(void)FAULT_POINT("log.after-write");
	return true;
}

void log_segment_want_sync(struct log_segment *s)
{
	s->sync_wanted = true;
}

/* After a sync that failed the kernel may have dropped the pages and say so
 * never again: the same text then goes into another file, which can make a
 * record twice. */
static bool sync_file(struct log_segment *s, struct err *err)
{
	if (fdatasync(s->fd) < 0) {
		(void)err_errno(err, ERR_TEMP, "sync %s/%s", s->dir, s->name);
		make_read_only(s->fd, s->dir, s->name);
		(void)close(s->fd);
		s->fd = -1;
		return false;
	}
	if (!s->name_synced && !fd_sync_dir(s->dir, err))
		return false;
	s->name_synced = true;
	s->sync_wanted = false;
	return true;
}

bool log_segment_flush(struct log_segment *s, struct err *err)
{
	if (s->text.len == 0)
		return true;
	if (s->fd >= 0 && file_removed(s)) {
		diag_warn(
		    "%s/%s was removed while it was written", s->dir, s->name);
		(void)close(s->fd);
		s->fd = -1;
	}
	if (s->fd < 0) {
		buf_reset(&s->packed);
		s->written = 0;
		if (!open_file(s, err))
			return false;
		begin_with_header(s);
	}
	if (s->packed.len == 0)
		pack(s);
	if (!write_packed(s, err) || (s->sync_wanted && !sync_file(s, err)))
		return false;
	s->text_size += (int64_t)s->text.len;
	s->written_at = clock_now_ms();
	buf_reset(&s->text);
	buf_reset(&s->packed);
	s->written = 0;
	if (s->text_size >= s->max_file_size)
		finish(s);
	return true;
}

/* ---- time ---- */

int64_t log_segment_due(const struct log_segment *s)
{
	int64_t due = INT64_MAX;

	/* What waits for room on the disk is not touched meanwhile. */
	if (s->fd < 0 || s->text.len > 0)
		return due;
	if (s->in_frame)
		due = s->written_at + LOG_SEGMENT_IDLE_MS;
	if (s->max_duration_ms > 0 && s->opened_at + s->max_duration_ms < due)
		due = s->opened_at + s->max_duration_ms;
	return due;
}

void log_segment_tick(struct log_segment *s)
{
	int64_t now = clock_now_ms();

	if (log_segment_due(s) > now)
		return;
	if (s->max_duration_ms > 0 && s->opened_at + s->max_duration_ms <= now)
		finish(s);
	/* A frame that could not be ended must be the last of its file. */
	else if (!end_frame(s))
		finish(s);
}

/* ---- leftovers ---- */

static void close_leftover(int dir_fd, const char *dir, const char *name)
{
	struct stat st;
	int fd;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode) || !(st.st_mode & S_IWUSR))
		return;
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		diag_warn("%s/%s: open: %s", dir, name, strerror(errno));
		return;
	}
	/* Locked: its writer lives. */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		diag_info("%s/%s: closed, a process that died had left it open",
		    dir, name);
		make_read_only(fd, dir, name);
		/* It died before its first block. */
		if (fstat(fd, &st) == 0 && st.st_size == 0)
			(void)unlinkat(dir_fd, name, 0);
	}
	(void)close(fd);
}

bool log_segment_close_leftovers(
    const char *dir, const char *role, struct err *err)
{
	struct dirent *entry;
	DIR *d = opendir(dir);

	if (!d)
		return err_errno(err, ERR_CONFIG, "open directory %s", dir);
	while ((entry = readdir(d))) {
		if (log_segment_name(entry->d_name, role))
			close_leftover(dirfd(d), dir, entry->d_name);
	}
	(void)closedir(d);
	return true;
}
