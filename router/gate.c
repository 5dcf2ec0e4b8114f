/*
 * gate.c - rates and shared limits of the policy: who may pass now, who waits
 *
 * A gate with a line is in the heap, under the time at which to look at it:
 * when its rate opens, or a moment later when those that were called have not
 * made use of it, so that one who changed his mind does not hold up the others.
 *
 * Places at a limit that were offered to those who were called are offered to
 * nobody else for that moment; so all that may go can be called at once.
 */
#include "router/gate.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/heap.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "policy/throttle.h"

/* Buckets that nobody uses and that are not full yet. */
#define UNUSED_MOST 100000
#define LOOK_AT 500
/* So long who was called may take to make use of it. */
#define GRACE_MS 50
#define MS_NS 1000000

struct gate {
	struct gates *all;
	size_t users;
	char *key, *label;
	bool is_rate;
	struct rate rate;
	struct throttle bucket;
	int64_t used;          /* connections */
	int64_t offered;       /* to those that were called, and not used yet */
	int64_t offered_until; /* clock_now_ms */
	int64_t most;          /* of connections: nobody of the line has more */
	struct list line;
	size_t line_count;
	int64_t last_turn;     /* none was higher */
	struct heap_node node; /* at: clock_now_ms */
	struct list unused;
};

struct gates {
	struct loop *loop;
	struct map *by_key;
	struct heap heap;
	struct loop_timer *timer;
	struct list unused; /* the longest unused first */
	size_t unused_count;
};

static int64_t now_ns(void)
{
	return clock_now_ms() * MS_NS;
}

/* ---- when to look again ---- */

static void set_timer(struct gates *all)
{
	const struct heap_node *first = heap_first(&all->heap);
	int64_t ms;

	if (!first)
		return;
	ms = first->at - clock_now_ms();
	loop_timer_set(all->timer, ms < 1 ? 1 : ms);
}

static void look_at(struct gate *gate, int64_t at)
{
	heap_set(&gate->all->heap, &gate->node, at);
	if (heap_first(&gate->all->heap) == &gate->node)
		set_timer(gate->all);
}

static struct gate_waiter *first_of(const struct gate *gate)
{
	return LIST_ITEM(gate->line.next, struct gate_waiter, link);
}

/* Of a rate: when the first of the line may pass. */
static int64_t first_wait_ms(const struct gate *gate)
{
	return gate_wait_ms(gate, first_of(gate)->want);
}

static void call(struct gate_waiter *waiter)
{
	waiter->called_by = waiter->gate;
	gate_leave_line(waiter);
	waiter->called = true;
	waiter->opened(waiter);
}

/* Calls as many as may pass. */
static void call_by_rate(struct gate *gate)
{
	size_t room = gate_room(gate, 0);

	while (room > 0 && gate->line_count > 0 &&
	       gate_wait_ms(gate, first_of(gate)->want) == 0) {
		call(first_of(gate));
		room--;
	}
}

static int64_t taken(const struct gate *gate)
{
	return gate->used + gate->offered;
}

/* Calls as many as may enter, in order; whose own limit is reached lets others
 * pass by. */
static void call_by_limit(struct gate *gate)
{
	int64_t now = clock_now_ms(), most = 0;
	struct list *pos, *tmp;

	if (now >= gate->offered_until)
		gate->offered = 0;
	if (taken(gate) >= gate->most)
		return;
	LIST_EACH (pos, tmp, &gate->line) {
		struct gate_waiter *waiter =
		    LIST_ITEM(pos, struct gate_waiter, link);

		if (taken(gate) >= gate->most)
			return;
		if (taken(gate) < waiter->limit) {
			if (gate->offered++ == 0)
				gate->offered_until = now + GRACE_MS;
			call(waiter);
		} else if (waiter->limit > most) {
			most = waiter->limit;
		}
	}
	gate->most = most; /* exactly, after a look at all */
}

static void serve(struct gate *gate)
{
	int64_t ms = GRACE_MS;

	gate->users++; /* those that are called may let go of it */
	if (gate->is_rate)
		call_by_rate(gate);
	else
		call_by_limit(gate);
	if (gate->line_count > 0 && (gate->is_rate || gate->offered > 0)) {
		if (gate->is_rate && first_wait_ms(gate) > 0)
			ms = first_wait_ms(gate);
		look_at(gate, clock_now_ms() + ms);
	}
	gate_unref(gate);
}

