/*
 * held_queues.c - operators and senders are told what a scheduled queue waits
 * for
 */
#include "router/held_queues.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "router/held_memory.h"
#include "router/outcome.h"
#include "router/queue_thread.h"
#include "router/ready_queue.h"
#include "router/ready_queues.h"
#include "router/router.h"
#include "router/scheduled_queue.h"

#define LINGER_MS 100
/* What is told holds at least that long, and is told again a bit earlier. */
#define TELL_S 15
#define AGAIN_S 5
#define ANOTHER_S 60
#define SHOWN_MOST 50
/* As many as are known at once are met again within that time. */
#define FULL_AGAIN_S 15

struct telling {
	struct queue_job job;
	struct arena *arena;
	int64_t now;
	struct {
		struct queue_held *items;
		size_t count, size;
	} rows;
};

struct held_queues {
	struct router *r;
	struct telling *open; /* NULL: nothing to tell */
	struct loop_timer *linger;
	struct held_memory *memory, *full;
};

static bool work(struct queue_job *job, struct queue_conn *conn)
{
	struct telling *t = CONTAINER_OF(job, struct telling, job);

	return queue_hold(
	    conn, t->rows.items, t->rows.count, t->now, &job->err);
}

static void free_telling(struct telling *t)
{
	if (!t)
		return;
	ARRAY_FREE(&t->rows);
	arena_unref(t->arena);
	free(t);
}

static void told(struct loop_item *item)
{
	struct telling *t = CONTAINER_OF(item, struct telling, job.item);

	/* It is told again; nothing but a view depends on it. */
	if (!t->job.ok)
		diag_warn("queue: what holds queues: %s", t->job.err.text);
	free_telling(t);
}

static void tell(void *ctx)
{
	struct held_queues *held = ctx;
	struct telling *t = held->open;

	held->open = NULL;
	if (!t)
		return;
	t->now = clock_unix();
	queue_threads_write(held->r->threads, &t->job);
}

static void note(
    struct held_queues *held, int64_t id, const char *because, int64_t until)
{
	struct telling *t = held->open;

	if (!t) {
		t = xcalloc(1, sizeof *t);
		t->arena = arena_new(0);
		t->job.item.run = told;
		t->job.work = work;
		held->open = t;
		loop_timer_set(held->linger, LINGER_MS);
	}
	*ARRAY_ADD(&t->rows) = (struct queue_held){
	    id, because ? arena_strdup(t->arena, because) : NULL, until};
}

struct held_queues *held_queues_new(struct router *r)
{
	struct held_queues *held = xcalloc(1, sizeof *held);

	held->r = r;
	held->linger = loop_timer_new(r->loop, tell, held);
	held->memory = held_memory_new();
	held->full = held_memory_new();
	return held;
}

void held_queues_free(struct held_queues *held)
{
	if (!held)
		return;
	free_telling(held->open);
	loop_timer_free(held->linger);
	held_memory_free(held->memory);
	held_memory_free(held->full);
	free(held);
}

/* ---- telling ---- */

static void write_record(struct held_queues *held,
    const struct scheduled_queue *sq, const char *why, int64_t ms)
{
	struct arena *arena = arena_new(0);
	struct smtp_reply reply;
	char until[40];

	if (ms < 0)
		reply = smtp_reply_make(
		    arena, 400, NULL, "the queue waits for %.400s", why);
	else
		reply = smtp_reply_make(arena, 400, NULL,
		    "the queue waits for %.400s, until %s", why,
		    clock_rfc3339(until, clock_unix_ms() + ms));
	outcome_delayed(held->r->outcomes, sq, &reply);
	arena_unref(arena);
}

/* `ms` as scheduled_queue_why() has it. */
static void hold(struct held_queues *held, struct scheduled_queue *sq,
    const char *why, int64_t ms)
{
	int64_t now = clock_unix();
	int64_t until = ms > 0 ? now + (ms + 999) / 1000 : now;

	if (until < now + TELL_S)
		until = now + TELL_S;
	/* Told long ago: it has been free meanwhile, and this is another time.
	 */
	if (!sq->held_because || !str_eq(sq->held_because, why) ||
	    now > sq->held_until + ANOTHER_S) {
		free(sq->held_because);
		sq->held_because = xstrdup(why);
		write_record(held, sq, why, ms);
	} else if (sq->held_until >= until ||
		   sq->held_until > now + AGAIN_S + TELL_S / 3) {
		return;
	}
	sq->held_until = until;
	note(held, sq->id, why, until);
}

