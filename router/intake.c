/*
 * intake.c - takes due mail from the queue, fairly and no more than fits
 *
 * Fairness: a turn takes from the front of the list of runnable queues, gives
 * each an equal share of LEASE_MOST, and puts those with more at the end.  So a
 * domain with one message waits for one turn, however much a neighbour has.
 *
 * Memory: at most QUEUES_MOST scheduled queues are known.  When there is no
 * room for another, the one that was idle (or blocked with nothing leased) for
 * the longest time is forgotten; the next scan meets it again.  One that was
 * blocked is not met again for a while, except in the place of an idle one, or
 * thousands would be prepared with each scan to be blocked again.
 */
#include "router/intake.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "router/held_queues.h"
#include "router/lease_job.h"
#include "router/outcome.h"
#include "router/queue_thread.h"
#include "router/ready_message.h"
#include "router/router.h"
#include "router/suspects.h"
#include "router/trouble.h"

#define QUEUES_MOST 20000
#define QUEUES_FEW 40 /* for tests */
#define PAGE 500
#define LEASES_AT_ONCE 2
/* Paging stops while so many queues wait for their turn. */
#define ENOUGH_RUNNABLE 2000
/* So long a queue is blocked before that is told of a full ready queue. */
#define STAYS_MS 2000
#define SCAN_PAUSE_MS 20

struct due_job {
	struct queue_job job;
	struct intake *in;
	struct arena *arena;
	struct queue_cursor cursor;
	int64_t now;
	struct queue_due *rows;
	size_t count;
};

struct intake {
	struct router *r;
	struct map *queues; /* by id */
	size_t queues_most;
	struct list by_state[SQ_STATES];
	size_t state_count[SQ_STATES];
	size_t leased, leasing;
	bool scanning, paused, again;
	struct due_job *page; /* at the reader; NULL: none */
	struct queue_cursor cursor;
	int64_t scan_started, scan_not_before;
	struct loop_timer *scan_timer;
	struct loop_deferred pump;
	int64_t lease_not_before;
	struct trouble cannot_lease, cannot_look;
};

static char *key_of(char out[24], int64_t id)
{
	(void)snprintf(out, 24, "%llx", (unsigned long long)id);
	return out;
}

/* ---- states ---- */

void intake_set_state(
    struct intake *in, struct scheduled_queue *sq, enum sq_state state)
{
	list_remove(&sq->link);
	in->state_count[sq->state]--;
	sq->state = state;
	sq->since = clock_now_ms();
	in->state_count[state]++;
	list_add_tail(&in->by_state[state], &sq->link);
}

void intake_runnable(struct intake *in, struct scheduled_queue *sq)
{
	intake_set_state(in, sq, SQ_RUNNABLE);
	loop_defer(in->r->loop, &in->pump);
}

void intake_unblock(struct intake *in, struct scheduled_queue *sq)
{
	scheduled_queue_unwait(sq);
	if (sq->state == SQ_BLOCKED)
		scheduled_queue_prepare(sq);
}

void intake_unblock_maildirs(struct intake *in)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &in->by_state[SQ_BLOCKED]) {
		struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct scheduled_queue, link);

		/* What waits for its own rate has nothing to do with them. */
		if (!sq->turn.gate &&
		    (scheduled_queue_config(sq)->protocol.kind ==
			    PROTOCOL_MAILDIR ||
			sq->inject))
			intake_unblock(in, sq);
	}
}

static void forget(struct intake *in, struct scheduled_queue *sq)
{
	char key[24];

	(void)map_remove(in->queues, key_of(key, sq->id));
	if (sq->state == SQ_BLOCKED)
		held_queues_forgotten(in->r->held, sq, in->queues_most);
	in->state_count[sq->state]--;
	scheduled_queue_free(sq);
}

static bool forget_oldest(struct intake *in, enum sq_state state)
{
	struct list *pos, *tmp;
	size_t looked = 0;

	LIST_EACH (pos, tmp, &in->by_state[state]) {
		struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct scheduled_queue, link);

		if (scheduled_queue_can_go(sq)) {
			forget(in, sq);
			return true;
		}
		if (++looked == 100)
			break;
	}
	return false;
}

static struct scheduled_queue *add_queue(
    struct intake *in, const struct queue_due *row)
{
	struct scheduled_queue *sq =
	    scheduled_queue_new(in->r, row->queue_id, row->name);
	char key[24];

	in->state_count[SQ_IDLE]++;
	list_add_tail(&in->by_state[SQ_IDLE], &sq->link);
	(void)map_put(in->queues, key_of(key, row->queue_id), sq);
	held_queues_met(in->r->held, sq);
	return sq;
}

