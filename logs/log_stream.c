/*
 * log_stream.c - the records of directories, in the order of time, and those
 * that come
 *
 *	scan -> waiting (sorted by the time in their names) -> open -> done
 *
 * Of each open file the next line is read ahead, its head; the earliest head is
 * returned.  A waiting file is opened when the earliest head is not well before
 * the time in its name, so a year of logs has a few files open at a time.  The
 * name's time is that of the file's first write, which is a moment after its
 * first record's (AHEAD_MS; much later only when the disk was full).
 *
 * What is known of a directory is the set of its names: after a rotation only
 * names that were not there before are new, and a file that is done is not
 * opened again.
 */
#include "logs/log_stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/datetime.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_segment.h"

#define AHEAD_MS 10000
/* Records wait for a disk that is full, and then go into a later file. */
#define LATE_MS INT64_C(86400000)
#define WATCHED                                                                \
	(IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ATTRIB | IN_DELETE |         \
	    IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct file {
	char *path;
	const char *name; /* the end of path */
	int64_t named_ms;
	struct log_reader *reader; /* NULL: waiting */
	struct arena *arena;       /* of the head's record */
	struct log_stream_line head;
	int64_t ms;    /* of its last line */
	bool has_head; /* else, when open: */
	bool dry;      /* there was nothing more */
	bool final;    /* its writer was done before it was read to its end */
};

struct files {
	struct file **items;
	size_t count, size;
};

struct dir {
	char *path;
	dev_t dev;
	ino_t ino;
	int watch;         /* -1: not watched */
	struct map *names; /* to a pointer that is not NULL */
};

struct log_stream {
	int64_t since_ms, until_ms;
	int fd; /* inotify; -1: not following */
	struct {
		struct dir *items;
		size_t count, size;
	} dirs;
	struct files waiting; /* the next one last */
	struct files open;
	struct file *returned; /* its head is the caller's */
};

struct log_stream *log_stream_new(int64_t since_ms, int64_t until_ms)
{
	struct log_stream *s = xcalloc(1, sizeof *s);

	s->since_ms = since_ms;
	s->until_ms = until_ms;
	s->fd = -1;
	return s;
}

static void file_free(struct file *f)
{
	log_reader_close(f->reader);
	arena_unref(f->arena);
	free(f->path);
	free(f);
}

static void files_release(struct files *files)
{
	for (size_t i = 0; i < files->count; i++)
		file_free(files->items[i]);
	ARRAY_FREE(files);
}

static void forget_dir(struct log_stream *s, size_t i)
{
	free(s->dirs.items[i].path);
	map_free(s->dirs.items[i].names, NULL);
	s->dirs.items[i] = s->dirs.items[--s->dirs.count];
}

void log_stream_free(struct log_stream *s)
{
	if (!s)
		return;
	files_release(&s->waiting);
	files_release(&s->open);
	while (s->dirs.count)
		forget_dir(s, s->dirs.count - 1);
	ARRAY_FREE(&s->dirs);
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s);
}

bool log_stream_follow(struct log_stream *s, struct err *err)
{
	s->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return s->fd >= 0 || err_errno(err, ERR_TEMP, "inotify");
}

int log_stream_fd(const struct log_stream *s)
{
	return s->fd;
}

size_t log_stream_dirs(const struct log_stream *s)
{
	return s->dirs.count;
}

/* ---- directories ---- */

/* YYYYMMDD-HHMMSS.fff */
static int64_t time_of_name(const char *name)
{
	int year, month, day, hour, minute, second, ms;
	struct datetime t;

	if (sscanf(name, "%4d%2d%2d-%2d%2d%2d.%3d", &year, &month, &day, &hour,
		&minute, &second, &ms) != 7 ||
	    !datetime_from_parts(year, month, day, hour, minute, second, &t))
		return 0;
	return t.unix_seconds * 1000 + ms;
}

static bool of_interest(
    const struct log_stream *s, const char *path, int64_t named_ms)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (s->until_ms < INT64_MAX - LATE_MS &&
	    named_ms > s->until_ms + LATE_MS)
		return false;
	return (st.st_mode & S_IWUSR) ||
	       (int64_t)st.st_mtim.tv_sec * 1000 + 999 >= s->since_ms;
}