void held_queues_blocked(struct held_queues *held, struct scheduled_queue *sq)
{
	int64_t ms = 0;
	const char *why = scheduled_queue_why(sq, &ms);

	if (!why)
		return;
	/* A fast rate that closed once has perhaps nothing left to hold. */
	if (ms >= 0 && ms < 1000 && !sq->held_because && !sq->held_before) {
		sq->held_before = true;
		return;
	}
	hold(held, sq, why, ms);
}

void held_queues_stays(struct held_queues *held, struct scheduled_queue *sq)
{
	struct buf full = BUF_INIT;
	int64_t ms;

	/* Of the others held_queues_blocked() was told. */
	if (!scheduled_queue_why(sq, &ms) && scheduled_queue_is_full(sq, &full))
		hold(held, sq, buf_str(&full), -1);
	buf_release(&full);
}

void held_queues_drained(struct held_queues *held, struct scheduled_queue *sq)
{
	sq->held_before = false;
	if (!sq->held_because)
		return;
	free(sq->held_because);
	sq->held_because = NULL;
	if (sq->held_until > clock_unix())
		note(held, sq->id, NULL, 0);
	sq->held_until = 0;
}

/* ---- more of them than are known at once ---- */

void held_queues_forgotten(struct held_queues *held,
    const struct scheduled_queue *sq, size_t known_most)
{
	int64_t now = clock_unix(), many, ms = 0;
	char *full = NULL;

	/* When something full has room again nobody can say. */
	if (sq->held_because)
		held_memory_put(held->memory, sq->id, sq->held_because,
		    scheduled_queue_why(sq, &ms) ? sq->held_until : now, now);
	many = (int64_t)(held_memory_count(held->full) / known_most);
	for (size_t i = 0; i < sq->route_count && !full; i++)
		if (sq->routes[i].rq)
			full = ready_queue_key(sq->routes[i].rq);
	held_memory_put(held->full, sq->id, full ? full : "",
	    now + FULL_AGAIN_S * (1 + many), now);
	free(full);
}

void held_queues_met(struct held_queues *held, struct scheduled_queue *sq)
{
	free(held_memory_take(held->full, sq->id));
	sq->held_because = held_memory_take(held->memory, sq->id);
	if (sq->held_because)
		sq->held_until = clock_unix();
}

bool held_queues_waits(const struct held_queues *held, int64_t id)
{
	return held_memory_waits(held->memory, id, clock_unix());
}

bool held_queues_was_full(const struct held_queues *held, int64_t id)
{
	const char *full = held_memory_why(held->full, id);

	return full && held_memory_waits(held->full, id, clock_unix()) &&
	       !(full[0] && ready_queues_wants_more(held->r->ready, full));
}

/* ---- for operators ---- */

void held_queues_status(const struct list *blocked, struct json_object *o)
{
	struct buf all = BUF_INIT;
	const struct list *pos;
	size_t shown = 0, looked = 0;

	buf_addch(&all, '[');
	for (pos = blocked->next;
	     pos != blocked && shown < SHOWN_MOST && looked < 20 * SHOWN_MOST;
	     pos = pos->next, looked++) {
		const struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct scheduled_queue, link);
		struct json_object one;
		int64_t ms = 0;
		const char *why = scheduled_queue_why(sq, &ms);
		struct buf full = BUF_INIT;
		char until[40];

		if (!why && scheduled_queue_is_full(sq, &full)) {
			why = buf_str(&full);
			ms = -1;
		}
		if (!why)
			continue;
		if (shown++ > 0)
			buf_addch(&all, ',');
		json_open(&one, &all);
		json_add_string(&one, "queue", sq->name);
		json_add_string(&one, "because", why);
		json_add_string(&one, "until",
		    ms < 0 ? NULL : clock_rfc3339(until, clock_unix_ms() + ms));
		json_close(&one);
		buf_release(&full);
	}
	buf_addch(&all, ']');
	json_add_raw(o, "held_queues", all.data, all.len);
	buf_release(&all);
}
