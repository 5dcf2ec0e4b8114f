/*
 * milter_report.c - is it a report, and what becomes of it then?
 */
#include "milter/milter_report.h"

#include "base/clock.h"
#include "base/diag.h"
#include "milter/milter_history.h"
#include "milter/milter_record.h"

static struct report_reading *find_reading(struct session *s,
    struct report_reading **readings, struct content *content, struct err *err)
{
	struct report_reading *r;

	for (r = *readings; r; r = r->next)
		if (r->content == content)
			return r;
	r = ARENA_NEW(s->tx->arena, struct report_reading);
	if (!report_open_content(
		content, s->tx->arena, &r->report, &r->calls_itself_one, err))
		return NULL;
	/* Held, so that no other content can have its address. */
	r->content = content_ref(content);
	r->next = *readings;
	*readings = r;
	return r;
}

void report_readings_release(struct report_reading **readings)
{
	for (struct report_reading *r = *readings; r; r = r->next)
		content_unref(r->content);
	*readings = NULL;
}

static bool is_feedback(struct report_reading *r, struct arena *arena)
{
	struct value *v;

	if (!r->arf_read) {
		r->arf_result = arf_parse(&r->report, arena, &r->arf, NULL);
		r->arf_read = true;
	}
	if (r->arf_result != REPORT_READ)
		return false;
	if (!r->feedback) {
		v = ARENA_NEW(arena, struct value);
		*v = arf_value(&r->arf, &r->report, arena);
		r->feedback = v;
	}
	return true;
}

static bool is_oob(struct report_reading *r, struct arena *arena)
{
	if (!r->dsn_read) {
		r->dsn_result = dsn_parse(&r->report, arena, &r->dsn, NULL);
		r->dsn_read = true;
	}
	return r->dsn_result == REPORT_READ;
}

static bool is_kept(enum report_mode mode, bool relay)
{
	return mode == REPORT_LOG_THEN_RELAY || (mode == REPORT_LOG && relay);
}

bool report_judge(struct session *s, struct report_reading **readings,
    struct batch *b, const struct relay_answer *relay, int64_t deadline,
    struct err *err)
{
	struct arena *arena = s->tx->arena;
	struct report_reading *r;
	enum report_mode mode;

	if (relay->log_arf == REPORT_IGNORE && relay->log_oob == REPORT_IGNORE)
		return true;
	r = find_reading(s, readings, b->message->content, err);
	if (!r)
		return false;
	if (r->calls_itself_one && relay->log_arf != REPORT_IGNORE &&
	    is_feedback(r, arena)) {
		b->report = BATCH_FEEDBACK;
		mode = relay->log_arf;
	} else if (r->calls_itself_one && relay->log_oob != REPORT_IGNORE &&
		   is_oob(r, arena)) {
		b->report = BATCH_OOB;
		mode = relay->log_oob;
	} else {
		/* What only people can read comes from <> like the rest. */
		if (r->calls_itself_one ||
		    address_is_null(&b->message->sender.address))
			b->report = BATCH_UNREADABLE;
		return true;
	}
	b->links = b->report == BATCH_OOB
		       ? report_links_of_dsn(s, r, deadline, err)
		       : report_links_of_arf(s, r, deadline, err);
	if (!b->links)
		return false;
	b->reading = r;
	b->fate = is_kept(mode, relay->relay) ? BATCH_KEPT : BATCH_LOGGED;
	return true;
}

/* ---- recipients that the MTA keeps ---- */

static bool is_logged(const struct rcpt *r)
{
	return !r->is_ours &&
	       (r->log_oob != REPORT_IGNORE || r->log_arf != REPORT_IGNORE);
}

bool report_wanted_of_left(const struct transaction *tx)
{
	for (size_t i = 0; i < tx->rcpts.count; i++)
		if (is_logged(&tx->rcpts.items[i]))
			return true;
	return false;
}

/* As for one that is ours: with a scheduled queue, which is only a name. */
static bool judge_left(struct session *s, struct report_reading **readings,
    const struct rcpt *rcpt, struct batch *b, int64_t deadline, struct err *err)
{
	const struct relay_answer relay = {
	    .log_oob = rcpt->log_oob, .log_arf = rcpt->log_arf};
	struct buf queue = BUF_INIT;
	bool ok;

	ok = message_queue_name(b->message, &queue, err) &&
	     report_judge(s, readings, b, &relay, deadline, err);
	b->queue = arena_strdup(s->tx->arena, buf_str(&queue));
	buf_release(&queue);
	return ok;
}

/* False: it cannot be done, for the others neither. */
static bool log_left(struct session *s, struct report_reading **readings,
    const struct rcpt *rcpt, struct batch *b, struct content *content,
    int64_t deadline)
{
	struct message *m = b->message;
	struct err err = {0};

	m->content = content_ref(content);
	batch_set_sender(m, &s->tx->sender);
	batch_add_recipient(m, &rcpt->envelope);
	meta_free(m->meta);
	m->meta = meta_copy(s->meta);
	if (s->tx->queue_id)
		meta_set_string(m->meta, "mta_queue_id", s->tx->queue_id);
	if (judge_left(s, readings, rcpt, b, deadline, &err)) {
		record_left_report(s, b, deadline);
		return true;
	}
	diag_warn("%s: a report could not be logged: %s", s->id, err.text);
	return false;
}

void report_log_left(struct session *s, struct report_reading **readings,
    struct content *content, int64_t deadline, custody_progress_fn *progress,
    void *progress_ctx)
{
	const struct transaction *tx = s->tx;
	size_t done = 0;
	bool go_on = true;

	for (size_t i = 0; i < tx->rcpts.count && go_on; i++) {
		struct batch b = {.fate = BATCH_DROPPED};

		if (!is_logged(&tx->rcpts.items[i]))
			continue;
		if (done++ == REPORT_LEFT_MOST || clock_now_ms() >= deadline) {
			diag_warn("%s: a report is logged for the first %zu of "
				  "its recipients",
			    s->id, done - 1);
			return;
		}
		b.message = message_new();
		go_on = log_left(
		    s, readings, &tx->rcpts.items[i], &b, content, deadline);
		report_rows_note_left(s, &b, deadline, progress, progress_ctx);
		message_unref(b.message);
	}
}