static void on_timer(void *ctx)
{
	struct gates *all = ctx;
	int64_t now = clock_now_ms();
	struct heap_node *first;

	while ((first = heap_first(&all->heap)) != NULL && first->at <= now) {
		struct gate *gate = CONTAINER_OF(first, struct gate, node);

		heap_remove(&all->heap, first);
		serve(gate);
	}
	set_timer(all);
}

/* ---- life ---- */

struct gates *gates_new(struct loop *loop)
{
	struct gates *all = xcalloc(1, sizeof *all);

	all->loop = loop;
	all->by_key = map_new();
	all->timer = loop_timer_new(loop, on_timer, all);
	list_init(&all->unused);
	return all;
}

static void free_gate(struct gate *gate)
{
	heap_remove(&gate->all->heap, &gate->node);
	list_remove(&gate->unused);
	free(gate->key);
	free(gate->label);
	free(gate);
}

void gates_free(struct gates *all)
{
	size_t pos = 0;
	const char *key;
	void *gate;

	if (!all)
		return;
	while (map_each(all->by_key, &pos, &key, &gate))
		free_gate(gate);
	map_free(all->by_key, NULL);
	heap_release(&all->heap);
	loop_timer_free(all->timer);
	free(all);
}

static void forget(struct gate *gate)
{
	(void)map_remove(gate->all->by_key, gate->key);
	free_gate(gate);
}

static bool is_full(const struct gate *gate)
{
	return gate->bucket.full_at_ns <= now_ns();
}

void gates_tick(struct gates *all)
{
	size_t looked = 0;

	on_timer(all);
	while (all->unused_count > 0 && looked++ < LOOK_AT) {
		struct gate *gate =
		    LIST_ITEM(all->unused.next, struct gate, unused);

		list_remove(&gate->unused);
		if (is_full(gate)) {
			all->unused_count--;
			forget(gate);
		} else {
			list_add_tail(&all->unused, &gate->unused);
		}
	}
}

static struct gate *get(struct gates *all, char *key)
{
	struct gate *gate = map_get(all->by_key, key);

	if (gate) {
		free(key);
		if (gate->users == 0) {
			list_remove(&gate->unused);
			all->unused_count--;
		}
	} else {
		gate = xcalloc(1, sizeof *gate);
		gate->all = all;
		gate->key = key;
		list_init(&gate->line);
		list_init(&gate->unused);
		(void)map_put(all->by_key, key, gate);
	}
	gate->users++;
	return gate;
}

struct gate *gate_for_rate(struct gates *all, const char *kind,
    const char *name, const struct rate *rate)
{
	char text[96];
	struct gate *gate;

	(void)rate_print(text, rate);
	gate = get(all, xasprintf("%s\x01%s\x01%s", kind, name, text));
	if (!gate->label) {
		gate->is_rate = true;
		gate->rate = *rate;
		gate->label = xasprintf("%s %s of %s", kind, text, name);
	}
	return gate;
}

struct gate *gate_for_limit(
    struct gates *all, const char *kind, const char *name)
{
	struct gate *gate = get(all, xasprintf("%s\x01%s", kind, name));

	if (!gate->label)
		gate->label = xasprintf("%s %s", kind, name);
	return gate;
}

struct gate *gate_ref(struct gate *gate)
{
	gate->users++;
	return gate;
}

void gate_unref(struct gate *gate)
{
	struct gates *all;

	if (!gate)
		return;
	invariant(gate->users > 0);
	if (--gate->users > 0)
		return;
	invariant(gate->line_count == 0 && gate->used == 0);
	all = gate->all;
	if (!gate->is_rate || is_full(gate)) {
		forget(gate);
		return;
	}
	list_add_tail(&all->unused, &gate->unused);
	if (++all->unused_count > UNUSED_MOST) {
		all->unused_count--;
		forget(LIST_ITEM(all->unused.next, struct gate, unused));
	}
}

const char *gate_label(const struct gate *gate)
{
	return gate->label;
}

/* ---- rates ---- */

int64_t gate_wait_ms(const struct gate *gate, int64_t count)
{
	int64_t ns =
	    throttle_wait_ns(&gate->bucket, &gate->rate, count, now_ns());

	return (ns + MS_NS - 1) / MS_NS;
}