static void add_file(
    struct log_stream *s, const char *dir, const char *name, struct err *err)
{
	char path[PATH_MAX];
	int64_t named_ms = time_of_name(name);
	struct file *f;

	if (!path_join(path, sizeof path, dir, name, err) ||
	    !of_interest(s, path, named_ms))
		return;
	f = xcalloc(1, sizeof *f);
	f->path = xstrdup(path);
	f->name = f->path + strlen(path) - strlen(name);
	f->named_ms = f->ms = named_ms;
	*ARRAY_ADD(&s->waiting) = f;
}

static int latest_first(const void *a, const void *b)
{
	return strcmp(
	    (*(struct file *const *)b)->name, (*(struct file *const *)a)->name);
}

static bool scan(struct log_stream *s, struct dir *dir, struct err *err)
{
	DIR *d = opendir(dir->path);
	struct map *names;
	struct dirent *entry;

	if (!d)
		return err_errno(err, ERR_PERM, "open directory %s", dir->path);
	names = map_new();
	while ((entry = readdir(d))) {
		if (!log_segment_name(entry->d_name, NULL))
			continue;
		(void)map_put(names, entry->d_name, s);
		if (!map_get(dir->names, entry->d_name))
			add_file(s, dir->path, entry->d_name, err);
	}
	(void)closedir(d);
	map_free(dir->names, NULL);
	dir->names = names;
	if (s->waiting.count)
		qsort(s->waiting.items, s->waiting.count,
		    sizeof *s->waiting.items, latest_first);
	return true;
}

bool log_stream_add(struct log_stream *s, const char *path, struct err *err)
{
	struct stat st;
	struct dir *dir;

	if (stat(path, &st) < 0)
		return err_errno(err, ERR_PERM, "%s", path);
	for (size_t i = 0; i < s->dirs.count; i++) {
		if (s->dirs.items[i].dev == st.st_dev &&
		    s->dirs.items[i].ino == st.st_ino)
			return true;
	}
	dir = ARRAY_ADD(&s->dirs);
	*dir = (struct dir){.path = xstrdup(path),
	    .dev = st.st_dev,
	    .ino = st.st_ino,
	    .watch = -1,
	    .names = map_new()};
	/* Watched before it is read, so nothing falls between. */
	if (s->fd >= 0) {
		dir->watch = inotify_add_watch(s->fd, path, WATCHED);
		if (dir->watch < 0) {
			(void)err_errno(err, ERR_PERM, "watch %s", path);
			forget_dir(s, s->dirs.count - 1);
			return false;
		}
	}
	if (scan(s, dir, err))
		return true;
	forget_dir(s, s->dirs.count - 1);
	return false;
}

/* ---- one file ---- */

/* When a record was written down, as far as it knows. */
static bool time_of_record(const struct value *record, int64_t *ms)
{
	const struct value *type = value_get(record, "type");
	const struct value *at;
	struct datetime t;

	if (!type || type->type != VALUE_STRING)
		return false;
	at = value_get(
	    record, str_eq(type->s, "OOB") ? "created_time" : "event_time");
	if (!at || at->type != VALUE_STRING ||
	    !datetime_parse_rfc3339(at->s, &t, NULL))
		return false;
	*ms = t.unix_seconds * 1000 + t.nanoseconds / 1000000;
	return true;
}

static void take_head(struct file *f, const char *text, size_t len)
{
	struct value *record;

	arena_unref(f->arena);
	f->arena = arena_new(4096);
	record = ARENA_NEW(f->arena, struct value);
	if (!json_parse(text, len, f->arena, record, NULL) ||
	    record->type != VALUE_MAP || !time_of_record(record, &f->ms))
		record = NULL;
	f->head = (struct log_stream_line){text, len, record, f->ms};
	f->has_head = true;
}

/* LOG_READ_END: nothing now, and when f->dry is false, for ever. */
static enum log_read read_head(
    const struct log_stream *s, struct file *f, struct err *err)
{
	const char *text;
	size_t len;

	for (;;) {
		enum log_read got =
		    log_reader_next(f->reader, &text, &len, err);

		if (got == LOG_READ_LINE)
			take_head(f, text, len);
		if (got != LOG_READ_END || f->final || s->fd < 0)
			return got;
		/* Finished only after it was read: once more. */
		f->final = log_reader_finished(f->reader);
		if (!f->final) {
			f->dry = true;
			return LOG_READ_END;
		}
	}
}

