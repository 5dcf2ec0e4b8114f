/*
 * outcome.c - what became of an attempt: record, then row
 *
 * Group commit: outcomes are added to the open batch, which is given away when
 * it is full, or LINGER_MS old and the one before is committed: so batches are
 * as large as the disk is slow.  After LINGERS_MOST times that long it goes
 * anyhow, because its records should not wait.  At ROUTER_UNSETTLED_MOST
 * outcomes that are not committed the router holds (HOLD_BACKLOG) until half of
 * them are, so that a slow disk slows deliveries and does not pile up
 * duplicates to be.
 */
#include "router/outcome.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "mail/syslog_line.h"
#include "policy/queue_config.h"
#include "policy/retry.h"
#include "policy/schedule.h"
#include "queue/queue.h"
#include "router/bounce_hit.h"
#include "router/outcome_private.h"
#include "router/outcome_record.h"
#include "router/router.h"
#include "router/scheduled_queue.h"
#include "router/second_thoughts.h"

#define BATCH_MOST 256
#define LINGER_MS 4
#define LINGERS_MOST 10

enum outcome_kind outcome_classify(const struct smtp_reply *reply)
{
	if (reply->code >= 200 && reply->code <= 299)
		return OUTCOME_DELIVERED;
	/* 503 after a reply was lost in a pipeline says nothing about the
	 * message (policy language, 12.8). */
	if (reply->code >= 500 && reply->code <= 599 && reply->code != 503)
		return OUTCOME_BOUNCED;
	return OUTCOME_TRANSIENT;
}

static enum outcome_kind kind_of(
    const struct smtp_reply *reply, const struct attempt *attempt)
{
	return attempt->bounce ? OUTCOME_BOUNCED : outcome_classify(reply);
}

/* ---- batches ---- */

static void batch_done(struct outcome_batch *batch, void *ctx)
{
	struct outcomes *o = ctx;

	o->unsettled -= outcome_batch_count(batch);
	o->under_way--;
	if (o->open && o->lingered > 0)
		outcomes_flush(o);
	if (o->unsettled < ROUTER_UNSETTLED_MOST / 2)
		router_release(o->r, HOLD_BACKLOG);
	router_progress(o->r);
}

void outcomes_flush(struct outcomes *o)
{
	struct outcome_batch *batch = o->open;

	if (!batch)
		return;
	o->open = NULL;
	o->under_way++;
	outcome_batch_submit(batch);
}

static void on_linger(void *ctx)
{
	struct outcomes *o = ctx;

	if (o->open && o->under_way > 0 && ++o->lingered < LINGERS_MOST)
		loop_timer_set(o->linger, LINGER_MS);
	else
		outcomes_flush(o);
}

struct outcome_batch *outcomes_batch(struct outcomes *o)
{
	if (!o->open) {
		o->open = outcome_batch_new(o->r, batch_done, o);
		o->lingered = 0;
		loop_timer_set(o->linger, LINGER_MS);
	}
	return o->open;
}

void outcomes_count(struct outcomes *o, size_t more)
{
	o->unsettled += more;
	if (o->unsettled >= ROUTER_UNSETTLED_MOST)
		router_hold(
		    o->r, HOLD_BACKLOG, "outcomes wait to be committed");
	if (outcome_batch_count(o->open) >= BATCH_MOST)
		outcomes_flush(o);
}

static void add(struct outcomes *o, struct ready_message *rm,
    const struct ready_recipient *info, const struct queue_verdict *verdict)
{
	outcome_batch_add(
	    outcomes_batch(o), rm, (size_t)(info - rm->info), verdict);
	outcomes_count(o, 1);
}

/* ---- retries ---- */

/* Uniform in [0, 1), and the same for all recipients of a message that have
 * come equally far: they stay together and share a transaction again. */
