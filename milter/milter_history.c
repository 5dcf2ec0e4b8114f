/*
 * milter_history.c - reports that came in, as the history of the queue has them
 */
#include "milter/milter_history.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "milter/milter_link.h"
#include "milter/milter_report.h"
#include "milter/milter_suppression.h"

#define LINKED_MOST 1000
#define OTHERS_MOST 10
#define STRANGERS_MOST 1000
#define HOUR_MS 3600000
#define TEXT_MOST 1000

static const char *cut(struct arena *arena, const char *text)
{
	if (!text || strlen(text) <= TEXT_MOST)
		return text;
	return arena_strndup(arena, text, TEXT_MOST);
}

static struct queue_report row_of(struct session *s, const struct batch *b,
    const char *kind, const char *named, const char *reporter,
    const struct report_link *link)
{
	struct arena *arena = s->tx->arena;

	return (struct queue_report){
	    .kind = kind,
	    .report = b->message->id,
	    .message = link->id,
	    .how = link_how_name(link->how),
	    .address = link->linked ? link->recipient : cut(arena, named),
	    .queue = link->queue,
	    .reporter = cut(arena, reporter),
	    .client = *s->peer_text ? s->peer_text : NULL,
	    .at = clock_unix(),
	};
}

struct limits {
	size_t linked, others;
};

static bool strangers_may(struct service *service)
{
	int64_t now = clock_now_ms();
	int had;

	pthread_mutex_lock(&service->lock);
	if (!service->stranger_rows ||
	    now - service->strangers_since_ms >= HOUR_MS) {
		service->strangers_since_ms = now;
		service->stranger_rows = 0;
	}
	had = service->stranger_rows;
	service->stranger_rows += had <= STRANGERS_MOST;
	pthread_mutex_unlock(&service->lock);
	if (had == STRANGERS_MOST)
		diag_warn("reports: %d that are not linked came in within an "
			  "hour; until it is over the history takes no more of "
			  "them, the log does",
		    STRANGERS_MOST);
	return had < STRANGERS_MOST;
}

static bool may_add(
    struct session *s, struct limits *had, const struct report_link *link)
{
	if (link->linked)
		return !link->repeated && had->linked++ < LINKED_MOST;
	return had->others++ < OTHERS_MOST && strangers_may(s->service);
}

static void add_oob(
    struct report_rows *rows, struct session *s, const struct batch *b)
{
	const struct dsn *dsn = &b->reading->dsn;
	struct limits had = {0};

	for (size_t i = 0; i < dsn->count; i++) {
		const struct dsn_recipient *of = &dsn->recipients[i];
		const struct report_link *link = &b->links->items[i];
		struct queue_report row;
		struct smtp_reply reply;
		struct buf line = BUF_INIT;

		if (of->action != REPORT_FAILED || !may_add(s, &had, link))
			continue;
		row = row_of(
		    s, b, "oob", dsn_blames(of), dsn->reporting_mta.name, link);
		reply = dsn_reply(of, s->tx->arena);
		smtp_reply_one_line(&line, &reply);
		row.code = reply.code;
		row.reply = cut(
		    s->tx->arena, arena_strdup(s->tx->arena, buf_str(&line)));
		*ARRAY_ADD(rows) = row;
		buf_release(&line);
	}
}

static void add_feedback(
    struct report_rows *rows, struct session *s, const struct batch *b)
{
	const struct arf *arf = &b->reading->arf;
	const char *named = arf->original_rcpto_to.count
				? arf->original_rcpto_to.items[0]
				: NULL;
	struct limits had = {0};

	for (size_t i = 0; i < b->links->count; i++) {
		const struct report_link *link = &b->links->items[i];
		struct queue_report row;

		if (!may_add(s, &had, link))
			continue;
		row = row_of(s, b, "feedback", named, arf->user_agent, link);
		row.reply = cut(s->tx->arena, arf->feedback_type);
		*ARRAY_ADD(rows) = row;
	}
}

void report_rows_add(
    struct report_rows *rows, struct session *s, const struct batch *b)
{
	if (!b->reading || b->reading->is_noted)
		return;
	if (b->report == BATCH_OOB)
		add_oob(rows, s, b);
	if (b->report == BATCH_FEEDBACK)
		add_feedback(rows, s, b);
	b->reading->is_noted = true;
}

void report_rows_release(struct report_rows *rows)
{
	ARRAY_FREE(rows);
}

void report_rows_note_left(struct session *s, const struct batch *b,
    int64_t deadline, custody_progress_fn *progress, void *progress_ctx)
{
	struct report_rows rows = {0};
	struct suppression_hits hits = {0};
	struct queue_intake intake = {.session_id = s->id};
	struct custody *custody;
	struct err err = {0};

	if (!b->reading || b->reading->is_noted)
		return;
	hits = suppression_hits(s, b, 1);
	report_rows_add(&rows, s, b);
	intake.hits = hits.items;
	intake.hit_count = hits.count;
	intake.reports = rows.items;
	intake.report_count = rows.count;
	if (intake.hit_count || intake.report_count) {
		custody = custody_begin(s->service->writer, &intake);
		if (custody_wait(custody, deadline, progress, progress_ctx,
			&err) != CUSTODY_COMMITTED)
			diag_warn(
			    "%s: a report was not noted: %s", s->id, err.text);
		custody_free(custody);
	}
	report_rows_release(&rows);
}
