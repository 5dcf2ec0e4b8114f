/*
 * log_writer.h - the log thread of a process
 *
 * Records given together are a batch.  The thread writes them to each logger's
 * segment (zstd, one finished block per write, so that what was reported is
 * readable after kill -9), and only then reports the batch: the router commits
 * rows after that report, so every message that left the queue has its record.
 *
 * Threads: log_writer_submit any thread; log_done_fn runs on the log thread and
 *	   must only hand on (inbox_put).  A batch is filled by one thread.
 * Errors:  a full disk does not lose records: the batch waits and is tried
 *	   again every second, log_writer_failing() says so, intake stops.
 *	   Batches are reported in the order they were given.
 * See:	   log_setup.h (from the policy's configure_local_logs), log_segment.h
 *	   (the files), log_read.h (reading them).
 */
#ifndef LOGS_LOG_WRITER_H
#define LOGS_LOG_WRITER_H

#include "base/duration.h"
#include "base/free_space.h"
#include "logs/log_record.h"

/* A logger's settings, without the policy floor (filled from log_config). */
struct logger_settings {
	const char *log_dir;
	int64_t max_file_size;
	struct duration max_segment_duration; /* 0: none */
	int compression_level;
	struct string_list_view meta, headers;
	int64_t back_pressure;
	const char *filter_event; /* NULL: everything is written */
	struct free_floors floors;
	struct {
		bool enabled;
		const char *suffix, *log_dir; /* NULL: as the logger's */
		const char *template;         /* NULL: JSON */
		const char *segment_header;   /* NULL, "": none */
	} per_record[LOG_TYPE_COUNT];
};

struct log_writer;
struct log_batch;

/* Creates directories, closes segments that a crash left open (marks them read
 * only).  `role` ("milter", "router") and the pid keep names apart.  nodeid:
 * UUID text, stable per installation. */
struct log_writer *log_writer_start(const struct logger_settings *loggers,
    size_t count, const char *role, const char *nodeid, struct err *err)
    MUST_USE;
/* Writes everything, finishes the segments; NULL is fine.  When the disk is
 * full it tries for some seconds more; batches that are then left are never
 * reported, so their rows stay in the queue, and the number of lost records is
 * an error in the diagnostics. */
void log_writer_stop(struct log_writer *writer);

struct log_batch *log_batch_new(struct log_writer *writer) MUST_USE;
/* Formats now, for each logger that wants the type; not for those that have to
 * ask the policy before (all but Rejection). */
void log_batch_add(struct log_batch *batch, const struct log_record *record);

/* Loggers that ask: the event of number `i` that is to be asked whether it
 * writes this record; NULL: it does not want it anyway. */
size_t log_writer_filters(const struct log_writer *writer);
const char *log_writer_filter(
    const struct log_writer *writer, size_t i, enum log_type type);
/* What it would write, and where; to be put when the answer was yes. */
int log_batch_format(const struct log_batch *batch, size_t i,
    const struct log_record *record, struct buf *out);
void log_batch_put(struct log_batch *batch, int where, const struct buf *text);
const char *log_writer_nodeid(const struct log_writer *writer);
/* No record was added that any logger wants. */
bool log_batch_empty(const struct log_batch *batch);
/* Of a batch that is not submitted; NULL is fine. */
void log_batch_free(struct log_batch *batch);
typedef void log_done_fn(void *ctx);
/* Gives the batch away.  done may be NULL.  An empty one is reported in its
 * turn, too; so without loggers everything works, only without records. */
void log_writer_submit(struct log_batch *batch, log_done_fn *done, void *ctx);
/* Called about every 5 s while waiting, on the waiting thread; false: give up.
 */
typedef bool log_progress_fn(void *ctx);
/* Gives the batch away and waits until its records are on disk, synced: for
 * what is acknowledged on the strength of them alone.  False (ERR_TEMP): that
 * is not known, at the deadline or because progress (may be NULL) gave up; the
 * records may be written yet.  For threads that may wait. */
bool log_writer_write(struct log_batch *batch, int64_t deadline,
    log_progress_fn *progress, void *progress_ctx, struct err *err) MUST_USE;
/* Waits while more than back_pressure records are waiting; for threads that may
 * wait (the milter's), never for a loop.  False at the deadline. */
bool log_writer_wait_room(struct log_writer *writer, int64_t deadline);
/* Whether more records should be caused: false (ERR_TEMP) when a directory is
 * below a logger's floors, or the last write failed, or when more than
 * back_pressure records are waiting and still are after a moment (wait_ms).
 * For threads that may wait. */
bool log_writer_has_room(
    struct log_writer *writer, int64_t wait_ms, struct err *err) MUST_USE;
/* More than back_pressure waiting, or the last write failed: err says why. */
bool log_writer_failing(struct log_writer *writer, struct err *err);

/* For status: numbers since start. */
struct log_writer_stats {
	int64_t records, batches,
	    waiting; /* waiting: records not yet written */
	bool failing;
};
void log_writer_stats(struct log_writer *writer, struct log_writer_stats *out);

/* The stable node id of the installation, kept in DIR/node-id.
 * Made when it is not there; two programs that start at once agree. */
bool log_node_id(const char *dir, char out[37], struct err *err) MUST_USE;

#endif