static double chance_of(
    const struct ready_message *rm, const struct ready_recipient *info)
{
	uint32_t hash = 2166136261U ^ (uint32_t)info->attempts;

	for (const char *p = rm->m.id; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	hash ^= hash >> 15;
	hash *= 2246822519U;
	hash ^= hash >> 13;
	return (double)hash / 4294967296.0;
}

int64_t outcome_maildir_delay_s(
    const struct ready_message *rm, const struct delivery_recipient *recipient)
{
	const struct retry_question q = {
	    .chance = chance_of(rm, &rm->info[recipient->recipient_id])};

	return retry_soon(queue_config_defaults(), &q).due_at;
}

/* What message:set_scheduling left in the file; NULL: nothing, or nothing that
 * makes sense (SQL by hand). */
static const struct schedule *schedule_of(
    struct outcomes *o, const struct ready_message *rm)
{
	struct arena *arena = outcome_batch_arena(outcomes_batch(o));
	struct schedule *schedule;
	struct value table;
	struct err err = {0};

	if (!rm->m.scheduling)
		return NULL;
	schedule = ARENA_NEW(arena, struct schedule);
	if (json_parse(rm->m.scheduling, strlen(rm->m.scheduling), arena,
		&table, &err) &&
	    schedule_parse(&table, arena, schedule, &err))
		return schedule;
	diag_warn("%s: scheduling: %s", rm->m.id, err.text);
	return NULL;
}

/* False: it expires instead.  Sent elsewhere by the policy it is due at once,
 * and the limits are those of its new queue (10.7). */
static bool retry(struct outcomes *o, const struct ready_message *rm,
    const struct ready_recipient *info, const struct attempt *attempt,
    int64_t now, struct queue_verdict *verdict)
{
	const struct queue_config *config =
	    attempt->move_now ? attempt->move_config
			      : scheduled_queue_config(rm->sq);
	struct retry_question q = {
	    .attempts = info->attempts,
	    .now = now,
	    .created_at = rm->m.created_ms / 1000,
	    .expires_at = info->expires,
	    .chance = chance_of(rm, info),
	};
	const struct schedule *schedule = schedule_of(o, rm);
	struct retry_answer answer;

	if (schedule && schedule->expires_at)
		q.expires_at = schedule->expires_at;
	if (attempt->move_now) {
		verdict->due_at = now;
		return !config || !retry_without_attempt(config, &q, 0).expired;
	}
	answer = attempt->maildir ? retry_soon(config, &q)
				  : retry_after_failure(config, &q);
	if (schedule)
		answer.due_at = schedule_next(schedule, answer.due_at);
	verdict->due_at = answer.due_at;
	verdict->attempts = (int)answer.attempts;
	return !answer.expired;
}

/* ---- records ---- */

static const struct outcome_text {
	enum log_type type;
	const char *status; /* as Postfix says it */
} texts[] = {
    [OUTCOME_DELIVERED] = {LOG_DELIVERY, "sent"},
    [OUTCOME_TRANSIENT] = {LOG_TRANSIENT_FAILURE, "deferred"},
    [OUTCOME_BOUNCED] = {LOG_BOUNCE, "bounced"},
};

static void say(struct outcomes *o, const struct ready_message *rm,
    const char *address, const char *status, const struct smtp_reply *reply,
    const char *relay)
{
	if (diag_level() > DIAG_INFO)
		return;
	buf_reset(&o->line);
	syslog_line_outcome(&o->line, rm->m.id, address, relay,
	    clock_unix_ms() - rm->m.created_ms, status, reply);
	outcome_batch_line(outcomes_batch(o), &o->line);
}

/* "host[ip]:port", NULL when nobody was spoken to. */
static const char *relay_text(
    const struct session_facts *facts, char *out, size_t size)
{
	char ip[IP_TEXT];

	if (!facts || !facts->peer_name)
		return NULL;
	if (facts->peer_ip.family && facts->peer_port)
		(void)snprintf(out, size, "%s[%s]:%u", facts->peer_name,
		    ip_print(ip, &facts->peer_ip), facts->peer_port);
	else
		(void)snprintf(out, size, "%s", facts->peer_name);
	return out;
}

/* ---- one recipient ---- */

static struct ready_recipient *info_of(
    struct ready_message *rm, const struct delivery_recipient *recipient)
{
	invariant(recipient->recipient_id >= 0 &&
		  (size_t)recipient->recipient_id < rm->count);
	return &rm->info[recipient->recipient_id];
}

static void expire(struct outcomes *o, struct ready_message *rm,
    const struct delivery_recipient *recipient, int attempts,
    const struct attempt *attempt, struct queue_verdict *verdict)
{
	struct arena *arena = outcome_batch_arena(outcomes_batch(o));
	struct smtp_reply *reply = ARENA_NEW(arena, struct smtp_reply);
	const char *address = recipient->who.address.email;
	const struct delivery_recipient *const alone = recipient;

	*reply = smtp_reply_make(arena, 551, "5.4.7",
	    "message expired: its next attempt would be past its lifetime; "
	    "last reply: %d %.300s",
	    recipient->reply.code, recipient->reply.text);
	outcome_record(outcomes_batch(o), o->r, &o->headers, LOG_EXPIRATION, rm,
	    &alone, 1, reply, attempts,
	    &(struct attempt){.site = attempt->site,
		.pool = attempt->pool,
		.source = attempt->source});
	verdict->kind = VERDICT_EXPIRED;
	verdict->reply = reply;
	o->r->counters.expired++;
	say(o, rm, address, "expired", reply, NULL);
}

static bool is_null(const struct queue_move *move)
{
	return move && str_eq(move->queue, "null");
}

/* The policy has changed it: written back, and perhaps elsewhere. */
static void move_on(struct outcomes *o, const struct attempt *attempt,
    struct queue_verdict *verdict)
{
	struct queue_move *move = attempt->move;

	o->r->counters.deferred++;
	move->attempts = verdict->attempts;
	move->due_at = verdict->due_at;
	verdict->move = move;
	verdict->kind = is_null(move) ? VERDICT_DELIVERED : VERDICT_MOVED;
}

static void report_one(struct outcomes *o, struct ready_message *rm,
    struct delivery_recipient *recipient, const struct attempt *attempt,
    const char *relay)
{
	struct ready_recipient *info = info_of(rm, recipient);
	enum outcome_kind kind = kind_of(&recipient->reply, attempt);
	struct outcome_batch *batch = outcomes_batch(o);
	int64_t now = clock_unix();
	struct queue_verdict verdict = {
	    .due_at = info->due_at,
	    .attempts = info->attempts + 1,
	    .reply = &recipient->reply,
	    .source = outcome_batch_text(batch, attempt->source),
	    .site = outcome_batch_text(batch, attempt->site),
	    .peer =
		relay ? arena_strdup(outcome_batch_arena(batch), relay) : NULL,
	    .at = now,
	};

	if (info->settled_early)
		return;
	queue_is_innocent(o->r->queue, rm->sq->id);
	say(o, rm, recipient->who.address.email, texts[kind].status,
	    &recipient->reply, relay);
	switch (kind) {
	case OUTCOME_DELIVERED:
		verdict.kind = VERDICT_DELIVERED;
		o->r->counters.delivered++;
		break;
	case OUTCOME_BOUNCED:
		verdict.kind = VERDICT_BOUNCED;
		verdict.hit = bounce_hit(o->r, rm, &recipient->who.address,
		    &recipient->reply, outcome_batch_arena(batch));
		o->r->counters.bounced++;
		break;
	case OUTCOME_TRANSIENT:
		verdict.kind = VERDICT_DEFERRED;
		if (!retry(o, rm, info, attempt, now, &verdict) &&
		    !is_null(attempt->move))
			expire(o, rm, recipient, info->attempts, attempt,
			    &verdict);
		else if (attempt->move)
			move_on(o, attempt, &verdict);
		else
			o->r->counters.deferred++;
		break;
	}
	add(o, rm, info, &verdict);
}

/* ---- public ---- */

struct outcomes *outcomes_new(struct router *r)
{
	struct outcomes *o = xcalloc(1, sizeof *o);

	o->r = r;
	o->linger = loop_timer_new(r->loop, on_linger, o);
	return o;
}

void outcomes_free(struct outcomes *o)
{
	if (!o)
		return;
	loop_timer_free(o->linger);
	buf_release(&o->line);
	buf_release(&o->headers);
	ARRAY_FREE(&o->members);
	ARRAY_FREE(&o->groups);
	free(o);
}

static void group_all(struct outcomes *o,
    const struct delivery_recipient *recipients, size_t count)
{
	o->groups.count = 0;
	for (size_t i = 0; i < count; i++)
		*ARRAY_ADD(&o->groups) = i;
	if (count > 1)
		outcome_group(recipients, count, o->groups.items);
}

/* o->members become the group that begins with i; false: none does. */
static bool take_group(struct outcomes *o,
    const struct delivery_recipient *recipients, size_t count, size_t i)
{
	if (o->groups.items[i] != i)
		return false;
	o->members.count = 0;
	for (size_t j = i; j < count; j++)
		if (o->groups.items[j] == i)
			*ARRAY_ADD(&o->members) = &recipients[j];
	return true;
}

void outcome_report_finally(struct outcomes *o, struct ready_message *rm,
    struct delivery_recipient *recipients, size_t count,
    const struct attempt *attempt)
{
	char relay_buf[512];
	const char *relay =
	    relay_text(attempt->facts, relay_buf, sizeof relay_buf);

	group_all(o, recipients, count);
	for (size_t i = 0; i < count; i++) {
		if (!take_group(o, recipients, count, i))
			continue;
		outcome_record(outcomes_batch(o), o->r, &o->headers,
		    texts[kind_of(&recipients[i].reply, attempt)].type, rm,
		    o->members.items, o->members.count, &recipients[i].reply,
		    info_of(rm, &recipients[i])->attempts, attempt);
	}
	/* A batch is closed only by add(), so record and verdict of the same
	 * recipient may part only when it is full: then the record goes first,
	 * which is the order that we promise. */
	for (size_t i = 0; i < count; i++)
		report_one(o, rm, &recipients[i], attempt, relay);
}

void outcomes_detour(struct outcomes *o, size_t count, bool begins)
{
	if (begins)
		o->unsettled += count;
	else
		o->unsettled -= count;
}

void outcome_report(struct outcomes *o, struct ready_message *rm,
    struct delivery_recipient *recipients, size_t count,
    const struct attempt *attempt)
{
	if (!second_thoughts_needed(o->r, recipients, count, attempt)) {
		outcome_report_finally(o, rm, recipients, count, attempt);
		return;
	}
	group_all(o, recipients, count);
	for (size_t i = 0; i < count; i++)
		if (take_group(o, recipients, count, i))
			second_thoughts(o->r, rm, o->members.items,
			    o->members.count, attempt);
}

/* Takes all that is not in a job; a run of recipients at a time. */
static size_t take_waiting(
    struct ready_message *rm, struct delivery_recipient **out)
{
	size_t count;

	if (rm->again) {
		count = rm->again->count;
		*out = rm->again->recipients;
		rm->again = rm->again->next;
	} else {
		count = rm->count - rm->next;
		*out = rm->recipients + rm->next;
		rm->next = rm->count;
	}
	return count;
}

void outcome_report_waiting(struct outcomes *o, struct ready_message *rm,
    const struct smtp_reply *reply, const struct attempt *attempt)
{
	struct delivery_recipient *recipients;
	struct smtp_reply copy = smtp_reply_copy(rm->arena, reply);
	size_t count;

	while ((count = take_waiting(rm, &recipients)) > 0) {
		for (size_t i = 0; i < count; i++)
			recipients[i].reply = copy;
		outcome_report(o, rm, recipients, count, attempt);
	}
}

void outcome_delayed(struct outcomes *o, const struct scheduled_queue *sq,
    const struct smtp_reply *reply)
{
	outcome_record_queue(outcomes_batch(o), sq, reply);
}

static void settle_waiting(
    struct outcomes *o, struct ready_message *rm, enum queue_verdict_kind kind)
{
	struct delivery_recipient *recipients;
	size_t count;

	while ((count = take_waiting(rm, &recipients)) > 0)
		for (size_t i = 0; i < count; i++) {
			struct ready_recipient *info =
			    info_of(rm, &recipients[i]);

			add(o, rm, info,
			    &(struct queue_verdict){.kind = kind,
				.due_at = info->due_at,
				.attempts = info->attempts,
				.at = clock_unix()});
		}
}

void outcome_return_waiting(struct outcomes *o, struct ready_message *rm)
{
	o->r->counters.returned += (int64_t)ready_message_waiting(rm);
	settle_waiting(o, rm, VERDICT_RETURNED);
}

void outcome_drop_waiting(struct outcomes *o, struct ready_message *rm)
{
	settle_waiting(o, rm, VERDICT_DELIVERED);
}

void outcome_expire_waiting(struct outcomes *o, struct ready_message *rm,
    const struct smtp_reply *reply)
{
	struct smtp_reply copy = smtp_reply_copy(rm->arena, reply);
	struct delivery_recipient *recipients;
	size_t count;

	while ((count = take_waiting(rm, &recipients)) > 0)
		for (size_t i = 0; i < count; i++) {
			struct ready_recipient *info =
			    info_of(rm, &recipients[i]);
			struct queue_verdict verdict = {.due_at = info->due_at,
			    .attempts = info->attempts,
			    .at = clock_unix()};

			recipients[i].reply = copy;
			expire(o, rm, &recipients[i], info->attempts,
			    &(struct attempt){0}, &verdict);
			add(o, rm, info, &verdict);
		}
}

void outcome_settle_early(
    struct outcomes *o, struct ready_message *rm, struct delivery_job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		struct ready_recipient *info = info_of(rm, &job->recipients[i]);

		info->settled_early = true;
		add(o, rm, info,
		    &(struct queue_verdict){
			.kind = VERDICT_DELIVERED, .at = clock_unix()});
		/* The job still needs it; the bug may leak. */
		rm->unsettled++;
	}
}

size_t outcomes_unsettled(const struct outcomes *o)
{
	return o->unsettled;
}