static struct scheduled_queue *find(
    struct intake *in, const struct queue_due *row)
{
	char key[24];
	struct scheduled_queue *sq =
	    map_get(in->queues, key_of(key, row->queue_id));

	/* The id of a queue that was empty may come back under another name. */
	if (sq && !str_eq(sq->name, row->name)) {
		if (!scheduled_queue_can_go(sq))
			return NULL;
		forget(in, sq);
		sq = NULL;
	}
	if (sq)
		return sq;
	/* Or thousands that wait for a rate would drive each other out with
	 * each scan, and others with them. */
	if (map_count(in->queues) >= in->queues_most &&
	    (held_queues_waits(in->r->held, row->queue_id) ||
		(!forget_oldest(in, SQ_IDLE) &&
		    (held_queues_was_full(in->r->held, row->queue_id) ||
			!forget_oldest(in, SQ_BLOCKED)))))
		return NULL;
	return add_queue(in, row);
}

/* ---- leasing ---- */

static void after_lease(struct intake *in, const struct lease_turn *turn)
{
	struct scheduled_queue *sq = turn->sq;
	bool more = turn->got >= turn->limit || sq->due_again;

	sq->due_again = false;
	/* What was refused was refused; the next attempt asks anew. */
	sq->refusal.code = 0;
	if (turn->got == 0)
		sq->not_before = clock_now_ms() + 1000;
	if (more && turn->got > 0) {
		if (!scheduled_queue_is_slow(sq) ||
		    scheduled_queue_room(sq) > 0) {
			scheduled_queue_prepare(sq);
			return;
		}
		/* Is there more?  A scan that was begun after this lease knows,
		 * and nothing can go on before. */
		sq->not_before = clock_now_ms() + 300;
	}
	intake_set_state(in, sq, SQ_IDLE);
	if (turn->got == 0)
		held_queues_drained(in->r->held, sq);
}

struct ready_message *intake_take(
    struct intake *in, const struct queue_lease *leases, size_t count)
{
	const struct queue_due row = {
	    .queue_id = leases[0].queue_id, .name = leases[0].queue_name};
	struct scheduled_queue *sq = find(in, &row);
	char key[24];

	/* It is leased already, so it must be counted somewhere. */
	if (!sq)
		sq = map_get(in->queues, key_of(key, row.queue_id));
	if (!sq)
		sq = add_queue(in, &row);
	in->leased += count;
	sq->leased += count;
	sq->leased_messages++;
	return ready_message_new(leases, count, sq, &in->r->inline_bytes);
}

static void take_message(struct intake *in, struct ready_message *rm)
{
	struct scheduled_queue *sq = rm->sq;

	in->leased += rm->count;
	sq->leased += rm->count;
	sq->leased_messages++;
	if (in->r->holds & (HOLD_STOPPING | HOLD_POISON))
		outcome_return_waiting(in->r->outcomes, rm);
	else
		scheduled_queue_dispatch(sq, rm);
}

static void lease_done(struct lease_job *job, void *ctx)
{
	struct intake *in = ctx;

	in->leasing--;
	for (size_t i = 0; i < job->turn_count; i++) {
		const struct lease_turn *turn = &job->turns[i];

		scheduled_queue_reserve(turn->sq, turn->limit, false);
		scheduled_queue_unrelease(turn->sq,
		    turn->messages < turn->limit ? turn->limit - turn->messages
						 : 0);
	}
	for (size_t i = 0; i < job->messages.count; i++)
		scheduled_queue_expect(job->messages.items[i]->sq);
	for (size_t i = 0; i < job->messages.count; i++)
		take_message(in, job->messages.items[i]);
	for (size_t i = 0; i < job->turn_count; i++)
		scheduled_queue_leased(job->turns[i].sq);
	trouble_note(&in->cannot_lease, "take due mail", &job->job);
	if (!job->job.ok)
		in->lease_not_before = clock_now_ms() + 500;
	for (size_t i = 0; i < job->turn_count; i++) {
		if (job->job.ok)
			after_lease(in, &job->turns[i]);
		else
			intake_set_state(in, job->turns[i].sq, SQ_RUNNABLE);
	}
	lease_job_free(job);
	loop_defer(in->r->loop, &in->pump);
	router_progress(in->r);
}

static void block(struct intake *in, struct scheduled_queue *sq)
{
	intake_set_state(in, sq, SQ_BLOCKED);
	scheduled_queue_wait(sq);
	held_queues_blocked(in->r->held, sq);
}

/* The next turn, NULL when nothing fits. */
static struct lease_job *make_turn(struct intake *in)
{
	struct lease_job *job = NULL;
	size_t total = 0, most = LEASE_MOST;
	size_t share = lease_share(in->state_count[SQ_RUNNABLE]);

