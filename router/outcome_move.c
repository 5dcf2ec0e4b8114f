/*
 * outcome_move.c - messages that go on without an attempt: elsewhere, or
 * changed
 *
 * In all of them the message is kept by the batch until its row is written.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "router/outcome_private.h"
#include "router/outcome_record.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

/* All of rm's recipients, as `move` says; takes move's message. */
static void move_all(struct outcomes *o, struct ready_message *rm,
    const struct queue_move *move, struct message *m,
    const struct smtp_reply *reply)
{
	struct outcome_batch *batch = outcomes_batch(o);
	bool goes = str_eq(move->queue, "null") || m->recipients.count == 0;
	size_t count = rm->count;

	outcome_batch_line(batch, &o->line);
	outcome_batch_keep_take(batch, m);
	/* All verdicts of a message in one batch: its row is written once. */
	rm->next = count;
	for (size_t i = 0; i < count; i++)
		outcome_batch_add(batch, rm, i,
		    &(struct queue_verdict){
			.kind = goes ? VERDICT_DELIVERED : VERDICT_MOVED,
			.attempts = goes ? 0 : move->attempts,
			.reply = reply,
			.at = clock_unix(),
			.move = move});
	outcomes_count(o, count);
}

void outcome_move_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue)
{
	struct arena *arena = outcome_batch_arena(outcomes_batch(o));
	struct queue_move *move = ARENA_NEW(arena, struct queue_move);
	int64_t now = clock_unix();
	struct smtp_reply reply = smtp_reply_make(
	    arena, 250, NULL, "rebound from %s to %s", rm->sq->name, queue);

	*move = (struct queue_move){.message_id = rm->m.message_id,
	    .message = m,
	    .queue = arena_strdup(arena, queue),
	    .due_at = m->due_at > now ? m->due_at : now};
	outcome_record_move(outcomes_batch(o), LOG_DEFERRED_INJECTION_REBIND,
	    &reply, rm, m, queue);
	buf_reset(&o->line);
	buf_addf(&o->line, "%s: rebound from %s to %s", rm->m.id, rm->sq->name,
	    queue);
	move_all(o, rm, move, m, NULL);
}

void outcome_put_back_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue, const char *why)
{
	struct arena *arena = outcome_batch_arena(outcomes_batch(o));
	struct queue_move *move = ARENA_NEW(arena, struct queue_move);
	int64_t now = clock_unix();
	struct smtp_reply reply;
	char text[40];

	*move = (struct queue_move){.message_id = rm->m.message_id,
	    .message = m,
	    .queue = arena_strdup(arena, queue),
	    .due_at = m->due_at > now ? m->due_at : now,
	    .attempts = m->attempts};
	reply = smtp_reply_make(arena, 400, NULL, "%s: due at %s", why,
	    clock_rfc3339(text, move->due_at * 1000));
	outcome_record_move(
	    outcomes_batch(o), LOG_DELAYED, &reply, rm, m, queue);
	buf_reset(&o->line);
	buf_addf(&o->line, "%s: delayed: queue=%s due=%s by %s", rm->m.id,
	    queue, text, why);
	move_all(o, rm, move, m, NULL);
}

void outcome_rewrite_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue)
{
	struct arena *arena = outcome_batch_arena(outcomes_batch(o));
	struct queue_move *move = ARENA_NEW(arena, struct queue_move);
	int64_t now = clock_unix();

	*move = (struct queue_move){.message_id = rm->m.message_id,
	    .message = m,
	    .queue = arena_strdup(arena, queue),
	    .due_at = m->due_at > now ? m->due_at : now,
	    .attempts = m->attempts};
	buf_reset(&o->line);
	buf_addf(
	    &o->line, "%s: changed by the policy: queue=%s", rm->m.id, queue);
	move_all(o, rm, move, m, NULL);
}

void outcome_rebind_take(struct outcomes *o, struct ready_message *rm,
    struct message *m, const char *queue, const char *reason, bool record)
{
	struct arena *arena = outcome_batch_arena(outcomes_batch(o));
	struct queue_move *move = ARENA_NEW(arena, struct queue_move);
	struct smtp_reply *reply = ARENA_NEW(arena, struct smtp_reply);

	*reply = smtp_reply_make(arena, 250, NULL, "rebound from %s to %s: %s",
	    rm->sq->name, queue, reason);
	*move = (struct queue_move){.message_id = rm->m.message_id,
	    .message = m,
	    .queue = arena_strdup(arena, queue),
	    .due_at = clock_unix(),
	    .attempts = m->attempts};
	if (record)
		outcome_record_move(
		    outcomes_batch(o), LOG_ADMIN_REBIND, reply, rm, m, queue);
	outcome_batch_order(outcomes_batch(o));
	buf_reset(&o->line);
	buf_addf(&o->line, "%s: %s", rm->m.id, reply->text);
	move_all(o, rm, move, m, reply);
}