int64_t gate_turn_ms(const struct gate *gate, const struct gate_waiter *waiter)
{
	int64_t before = (int64_t)gate_before(gate, waiter);
	int64_t room = (int64_t)gate_room(gate, 0);

	/* Those that are there now, then one by one. */
	if (before < room)
		return 0;
	return gate_wait_ms(gate, 1) +
	       (before - room) * gate->rate.period_ms / gate->rate.limit;
}

bool gate_is_slow(const struct gate *gate)
{
	return gate->rate.period_ms / gate->rate.limit >= 1000;
}

size_t gate_room(const struct gate *gate, int64_t within_ms)
{
	return (size_t)throttle_room(
	    &gate->bucket, &gate->rate, now_ns() + within_ms * MS_NS);
}

void gate_take(struct gate *gate, size_t count)
{
	throttle_take_many(
	    &gate->bucket, &gate->rate, (int64_t)count, now_ns());
}

void gate_give_back(struct gate *gate, size_t count)
{
	throttle_give_back(&gate->bucket, &gate->rate, (int64_t)count);
}

/* ---- limits ---- */

int64_t gate_used(const struct gate *gate)
{
	return gate->used;
}

void gate_enter(struct gate *gate)
{
	gate->used++;
	if (gate->offered > 0)
		gate->offered--;
}

void gate_leave(struct gate *gate)
{
	invariant(gate->used > 0);
	gate->used--;
	if (gate->line_count > 0)
		serve(gate);
}

/* ---- lines ---- */

void gate_waiter_init(
    struct gate_waiter *waiter, void (*opened)(struct gate_waiter *waiter))
{
	*waiter = (struct gate_waiter){.want = 1, .opened = opened};
	list_init(&waiter->link);
}

/* Who was called has found it closed: to where he was, or to the front. */
static void back_into_line(struct gate *gate, struct gate_waiter *waiter)
{
	struct list *pos = gate->line.next;

	if (gate->line_count == 0) {
		if (waiter->called_by != gate)
			waiter->turn = gate->last_turn;
	} else if (waiter->called_by != gate) {
		waiter->turn = first_of(gate)->turn - 1;
	} else {
		while (pos != &gate->line &&
		       LIST_ITEM(pos, struct gate_waiter, link)->turn <
			   waiter->turn)
			pos = pos->next;
	}
	list_add_tail(pos, &waiter->link);
}

static void look_when_open(struct gate *gate, const struct gate_waiter *waiter)
{
	int64_t ms;

	if (gate->is_rate) {
		ms = first_wait_ms(gate);
		if (gate->node.index == 0)
			look_at(
			    gate, clock_now_ms() + (ms > 0 ? ms : GRACE_MS));
	} else if (taken(gate) < waiter->limit) {
		/* Only those stand before him whose own limit is reached. */
		look_at(gate, clock_now_ms());
	} else if (gate->used < waiter->limit && gate->node.index == 0) {
		look_at(gate, gate->offered_until);
	} /* else gate_leave() looks */
}

void gate_wait(struct gate *gate, struct gate_waiter *waiter)
{
	if (waiter->gate == gate)
		return;
	gate_leave_line(waiter);
	if (gate->line_count == 0)
		gate->most = 0;
	if (waiter->called) {
		back_into_line(gate, waiter);
	} else {
		waiter->turn = ++gate->last_turn;
		list_add_tail(&gate->line, &waiter->link);
	}
	if (waiter->limit > gate->most)
		gate->most = waiter->limit;
	waiter->called = false;
	waiter->gate = gate_ref(gate);
	gate->line_count++;
	look_when_open(gate, waiter);
}

void gate_leave_line(struct gate_waiter *waiter)
{
	struct gate *gate = waiter->gate;

	if (!gate)
		return;
	list_remove(&waiter->link);
	waiter->gate = NULL;
	gate->line_count--;
	if (gate->line_count == 0)
		heap_remove(&gate->all->heap, &gate->node);
	gate_unref(gate);
}

size_t gate_line(const struct gate *gate)
{
	return gate->line_count;
}

size_t gate_before(const struct gate *gate, const struct gate_waiter *waiter)
{
	int64_t before;

	if (waiter->gate != gate)
		return waiter->called ? 0 : gate->line_count;
	/* Those that left in the middle are counted until the first moves on:
	 * that errs on the side of patience. */
	before = waiter->turn - first_of(gate)->turn;
	if (before > (int64_t)gate->line_count - 1)
		before = (int64_t)gate->line_count - 1;
	return before > 0 ? (size_t)before : 0;
}
