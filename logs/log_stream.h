/*
 * log_stream.h - the records of directories, in the order of time, and those
 * that come
 *
 * Both daemons write files of their own into the same directories.  A stream
 * opens them as their time comes and returns at each step the line that is the
 * earliest of all files; so the lines of one file keep their order, and those
 * of several are merged.  A file that ends within its zstd frame (its writer
 * was killed, or is about to go on) just ends there.
 *
 * The time of a record is its event_time; of an OOB, whose event_time is what
 * somebody else's clock said, its created_time.  A line that is no record (of a
 * template, a segment_header) has the time of the one before it.
 *
 * Following: files that are written are read as their blocks arrive, and new
 * files as they appear; inotify says when, nothing is looked at in vain.  Lines
 * then come as they arrive: what was returned is not taken back for an earlier
 * record that appears later.  No line is lost or comes twice when a file is
 * finished and the next begun, or when a writer is killed.
 *
 * Threads: one.
 */
#ifndef LOGS_LOG_STREAM_H
#define LOGS_LOG_STREAM_H

#include "base/value.h"
#include "logs/log_read.h"

struct log_stream;

struct log_stream_line {
	const char *text; /* without its newline */
	size_t len;
	const struct value *record; /* NULL: it is none */
	int64_t ms;                 /* its time, unix, milliseconds */
};

/* Files that only have records before since_ms, or after until_ms, are not
 * opened; the limits are not applied to single records.  0, INT64_MAX: all. */
struct log_stream *log_stream_new(int64_t since_ms, int64_t until_ms) MUST_USE;
void log_stream_free(struct log_stream *stream); /* NULL is fine */
/* From now on changes are noticed; before log_stream_add.  ERR_TEMP. */
bool log_stream_follow(struct log_stream *stream, struct err *err) MUST_USE;
/* A directory; one that was added already (under another name, too) is not
 * added again.  ERR_PERM: it cannot be read. */
bool log_stream_add(struct log_stream *stream, const char *dir, struct err *err)
    MUST_USE;

/* LOG_READ_LINE: *line lives until the next call.  LOG_READ_END: nothing more
 * now; when following, wait for log_stream_fd.  LOG_READ_FAILED: `err` names a
 * file (it is left alone from now on) or a directory that went away; go on. */
enum log_read log_stream_next(
    struct log_stream *stream, struct log_stream_line *line, struct err *err);
/* Readable: something may have come; -1: not following. */
int log_stream_fd(const struct log_stream *stream);
/* Directories that are (still) looked at. */
size_t log_stream_dirs(const struct log_stream *stream);

#endif
