/*
 * log_read.h - records from the files that log_segment.h writes
 *
 * For `penstock logs`, for tests, for whoever follows a log.  A file that is
 * still written, or was left by a process that died, ends somewhere in its zstd
 * frame: that is an end like any other, and reading goes on from there when
 * more was written.  A file that is not compressed (somebody unpacked it) is
 * read as well.
 */
#ifndef LOGS_LOG_READ_H
#define LOGS_LOG_READ_H

#include "base/err.h"

struct log_reader;

struct log_reader *log_reader_open(const char *path, struct err *err) MUST_USE;
void log_reader_close(struct log_reader *reader); /* NULL is fine */

enum log_read {
	LOG_READ_LINE,
	LOG_READ_END,    /* for now: ask again when the file may have grown */
	LOG_READ_FAILED, /* a damaged zstd stream, or it cannot be read */
};
/* *line is without its newline and lives until the next call. */
enum log_read log_reader_next(
    struct log_reader *reader, const char **line, size_t *len, struct err *err);
/* After LOG_READ_END: nothing more can come; the frame has its end and the last
 * line its newline. */
bool log_reader_whole(const struct log_reader *reader);
/* Its writer is done with it, or it was removed.  Asked before the last
 * LOG_READ_END: everything was read. */
bool log_reader_finished(const struct log_reader *reader);

/* False: enough. */
typedef bool log_line_fn(const char *line, size_t len, void *ctx);
/* All lines of one file. */
bool log_read_file(
    const char *path, log_line_fn *line, void *ctx, struct err *err) MUST_USE;
/* All lines of all files of a directory, in the order of the files' names,
 * which is that of time. */
bool log_read_dir(
    const char *dir, log_line_fn *line, void *ctx, struct err *err) MUST_USE;

#endif
