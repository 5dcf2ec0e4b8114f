/*
 * outcome_batch.c - outcomes that are logged and committed together
 */
#include "router/outcome_batch.h"

#include "base/array.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "policy/setup.h"
#include "queue/queue.h"
#include "router/intake.h"
#include "router/record_asks.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

struct outcome_batch {
	struct queue_job job;    /* settles it, on the writer thread */
	struct loop_item logged; /* the log thread reports */
	struct router *r;
	struct arena *arena;
	struct log_batch *log;
	struct record_asks *asks; /* NULL: nobody asks */
	struct {
		struct queue_verdict *items;
		size_t count, size;
	} verdicts;
	struct {
		struct ready_message **items; /* one for each verdict */
		size_t count, size;
	} messages;
	struct {
		const char **items;
		size_t count, size;
	} lines;
	struct {
		struct message **items; /* of moves */
		size_t count, size;
	} kept;
	const char *last_text;
	size_t gone;
	bool durable;
	bool row_first; /* the planted bug outcome.record-after-row */
	void (*done)(struct outcome_batch *batch, void *ctx);
	void *ctx;
};

/* Records are on disk.  A crash here delivers again: never lost, and each
 * delivery has its record. */
static bool settle(struct queue_job *job, struct queue_conn *conn)
{
	struct outcome_batch *b = CONTAINER_OF(job, struct outcome_batch, job);
	struct message *const *inject = NULL;
	size_t inject_count = 0;

	if (b->asks)
		inject = record_asks_messages(b->asks, &inject_count);
	if (b->verdicts.count == 0 && inject_count == 0)
		return true;
	return queue_settle(conn, b->verdicts.items, b->verdicts.count, inject,
	    inject_count, b->durable, &b->gone, &job->err);
}

static void finish(struct outcome_batch *b)
{
	struct router *r = b->r;

	r->counters.gone += (int64_t)b->gone;
	for (size_t i = 0; i < b->messages.count; i++)
		intake_settled(r->intake, b->messages.items[i]);
	b->done(b, b->ctx);
	/* What was inserted may be due. */
	if (b->asks)
		intake_scan(r->intake);
	record_asks_free(b->asks);
	log_batch_free(b->log);
	ARRAY_FREE(&b->verdicts);
	ARRAY_FREE(&b->messages);
	ARRAY_FREE(&b->lines);
	for (size_t i = 0; i < b->kept.count; i++)
		message_unref(b->kept.items[i]);
	ARRAY_FREE(&b->kept);
	arena_unref(b->arena);
	free(b);
}

static void on_log_thread(void *ctx)
{
	struct outcome_batch *b = ctx;

	loop_post(b->r->loop, &b->logged);
}

static void send_to_log(struct outcome_batch *b)
{
	struct log_batch *log = b->log;
	struct router *r = b->r;

	b->log = NULL;
	log_writer_submit(log, on_log_thread, b);
	if (!(r->holds & HOLD_LOG))
		router_look_at_log(r);
}

static void on_asked(void *ctx)
{
	send_to_log(ctx);
}

static void run_logged(struct loop_item *item)
{
	struct outcome_batch *b =
	    CONTAINER_OF(item, struct outcome_batch, logged);

	if (b->r->holds & HOLD_LOG)
		router_look_at_log(b->r);
	if (b->row_first) {
		finish(b);
		return;
	}
	(void)FAULT_POINT("outcome.after-record");
	queue_threads_write(b->r->threads, &b->job);
}

static void run_settled(struct loop_item *item)
{
	struct outcome_batch *b =
	    CONTAINER_OF(item, struct outcome_batch, job.item);

	invariant(b->job.ok);
	if (b->row_first)
		send_to_log(b);
	else
		finish(b);
}

struct outcome_batch *outcome_batch_new(struct router *r,
    void (*done)(struct outcome_batch *batch, void *ctx), void *ctx)
{
	struct outcome_batch *b = xcalloc(1, sizeof *b);

	b->r = r;
	b->arena = arena_new(16384);
	b->log = log_batch_new(r->log);
	b->job.item.run = run_settled;
	b->job.work = settle;
	b->job.owed = true;
	b->logged.run = run_logged;
	b->done = done;
	b->ctx = ctx;
	return b;
}

struct arena *outcome_batch_arena(struct outcome_batch *b)
{
	return b->arena;
}

void outcome_batch_record(struct outcome_batch *b,
    const struct log_record *record, const struct record_subject *about)
{
	struct log_record with_class = *record;

	log_record_classify(
	    &with_class, script_policy_setup(b->r->policy)->classifier);
	log_batch_add(b->log, &with_class);
	if (!b->asks && record_asks_needed(b->r))
		b->asks = record_asks_new(b->r);
	if (b->asks)
		record_asks_add(b->asks, b->log, &with_class, about);
}

/* What the verdict points to stays until intake_settled(). */
void outcome_batch_add(struct outcome_batch *b, struct ready_message *rm,
    size_t n, const struct queue_verdict *verdict)
{
	struct queue_verdict *v = ARRAY_ADD(&b->verdicts);

	*v = *verdict;
	v->recipient_id = rm->info[n].row;
	v->message = &rm->m;
	v->address = rm->recipients[n].who.address.email;
	v->queue = rm->sq->name;
	v->ref = rm->info[n].ref;
	*ARRAY_ADD(&b->messages) = rm;
}

void outcome_batch_order(struct outcome_batch *b)
{
	b->durable = true;
}

void outcome_batch_keep_take(struct outcome_batch *b, struct message *m)
{
	*ARRAY_ADD(&b->kept) = m;
}

const char *outcome_batch_text(struct outcome_batch *b, const char *text)
{
	if (!text)
		return NULL;
	if (!b->last_text || !str_eq(b->last_text, text))
		b->last_text = arena_strdup(b->arena, text);
	return b->last_text;
}

void outcome_batch_line(struct outcome_batch *b, const struct buf *line)
{
	*ARRAY_ADD(&b->lines) = arena_strndup(b->arena, line->data, line->len);
}

size_t outcome_batch_count(const struct outcome_batch *b)
{
	return b->verdicts.count;
}

void outcome_batch_submit(struct outcome_batch *b)
{
	diag_info_all(b->lines.items, b->lines.count);
	b->row_first = FAULT_POINT("outcome.record-after-row");
	if (b->row_first)
		queue_threads_write(b->r->threads, &b->job);
	else if (b->asks && record_asks_count(b->asks) > 0)
		record_asks_run(b->asks, b->log, on_asked, b);
	else
		send_to_log(b);
}