	if (ROUTER_LEASED_MOST - in->leased < most)
		most = ROUTER_LEASED_MOST - in->leased;
	while (total < most && !list_empty(&in->by_state[SQ_RUNNABLE])) {
		struct scheduled_queue *sq =
		    LIST_ITEM(in->by_state[SQ_RUNNABLE].next,
			struct scheduled_queue, link);
		size_t limit = scheduled_queue_room(sq);

		if (limit == 0) {
			block(in, sq);
			continue;
		}
		if (limit > share)
			limit = share;
		if (limit > most - total)
			limit = most - total;
		if (!job)
			job = lease_job_new(in->r, lease_done, in);
		lease_job_add(job, sq, limit);
		total += limit;
		scheduled_queue_reserve(sq, limit, true);
		scheduled_queue_release(sq, limit);
		intake_set_state(in, sq, SQ_LEASING);
	}
	return job;
}

static void next_page(struct intake *in);

void intake_pump(struct intake *in)
{
	struct lease_job *job;

	while (router_may_start(in->r) && in->leasing < LEASES_AT_ONCE &&
	       in->leased < ROUTER_LEASED_MOST &&
	       clock_now_ms() >= in->lease_not_before) {
		job = make_turn(in);
		if (!job)
			break;
		in->leasing++;
		lease_job_submit(job);
	}
	if (in->paused &&
	    in->state_count[SQ_RUNNABLE] + in->state_count[SQ_PREPARING] <
		ENOUGH_RUNNABLE / 2) {
		in->paused = false;
		next_page(in);
	}
}

static void run_pump(struct loop_deferred *d)
{
	intake_pump(CONTAINER_OF(d, struct intake, pump));
}

void intake_settled(struct intake *in, struct ready_message *rm)
{
	struct scheduled_queue *sq = rm->sq;

	invariant(rm->unsettled > 0 && sq->leased > 0 && in->leased > 0);
	in->leased--;
	sq->leased--;
	if (--rm->unsettled > 0)
		return;
	sq->leased_messages--;
	suspects_settled(in->r->suspects, rm);
	if (rm->settled)
		rm->settled(rm->settled_ctx);
	ready_message_free(rm, &in->r->inline_bytes);
	if (in->state_count[SQ_RUNNABLE] > 0)
		loop_defer(in->r->loop, &in->pump);
}

/* ---- looking for due work ---- */

static bool list_due(struct queue_job *base, struct queue_conn *conn)
{
	struct due_job *job = CONTAINER_OF(base, struct due_job, job);

	return queue_due_list(conn, job->now, PAGE, &job->cursor, job->arena,
	    &job->rows, &job->count, &base->err);
}

static void take_row(struct intake *in, const struct queue_due *row)
{
	struct scheduled_queue *sq = find(in, row);

	if (!sq)
		return;
	if (sq->state == SQ_LEASING)
		sq->due_again = true;
	else if (sq->state == SQ_IDLE && clock_now_ms() >= sq->not_before)
		scheduled_queue_prepare(sq);
}

static void end_scan(struct intake *in)
{
	int64_t took = clock_now_ms() - in->scan_started;
	int64_t pause = took * 10;

	in->scanning = false;
	if (pause < SCAN_PAUSE_MS)
		pause = SCAN_PAUSE_MS;
	in->scan_not_before = clock_now_ms() + (pause > 1000 ? 1000 : pause);
	if (in->again) {
		in->again = false;
		intake_scan(in);
	}
}

static void free_page(struct intake *in)
{
	if (!in->page)
		return;
	arena_unref(in->page->arena);
	free(in->page);
	in->page = NULL;
}

static void due_done(struct loop_item *item)
{
	struct due_job *job = CONTAINER_OF(item, struct due_job, job.item);
	struct intake *in = job->in;
	bool ok = job->job.ok;

	if (ok) {
		for (size_t i = 0; i < job->count; i++)
			take_row(in, &job->rows[i]);
		in->cursor = job->cursor;
	}
	trouble_note(&in->cannot_look, "look for due mail", &job->job);
	free_page(in);
	if (!ok || (in->cursor.next_due == 0 && in->cursor.queue_id == 0))
		end_scan(in);
	else if (in->state_count[SQ_RUNNABLE] + in->state_count[SQ_PREPARING] >
		 ENOUGH_RUNNABLE)
		in->paused = true;
	else
		next_page(in);
}

