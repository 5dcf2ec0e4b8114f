/*
 * log_writer.c - the log thread of a process
 *
 *	log_batch_add        formats, for each logger that wants the type, into
 *	                     one text for each sink (a directory and a suffix)
 *	log_writer_submit -> inbox -> the log thread: takes what is there up to
 *	                     ROUND_BYTES, puts all of it into the segments,
 *	                     flushes each once, reports the batches in order
 *
 * A record waits for nothing but its turn; under load many batches share one
 * zstd block and one write(2) for each sink.
 *
 * The lock here guards what waits for room and the reason of a failure; records
 * themselves pass through the inbox.
 */
#include "logs/log_writer.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/inbox.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "logs/log_segment.h"
#include "logs/log_template.h"
#include "logs/logger_set.h"

#define ROUND_BYTES ((size_t)1 << 20)
#define RETRY_MS 1000
#define STOP_PATIENCE_MS 5000
#define PROGRESS_MS 5000

struct log_writer {
	struct arena *arena;
	const char *nodeid;
	struct logger_set set;

	struct inbox *inbox;
	pthread_t thread;
	atomic_llong waiting, records, batches;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* room, or time to stop */
	bool failing;
	struct err failure;
	int64_t stop_by; /* clock_now_ms(); INT64_MAX: not yet */
};

/* Somebody who waits for a batch, and may have gone when it is written. */
struct waiter {
	int refs;
	bool written, given_up;
};

struct log_batch {
	struct inbox_item item; /* first */
	struct log_writer *writer;
	log_done_fn *done;
	void *ctx;
	struct waiter *waiter; /* NULL: nobody; else it is synced, too */
	int64_t records;
	struct buf texts[]; /* one for each sink */
};

/* ---- batches ---- */

struct log_batch *log_batch_new(struct log_writer *w)
{
	struct log_batch *batch = xcalloc(
	    1, sizeof *batch + w->set.sink_count * sizeof batch->texts[0]);

	batch->writer = w;
	return batch;
}

void log_batch_add(struct log_batch *batch, const struct log_record *record)
{
	const struct log_writer *w = batch->writer;
	bool wanted = false;

	for (size_t i = 0; i < w->set.logger_count; i++) {
		const struct logger *logger = &w->set.loggers[i];
		int sink = logger->sink[record->type];

		if (sink < 0 || logger_must_ask(logger, record->type))
			continue;
		log_record_render(record, w->nodeid, logger->meta,
		    logger->headers, logger->templates[record->type],
		    &batch->texts[sink]);
		wanted = true;
	}
	batch->records += wanted;
}

/* The lock is held. */
static void drop_waiter(struct waiter *waiter)
{
	if (--waiter->refs == 0)
		free(waiter);
}

static void tell_waiter(struct log_batch *batch, bool written)
{
	struct log_writer *w = batch->writer;

	if (!batch->waiter)
		return;
	(void)pthread_mutex_lock(&w->lock);
	batch->waiter->written = written;
	batch->waiter->given_up = !written;
	drop_waiter(batch->waiter);
	batch->waiter = NULL;
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
}

size_t log_writer_filters(const struct log_writer *w)
{
	size_t count = 0;

	for (size_t n = 0; n < w->set.logger_count; n++)
		count += w->set.loggers[n].filter_event != NULL;
	return count;
}

const char *log_writer_filter(
    const struct log_writer *w, size_t i, enum log_type type)
{
	const struct logger *logger = logger_set_asking(&w->set, i);

	if (!logger || logger->sink[type] < 0 || !logger_must_ask(logger, type))
		return NULL;
	return logger->filter_event;
}

int log_batch_format(const struct log_batch *batch, size_t i,
    const struct log_record *record, struct buf *out)
{
	const struct logger *logger = logger_set_asking(&batch->writer->set, i);

	log_record_render(record, batch->writer->nodeid, logger->meta,
	    logger->headers, logger->templates[record->type], out);
	return logger->sink[record->type];
}

void log_batch_put(struct log_batch *batch, int where, const struct buf *text)
{
	buf_add(&batch->texts[where], text->data, text->len);
	batch->records++;
}

const char *log_writer_nodeid(const struct log_writer *w)
{
	return w->nodeid;
}

bool log_batch_empty(const struct log_batch *batch)
{
	return batch->records == 0;
}