/* ---- all of them ---- */

static void drop_open(struct log_stream *s, size_t i)
{
	file_free(s->open.items[i]);
	s->open.items[i] = s->open.items[--s->open.count];
}

/* Each open file has its head, or is dry.  False: `err` names one that cannot
 * be read. */
static bool read_heads(struct log_stream *s, struct err *err)
{
	for (size_t i = 0; i < s->open.count;) {
		struct file *f = s->open.items[i];
		enum log_read got = LOG_READ_LINE;

		if (!f->has_head && !f->dry)
			got = read_head(s, f, err);
		if (got == LOG_READ_LINE || f->dry) {
			i++;
			continue;
		}
		drop_open(s, i);
		if (got == LOG_READ_FAILED)
			return false;
	}
	return true;
}

static struct file *earliest(const struct log_stream *s)
{
	struct file *best = NULL;

	for (size_t i = 0; i < s->open.count; i++) {
		struct file *f = s->open.items[i];
		int order;

		if (!f->has_head)
			continue;
		order = !best                        ? -1
			: f->head.ms < best->head.ms ? -1
			: f->head.ms > best->head.ms
			    ? 1
			    : strcmp(f->name, best->name);
		if (order < 0)
			best = f;
	}
	return best;
}

/* Opens the next waiting file, if it is still there; false: `err` says why
 * not. */
static bool open_next(struct log_stream *s, struct err *err)
{
	struct file *f = s->waiting.items[--s->waiting.count];
	bool gone;

	f->reader = log_reader_open(f->path, err);
	if (f->reader) {
		*ARRAY_ADD(&s->open) = f;
		return true;
	}
	gone = access(f->path, F_OK) < 0 && errno == ENOENT;
	file_free(f);
	return gone;
}

/* The directory of this watch went away. */
static bool lost(struct log_stream *s, int watch, struct err *err)
{
	for (size_t i = 0; i < s->dirs.count; i++) {
		if (s->dirs.items[i].watch != watch)
			continue;
		(void)err_set(err, ERR_TEMP, "%s: the directory went away",
		    s->dirs.items[i].path);
		forget_dir(s, i);
		return true;
	}
	return false;
}

/* Takes what inotify has.  False: `err` says what went away. */
static bool take_changes(struct log_stream *s, struct err *err)
{
	_Alignas(struct inotify_event) char events[8192];
	bool names = false, ok = true;
	ssize_t n;

	if (s->fd < 0)
		return true;
	n = read(s->fd, events, sizeof events);
	if (n <= 0)
		return true;
	for (const char *p = events; p < events + n;) {
		const struct inotify_event *e = (const void *)p;

		if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
			ok = !lost(s, e->wd, err) && ok;
		names |= e->mask & (IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW);
		p += sizeof *e + e->len;
	}
	for (size_t i = 0; i < s->open.count; i++)
		s->open.items[i]->dry = false;
	for (size_t i = 0; names && i < s->dirs.count; i++)
		ok = scan(s, &s->dirs.items[i], err) && ok;
	return ok;
}

/* What was written is all read before changes are asked for again, so
 * LOG_READ_END is only said when there were none since. */
enum log_read log_stream_next(
    struct log_stream *s, struct log_stream_line *line, struct err *err)
{
	if (s->returned)
		s->returned->has_head = false;
	s->returned = NULL;
	for (;;) {
		struct file *first;

		if (!read_heads(s, err))
			return LOG_READ_FAILED;
		first = earliest(s);
		if (s->waiting.count &&
		    (!first ||
			s->waiting.items[s->waiting.count - 1]->named_ms <=
			    first->head.ms + AHEAD_MS)) {
			if (!open_next(s, err))
				return LOG_READ_FAILED;
			continue;
		}
		if (first) {
			s->returned = first;
			*line = first->head;
			return LOG_READ_LINE;
		}
		if (!take_changes(s, err))
			return LOG_READ_FAILED;
		if (!s->waiting.count) {
			bool dry = true;

			for (size_t i = 0; i < s->open.count; i++)
				dry = dry && s->open.items[i]->dry;
			if (dry)
				return LOG_READ_END;
		}
	}
}