static void next_page(struct intake *in)
{
	struct due_job *job;

	if (in->r->holds & (HOLD_STOPPING | HOLD_POISON)) {
		in->scanning = false;
		return;
	}
	job = xcalloc(1, sizeof *job);
	job->job.item.run = due_done;
	job->job.work = list_due;
	job->in = in;
	job->arena = arena_new(16384);
	job->cursor = in->cursor;
	job->now = clock_unix();
	in->page = job;
	queue_threads_read(in->r->threads, &job->job);
}

void intake_scan(struct intake *in)
{
	int64_t now = clock_now_ms();

	if (in->scanning) {
		in->again = true;
		return;
	}
	if (now < in->scan_not_before) {
		if (!loop_timer_is_set(in->scan_timer))
			loop_timer_set(
			    in->scan_timer, in->scan_not_before - now);
		return;
	}
	in->scanning = true;
	in->scan_started = now;
	in->cursor = (struct queue_cursor){0};
	next_page(in);
}

static void on_scan_timer(void *ctx)
{
	struct intake *in = ctx;

	/* A test may have moved the clock back. */
	in->scan_not_before = 0;
	intake_scan(in);
}

void intake_tick(struct intake *in)
{
	int64_t now = clock_now_ms();
	struct list *pos, *tmp;
	size_t looked = 0;

	/* Oldest first, so it ends at the first that is too young; queues with
	 * a longer interval of their own hide at most those behind them. */
	LIST_EACH (pos, tmp, &in->by_state[SQ_IDLE]) {
		struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct scheduled_queue, link);

		if (++looked > 1000 ||
		    now - sq->since <
			scheduled_queue_config(sq)->reap_interval.ms)
			break;
		if (scheduled_queue_can_go(sq))
			forget(in, sq);
	}
	/* Blocked queues look again: limits may have changed meanwhile. */
	looked = 0;
	LIST_EACH (pos, tmp, &in->by_state[SQ_BLOCKED]) {
		struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct scheduled_queue, link);

		if (++looked > 200 || now - sq->since < STAYS_MS)
			break;
		held_queues_stays(in->r->held, sq);
		if (now - sq->since < 10000)
			continue;
		if (scheduled_queue_only_waits(sq))
			intake_set_state(in, sq, SQ_BLOCKED); /* the end */
		else
			intake_unblock(in, sq);
	}
	loop_defer(in->r->loop, &in->pump);
}

/* ---- */

struct intake *intake_new(struct router *r)
{
	struct intake *in = xcalloc(1, sizeof *in);

	in->r = r;
	in->queues = map_new();
	in->queues_most =
	    FAULT_POINT("intake.knows-few") ? QUEUES_FEW : QUEUES_MOST;
	for (size_t i = 0; i < COUNT(in->by_state); i++)
		list_init(&in->by_state[i]);
	in->scan_timer = loop_timer_new(r->loop, on_scan_timer, in);
	loop_deferred_init(&in->pump, run_pump);
	return in;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < COUNT(in->by_state); i++)
		while (!list_empty(&in->by_state[i])) {
			struct scheduled_queue *sq = LIST_ITEM(
			    in->by_state[i].next, struct scheduled_queue, link);

			sq->leased = 0; /* what could not be settled */
			scheduled_queue_free(sq);
		}
	/* Its reader has ended, and nobody will look at what it found. */
	free_page(in);
	map_free(in->queues, NULL);
	loop_timer_free(in->scan_timer);
	free(in);
}

size_t intake_leased(const struct intake *in)
{
	return in->leased;
}

size_t intake_leasing(const struct intake *in)
{
	return in->leasing;
}

const char *intake_trouble(const struct intake *in)
{
	return trouble_text(
	    *in->cannot_look.text ? &in->cannot_look : &in->cannot_lease);
}

void intake_status(const struct intake *in, struct json_object *o)
{
	const struct list *pos;
	struct buf names = BUF_INIT;
	size_t n = 0;

	json_add_int(o, "leased", (int64_t)in->leased);
	json_add_int(o, "scheduled_queues", (int64_t)map_count(in->queues));
	buf_addch(&names, '[');
	for (pos = in->by_state[SQ_BLOCKED].next;
	     pos != &in->by_state[SQ_BLOCKED] && n < 50; pos = pos->next, n++) {
		const struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct scheduled_queue, link);

		if (n > 0)
			buf_addch(&names, ',');
		json_write_string(&names, sq->name, strlen(sq->name));
	}
	buf_addch(&names, ']');
	json_add_raw(o, "blocked_queues", names.data, names.len);
	json_add_int(
	    o, "blocked_queue_count", (int64_t)in->state_count[SQ_BLOCKED]);
	held_queues_status(&in->by_state[SQ_BLOCKED], o);
	buf_release(&names);
}