void log_batch_free(struct log_batch *batch)
{
	if (!batch)
		return;
	tell_waiter(batch, false);
	for (size_t i = 0; i < batch->writer->set.sink_count; i++)
		buf_release(&batch->texts[i]);
	free(batch);
}

void log_writer_submit(struct log_batch *batch, log_done_fn *done, void *ctx)
{
	struct log_writer *w = batch->writer;

	batch->done = done;
	batch->ctx = ctx;
	(void)atomic_fetch_add(&w->waiting, batch->records);
	inbox_put(w->inbox, &batch->item);
}

bool log_writer_write(struct log_batch *batch, int64_t deadline,
    log_progress_fn *progress, void *progress_ctx, struct err *err)
{
	struct log_writer *w = batch->writer;
	struct waiter *waiter;
	bool written, over = false;

	/* Nobody wants these records: there is nothing to wait for. */
	if (log_batch_empty(batch)) {
		log_batch_free(batch);
		return true;
	}
	waiter = batch->waiter = xcalloc(1, sizeof *waiter);
	waiter->refs = 2;
	log_writer_submit(batch, NULL, NULL);
	(void)pthread_mutex_lock(&w->lock);
	while (!waiter->written && !waiter->given_up && !over) {
		int64_t now = clock_now_ms(), until = now + PROGRESS_MS;
		struct timespec ts;

		over = now >= deadline;
		if (over)
			break;
		ts = clock_timespec(until < deadline ? until : deadline);
		if (pthread_cond_timedwait(&w->changed, &w->lock, &ts) == 0)
			continue;
		(void)pthread_mutex_unlock(&w->lock);
		over = progress && !progress(progress_ctx);
		(void)pthread_mutex_lock(&w->lock);
	}
	written = waiter->written;
	drop_waiter(waiter);
	(void)pthread_mutex_unlock(&w->lock);
	return written ||
	       err_set(err, ERR_TEMP, "the log record could not be written");
}

static struct log_batch *batch_of(struct inbox_item *item)
{
	return CONTAINER_OF(item, struct log_batch, item);
}

/* ---- the log thread ---- */

/* Returns at the time of the next try; false: it is time to give up. */
static bool wait_to_retry(struct log_writer *w, const struct err *why)
{
	struct timespec until = clock_timespec(clock_now_ms() + RETRY_MS);
	bool go_on, first;
	int rc = 0;

	(void)pthread_mutex_lock(&w->lock);
	first = !w->failing;
	w->failing = true;
	w->failure = *why;
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	if (first)
		diag_error("log records wait: %s", why->text);

	(void)pthread_mutex_lock(&w->lock);
	while (rc == 0)
		rc = pthread_cond_timedwait(&w->changed, &w->lock, &until);
	go_on = clock_now_ms() < w->stop_by;
	(void)pthread_mutex_unlock(&w->lock);
	return go_on;
}

static bool write_round(struct log_writer *w)
{
	bool was_failing;
	struct err err = {0};

	while (!logger_set_flush(&w->set, &err)) {
		if (!wait_to_retry(w, &err))
			return false;
	}
	(void)pthread_mutex_lock(&w->lock);
	was_failing = w->failing;
	w->failing = false;
	(void)pthread_mutex_unlock(&w->lock);
	if (was_failing)
		diag_info("log records are written again");
	return true;
}

static void report(struct log_writer *w, struct inbox_item *round)
{
	while (round) {
		struct log_batch *batch = batch_of(round);

		round = round->next;
		/* Who is told looks whether there is room again. */
		(void)atomic_fetch_add(&w->records, batch->records);
		(void)atomic_fetch_sub(&w->waiting, batch->records);
		tell_waiter(batch, true);
		(void)atomic_fetch_add(&w->batches, 1);
		if (batch->done)
			batch->done(batch->ctx);
		log_batch_free(batch);
	}
	(void)pthread_mutex_lock(&w->lock);
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
}

static void give_up(struct log_writer *w, struct inbox_item *round)
{
	diag_error("%lld log records are lost: %s",
	    (long long)atomic_load(&w->waiting), w->failure.text);
	while (round) {
		struct inbox_item *next = round->next;

		log_batch_free(batch_of(round));
		round = next ? next : inbox_take_all(w->inbox);
	}
}

