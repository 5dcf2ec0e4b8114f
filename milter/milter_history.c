/*
 * milter_history.c - reports that came in, as the history of the queue has them
 */
#include "milter/milter_history.h"

#include "base/array.h"
#include "base/clock.h"
#include "milter/milter_link.h"
#include "milter/milter_report.h"

#define LINKED_MOST 1000
#define OTHERS_MOST 10
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

static bool may_add(struct limits *had, const struct report_link *link)
{
	return link->linked ? had->linked++ < LINKED_MOST
			    : had->others++ < OTHERS_MOST;
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

		if (of->action != REPORT_FAILED || !may_add(&had, link))
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

		if (!may_add(&had, link))
			continue;
		row = row_of(s, b, "feedback", named, arf->user_agent, link);
		row.reply = cut(s->tx->arena, arf->feedback_type);
		*ARRAY_ADD(rows) = row;
	}
}

void report_rows_add(
    struct report_rows *rows, struct session *s, const struct batch *b)
{
	if (b->report == BATCH_OOB)
		add_oob(rows, s, b);
	if (b->report == BATCH_FEEDBACK)
		add_feedback(rows, s, b);
}

void report_rows_release(struct report_rows *rows)
{
	ARRAY_FREE(rows);
}
