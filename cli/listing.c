/*
 * listing.c - rows of v_queue as mailq would show them, or as JSON
 */
#include "cli/listing.h"

#include <inttypes.h>

#include "base/json.h"
#include "base/str.h"
#include "cli/output.h"

/* Columns that are about the message; the rest is about the recipient. */
static const char *const of_message[] = {
    "id", "sender", "size", "created_ms", "created", "age", "mta_queue_id"};

static bool is_of_message(const char *key)
{
	for (size_t i = 0; i < COUNT(of_message); i++) {
		if (str_eq(of_message[i], key))
			return true;
	}
	return false;
}

void listing_begin(struct listing *l, FILE *out, bool json, int64_t now)
{
	*l = (struct listing){.out = out, .json = json, .now = now};
}

/* Why it has not been delivered; false: it has not been tried. */
static bool add_reason(struct buf *out, const struct value *row)
{
	const char *held = row_text(row, "held_because");
	const char *reply = row_text(row, "last_reply");
	char code[16];

	if (str_eq(row_text(row, "state"), "held") && held) {
		buf_addstr(out, held);
		return true;
	}
	if (!reply)
		return false;
	/* The code stands in the text when the view has it there. */
	(void)snprintf(
	    code, sizeof code, "%" PRId64, row_int(row, "last_code"));
	if (row_int(row, "last_code") > 0 && !str_starts(reply, code))
		buf_addf(out, "%s ", code);
	buf_addstr(out, reply);
	return true;
}

static void count_state(struct listing *l, const struct value *row)
{
	const char *state = row_text(row, "state");

	l->recipients++;
	if (str_eq(state, "leased"))
		l->active++;
	else if (str_eq(state, "held"))
		l->held++;
	else if (row_int(row, "attempts") > 0)
		l->deferred++;
}

/* ---- JSON ---- */

static void json_message(struct listing *l, const struct value *row)
{
	struct json_object o = {&l->head, false};

	buf_reset(&l->head);
	json_add_string(&o, "queue_id", l->id);
	json_add_int(&o, "arrival_time", row_int(row, "created_ms") / 1000);
	json_add_int(&o, "message_size", row_int(row, "size"));
	json_add_bool(&o, "forced_expire", false);
	json_add_string(&o, "sender", row_text(row, "sender"));
	json_add_string(&o, "mta_queue_id", row_text(row, "mta_queue_id"));
	json_add_int(&o, "created_ms", row_int(row, "created_ms"));
}

static void json_recipient(struct listing *l, const struct value *row)
{
	struct buf reason = BUF_INIT;
	struct json_object o;

	if (l->list.len)
		buf_addch(&l->list, ',');
	json_open(&o, &l->list);
	json_add_string(&o, "address", row_text(row, "recipient"));
	if (add_reason(&reason, row))
		json_add_string(&o, "delay_reason", buf_str(&reason));
	VALUE_EACH (e, row) {
		if (!is_of_message(e->key) && !str_eq(e->key, "recipient"))
			json_add_value(&o, e->key, &e->value);
	}
	json_close(&o);
	buf_release(&reason);
}

/* Which of Postfix's queues it would be in. */
static const char *postfix_queue(const struct listing *l)
{
	if (l->active)
		return "active";
	if (l->held)
		return "hold";
	return l->deferred ? "deferred" : "incoming";
}

static void json_finish(struct listing *l)
{
	(void)fprintf(l->out, "{\"queue_name\":\"%s\"%s,\"recipients\":[%s]}\n",
	    postfix_queue(l), buf_str(&l->head), buf_str(&l->list));
	buf_reset(&l->list);
	l->active = l->held = l->deferred = 0;
}

/* ---- text ---- */

static void text_message(struct listing *l, const struct value *row)
{
	const char *sender = row_text(row, "sender");
	char size[24], when[32];

	if (l->messages == 1)
		(void)fprintf(l->out, "%-32s  %-19s  %7s  %s\n", "Queue ID",
		    "Arrived", "Size", "Sender");
	(void)fprintf(l->out, "%-32s  %s  %7s  ", l->id,
	    out_time(when, row_int(row, "created_ms") / 1000),
	    out_size(size, row_int(row, "size")));
	out_text(l->out, sender && *sender ? sender : "<>");
	(void)fputc('\n', l->out);
}

static void text_state(const struct listing *l, const struct value *row)
{
	const char *state = row_text(row, "state");
	int64_t due = row_int(row, "due_at");
	int64_t attempts = row_int(row, "attempts");
	char when[32];

	if (str_eq(state, "held"))
		(void)fputs("held", l->out);
	else if (str_eq(state, "leased"))
		(void)fputs("being delivered", l->out);
	else if (due > l->now)
		(void)fprintf(l->out, "%s until %s",
		    attempts > 0 ? "deferred" : "waits", out_time(when, due));
	else
		(void)fputs("due now", l->out);
	if (attempts > 0) {
		(void)fputs(" after ", l->out);
		out_count(l->out, attempts, "attempt");
	}
}

static void text_recipient(struct listing *l, const struct value *row)
{
	const char *queue = row_text(row, "queue");
	struct buf reason = BUF_INIT;

	(void)fputs("    ", l->out);
	out_text(l->out, row_text(row, "recipient"));
	if (queue && !str_eq(queue, row_text(row, "domain"))) {
		(void)fputs("  in ", l->out);
		out_text(l->out, queue);
	}
	(void)fputs("\n        ", l->out);
	text_state(l, row);
	if (add_reason(&reason, row)) {
		(void)fputs(": ", l->out);
		out_text_len(l->out, reason.data, reason.len);
	}
	(void)fputc('\n', l->out);
	buf_release(&reason);
}

/* ---- */

bool listing_row(const struct value *row, void *ctx)
{
	struct listing *l = ctx;
	const char *id = row_text(row, "id");

	if (!id)
		id = "?";
	if (!str_eq(l->id, id)) {
		if (l->json && l->messages)
			json_finish(l);
		(void)str_copy(l->id, sizeof l->id, id);
		l->messages++;
		l->bytes += row_int(row, "size");
		if (l->json)
			json_message(l, row);
		else
			text_message(l, row);
	}
	count_state(l, row);
	if (l->json)
		json_recipient(l, row);
	else
		text_recipient(l, row);
	return !ferror(l->out);
}

void listing_end(struct listing *l)
{
	char size[24];

	if (l->json) {
		if (l->messages)
			json_finish(l);
	} else if (l->messages == 0) {
		(void)fputs("Queue is empty.\n", l->out);
	} else {
		(void)fprintf(l->out, "-- %s%s in ", out_size(size, l->bytes),
		    l->bytes < 1000 ? " bytes" : "");
		out_count(l->out, l->messages, "message");
		(void)fputs(", ", l->out);
		out_count(l->out, l->recipients, "recipient");
		(void)fputs(".\n", l->out);
	}
	buf_release(&l->head);
	buf_release(&l->list);
}