/* Puts the batch's lines into the segments; returns how many bytes. */
static size_t put_batch(struct log_writer *w, const struct log_batch *batch)
{
	size_t bytes = 0;

	for (size_t i = 0; i < w->set.sink_count; i++) {
		const struct buf *text = &batch->texts[i];

		if (text->len)
			log_segment_put(
			    w->set.sinks[i].segment, text->data, text->len);
		if (text->len && batch->waiter)
			log_segment_want_sync(w->set.sinks[i].segment);
		bytes += text->len;
	}
	return bytes;
}

static void *run(void *ctx)
{
	struct log_writer *w = ctx;

	for (;;) {
		struct inbox_item *item, *first, **end = &first;
		size_t bytes = 0;

		item = inbox_take(w->inbox, logger_set_tick(&w->set));
		if (!item && inbox_closed(w->inbox))
			return NULL;
		if (!item)
			continue;
		do {
			bytes += put_batch(w, batch_of(item));
			*end = item;
			end = &item->next;
			item = bytes < ROUND_BYTES ? inbox_take(w->inbox, 0)
						   : NULL;
		} while (item);
		*end = NULL;
		if (!write_round(w)) {
			give_up(w, first);
			return NULL;
		}
		report(w, first);
	}
}

/* ---- start and stop ---- */

static void release(struct log_writer *w)
{
	logger_set_release(&w->set);
	inbox_free(w->inbox);
	(void)pthread_cond_destroy(&w->changed);
	(void)pthread_mutex_destroy(&w->lock);
	arena_unref(w->arena);
	free(w);
}

struct log_writer *log_writer_start(const struct logger_settings *loggers,
    size_t count, const char *role, const char *nodeid, struct err *err)
{
	struct log_writer *w = xcalloc(1, sizeof *w);
	pthread_condattr_t attr;

	w->arena = arena_new(0);
	w->nodeid = arena_strdup(w->arena, nodeid);
	w->stop_by = INT64_MAX;
	w->inbox = inbox_new();
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (!logger_set_open(&w->set, loggers, count, role, w->arena, err)) {
		release(w);
		return NULL;
	}
	w->thread = worker_thread_start("log", run, w);
	return w;
}

void log_writer_stop(struct log_writer *w)
{
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop_by = clock_now_ms() + STOP_PATIENCE_MS;
	(void)pthread_mutex_unlock(&w->lock);
	inbox_close(w->inbox);
	(void)pthread_join(w->thread, NULL);
	release(w);
}

/* ---- is there room? ---- */

static bool has_room(const struct log_writer *w)
{
	return atomic_load(&w->waiting) <= w->set.back_pressure;
}

bool log_writer_wait_room(struct log_writer *w, int64_t deadline)
{
	struct timespec until = clock_timespec(deadline);
	bool room;
	int rc = 0;

	if (has_room(w))
		return true;
	(void)pthread_mutex_lock(&w->lock);
	while (!has_room(w) && rc == 0)
		rc = pthread_cond_timedwait(&w->changed, &w->lock, &until);
	room = has_room(w);
	(void)pthread_mutex_unlock(&w->lock);
	return room;
}

bool log_writer_failing(struct log_writer *w, struct err *err)
{
	bool failing;

	(void)pthread_mutex_lock(&w->lock);
	failing = w->failing;
	if (failing && err)
		*err = w->failure;
	(void)pthread_mutex_unlock(&w->lock);
	if (failing)
		return true;
	if (has_room(w))
		return false;
	(void)err_set(err, ERR_TEMP, "%lld log records wait to be written",
	    (long long)atomic_load(&w->waiting));
	return true;
}

bool log_writer_has_room(struct log_writer *w, int64_t wait_ms, struct err *err)
{
	if (!logger_set_has_room(&w->set, err))
		return false;
	if (!log_writer_failing(w, err))
		return true;
	/* Failing for another reason than too many that wait. */
	if (has_room(w) || wait_ms <= 0)
		return false;
	(void)log_writer_wait_room(w, clock_now_ms() + wait_ms);
	return !log_writer_failing(w, err);
}

void log_writer_stats(struct log_writer *w, struct log_writer_stats *out)
{
	out->records = atomic_load(&w->records);
	out->batches = atomic_load(&w->batches);
	out->waiting = atomic_load(&w->waiting);
	(void)pthread_mutex_lock(&w->lock);
	out->failing = w->failing;
	(void)pthread_mutex_unlock(&w->lock);
}
