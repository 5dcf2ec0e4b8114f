/*
 * log_segment.h - the files that records go to
 *
 * A log_segment is a place: a directory and a suffix.  It has at most one file
 * open, called YYYYMMDD-HHMMSS.fff-ROLE.PID and the suffix (UTC), made when
 * there is something to write.  While a file is written its owner may write it
 * and we hold flock(2) on it; finished, it is read-only, which is how followers
 * know.  Finished files are never opened again.
 *
 * A file is a zstd stream.  Each flush ends a block, so everything that was
 * reported is there for `zstd -dc` even after kill -9; zstd then prints all
 * records, says "premature end" and exits 1, because only the frame has no end.
 * A frame is ended when its file is finished, and when nothing was written for
 * LOG_SEGMENT_IDLE_MS, so the file of a quiet log is whole.
 *
 * Threads: one at a time (the log thread).
 * Errors:  what was put stays put; flush again continues where it stopped, so
 *	   there is never half a record in the middle of a file.
 */
#ifndef LOGS_LOG_SEGMENT_H
#define LOGS_LOG_SEGMENT_H

#include <stdint.h>

#include "base/err.h"

#define LOG_SEGMENT_IDLE_MS 10000

struct log_segment;

struct log_segment_options {
	const char *dir, *suffix; /* suffix NULL: none */
	const char *header; /* text at the beginning of a file; NULL: none */
	const char *role;
	int compression_level;   /* 0: the library's */
	int64_t max_file_size;   /* of text, before compression */
	int64_t max_duration_ms; /* 0: none */
};

struct log_segment *log_segment_new(const struct log_segment_options *options)
    MUST_USE;
/* Finishes the file.  What was put and not flushed is lost. */
void log_segment_free(struct log_segment *segment);

/* Whole lines.  Not after a flush that failed, before one that succeeded. */
void log_segment_put(
    struct log_segment *segment, const char *lines, size_t len);
/* The next flush that succeeds also has what was put on disk, and the name of
 * the file in its directory. */
void log_segment_want_sync(struct log_segment *segment);
/* True: every byte that was put is in the file.  ERR_TEMP otherwise. */
bool log_segment_flush(struct log_segment *segment, struct err *err) MUST_USE;
/* Finishes what is old, ends the frame of what is quiet. */
void log_segment_tick(struct log_segment *segment);
/* When tick has something to do, clock_now_ms(); INT64_MAX: nothing. */
int64_t log_segment_due(const struct log_segment *segment);

/* Makes the files of dead processes of this role read-only; those of living
 * ones are locked by them. */
bool log_segment_close_leftovers(
    const char *dir, const char *role, struct err *err) MUST_USE;
/* Is it the name of a file of ours (of `role`, if not NULL)? */
bool log_segment_name(const char *name, const char *role);

#endif
