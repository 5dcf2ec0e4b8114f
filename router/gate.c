/*
 * gate.c - rates and shared limits of the policy: who may pass now, who waits
 *
 * A gate with a line is in the heap, under the time at which to look at it:
 * when its rate opens, or a moment later when those that were called have not
 * made use of it, so that one who changed his mind does not hold up the others.
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
	int64_t used; /* connections */
	struct list line;
	size_t line_count;
	int64_t first_turn, last_turn; /* turns are within them */
	struct heap_node node;         /* at: clock_now_ms */
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

/* When the first of the line may pass. */
static int64_t first_wait_ms(const struct gate *gate)
{
	return gate->is_rate ? gate_wait_ms(gate, first_of(gate)->want) : 0;
}

static void call(struct gate_waiter *waiter)
{
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

/* Whose own limit is reached lets others pass by. */
static bool call_by_limit(struct gate *gate)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &gate->line) {
		struct gate_waiter *waiter =
		    LIST_ITEM(pos, struct gate_waiter, link);

		if (gate->used >= waiter->limit)
			continue;
		call(waiter);
		return true;
	}
	return false;
}

static void serve(struct gate *gate)
{
	bool called = true;
	int64_t ms;

	gate->users++; /* those that are called may let go of it */
	if (gate->is_rate)
		call_by_rate(gate);
	else
		called = call_by_limit(gate);
	if (gate->line_count > 0 && called) {
		ms = first_wait_ms(gate);
		look_at(gate, clock_now_ms() + (ms > 0 ? ms : GRACE_MS));
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

void gate_wait(struct gate *gate, struct gate_waiter *waiter)
{
	int64_t ms;

	if (waiter->gate == gate)
		return;
	gate_leave_line(waiter);
	if (gate->line_count == 0)
		gate->first_turn = gate->last_turn = 0;
	if (waiter->called) {
		waiter->turn = --gate->first_turn;
		list_add_head(&gate->line, &waiter->link);
	} else {
		waiter->turn = ++gate->last_turn;
		list_add_tail(&gate->line, &waiter->link);
	}
	waiter->called = false;
	waiter->gate = gate_ref(gate);
	gate->line_count++;
	if (gate->node.index != 0)
		return;
	if (!gate->is_rate && gate->used >= waiter->limit)
		return; /* gate_leave() looks */
	ms = first_wait_ms(gate);
	look_at(gate, clock_now_ms() + (ms > 0 ? ms : GRACE_MS));
}

void gate_leave_line(struct gate_waiter *waiter)
{
	struct gate *gate = waiter->gate;

	if (!gate)
		return;
	if (first_of(gate) == waiter)
		gate->first_turn = waiter->turn + 1;
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
	return before > 0 ? (size_t)before : 0;
}
