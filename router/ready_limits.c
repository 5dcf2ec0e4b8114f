/*
 * ready_limits.c - what an egress path allows its ready queue
 *
 * All gates of a kind have to be open, so they are looked at first and taken
 * together: nothing is taken in vain.  While one is closed the ready queue
 * stands in that one's line, the one that takes longest.
 */
#include "router/ready_limits.h"

#include "base/clock.h"
#include "base/xalloc.h"
#include "router/ready_message.h"
#include "router/ready_queue.h"
#include "router/router.h"

/* What may be sent within that time is worth holding. */
#define HORIZON_MS 1000
/* Held while a connection is waited for, by those near the front of a line. */
#define WAITING_READY 4
#define NEAR 16
#define TELL_MS 1000

struct gate_set {
	struct gate **gates;
	size_t count;
};

struct slot_limit {
	struct gate *gate;
	int64_t limit;
};

struct ready_limits {
	struct ready_queue *rq;
	struct gate_set messages, connections, choices;
	struct slot_limit *slots; /* the smallest first */
	size_t slot_count;
	struct gate_waiter message, connection;
	int64_t idle_ms;
	int64_t told_at; /* clock_now_ms */
};

/* ---- sets of gates ---- */

static struct gate_set make_set(struct gates *all, const char *kind,
    const char *own_name, const struct rate *own, const char *shared_kind,
    const struct named_rates *shared)
{
	struct gate_set set = {0};

	if (!own && shared->count == 0)
		return set;
	set.gates = xcalloc(shared->count + 1, sizeof *set.gates);
	if (own)
		set.gates[set.count++] =
		    gate_for_rate(all, kind, own_name, own);
	for (size_t i = 0; i < shared->count; i++)
		set.gates[set.count++] = gate_for_rate(all, shared_kind,
		    shared->items[i].name, shared->items[i].rate);
	return set;
}

static void release_set(struct gate_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		gate_unref(set->gates[i]);
	free(set->gates);
	*set = (struct gate_set){0};
}

/* The one that takes longest, counting those before `waiter`; NULL: all are
 * open, and it is our turn. */
static struct gate *closed_gate(
    const struct gate_set *set, const struct gate_waiter *waiter, int64_t *ms)
{
	struct gate *longest = NULL;

	*ms = 0;
	for (size_t i = 0; i < set->count; i++) {
		int64_t one = gate_turn_ms(set->gates[i], waiter);

		/* Open, but there is a line. */
		if (one == 0 && gate_before(set->gates[i], waiter) > 0)
			one = 1;
		if (one <= *ms)
			continue;
		*ms = one;
		longest = set->gates[i];
	}
	return longest;
}

static size_t set_room(const struct gate_set *set, int64_t within_ms)
{
	size_t room = SIZE_MAX;

	for (size_t i = 0; i < set->count; i++) {
		size_t one = gate_room(set->gates[i], within_ms);

		if (one < room)
			room = one;
	}
	return room;
}

static void take_set(const struct gate_set *set, size_t count)
{
	for (size_t i = 0; i < set->count; i++)
		gate_take(set->gates[i], count);
}

/* ---- life ---- */

static void work_again(struct ready_queue *rq)
{
	ready_queue_work(rq);
}

static void message_opened(struct gate_waiter *w)
{
	work_again(CONTAINER_OF(w, struct ready_limits, message)->rq);
}

static void connection_opened(struct gate_waiter *w)
{
	work_again(CONTAINER_OF(w, struct ready_limits, connection)->rq);
}

void ready_limits_free(struct ready_limits *l)
{
	if (!l)
		return;
	gate_leave_line(&l->message);
	gate_leave_line(&l->connection);
	release_set(&l->messages);
	release_set(&l->connections);
	release_set(&l->choices);
	for (size_t i = 0; i < l->slot_count; i++)
		gate_unref(l->slots[i].gate);
	free(l->slots);
	free(l);
}

static void make_slots(struct ready_limits *l, const struct named_limits *named)
{
	if (named->count == 0)
		return;
	l->slots = xcalloc(named->count, sizeof *l->slots);
	for (size_t i = 0; i < named->count; i++)
		l->slots[l->slot_count++] = (struct slot_limit){
		    gate_for_limit(l->rq->r->gates,
			"additional_connection_limits", named->items[i].name),
		    named->items[i].limit};
}

static bool same_set(const struct gate_set *a, const struct gate_set *b)
{
	return a->count == b->count &&
	       (a->count == 0 || memcmp(a->gates, b->gates,
				     a->count * sizeof *a->gates) == 0);
}

static bool same_slots(
    const struct ready_limits *a, const struct ready_limits *b)
{
	bool same = a->slot_count == b->slot_count;

	for (size_t i = 0; same && i < a->slot_count; i++)
		same = a->slots[i].gate == b->slots[i].gate &&
		       a->slots[i].limit == b->slots[i].limit;
	return same;
}

/* Then we keep our place in the line. */
static bool same_limits(
    const struct ready_limits *a, const struct ready_limits *b)
{
	return a && b && same_set(&a->messages, &b->messages) &&
	       same_set(&a->connections, &b->connections) &&
	       same_set(&a->choices, &b->choices) && same_slots(a, b);
}

void ready_limits_set(struct ready_queue *rq, const struct egress_path *path)
{
	struct ready_limits *old = rq->limits, *l;
	struct gates *all = rq->r->gates;
	static const struct named_rates none = {0};

	rq->limits = NULL;
	if (path->max_message_rate || path->max_connection_rate ||
	    path->source_selection_rate ||
	    path->additional_message_rate_throttles.count > 0 ||
	    path->additional_source_selection_rates.count > 0 ||
	    path->additional_connection_limits.count > 0) {
		l = xcalloc(1, sizeof *l);
		l->rq = rq;
		l->idle_ms = path->idle_timeout.ms;
		gate_waiter_init(&l->message, message_opened);
		gate_waiter_init(&l->connection, connection_opened);
		l->messages = make_set(all, "max_message_rate", rq->name,
		    path->max_message_rate, "additional_message_rate_throttles",
		    &path->additional_message_rate_throttles);
		l->connections = make_set(all, "max_connection_rate", rq->name,
		    path->max_connection_rate, NULL, &none);
		l->choices = make_set(all, "source_selection_rate", rq->name,
		    path->source_selection_rate,
		    "additional_source_selection_rates",
		    &path->additional_source_selection_rates);
		make_slots(l, &path->additional_connection_limits);
		rq->limits = l;
	}
	if (same_limits(old, rq->limits)) {
		old->idle_ms = path->idle_timeout.ms;
		ready_limits_free(rq->limits);
		rq->limits = old;
		return;
	}
	/* Last: what both have keeps its state, being used all the time. */
	ready_limits_free(old);
}

/* ---- messages ---- */

size_t ready_limits_paid(const struct ready_queue *rq)
{
	const struct list *pos;
	size_t paid = 0;

	for (pos = rq->waiting.next; pos != &rq->waiting; pos = pos->next) {
		if (!LIST_ITEM(pos, struct ready_message, link)->rate_paid)
			break;
		paid++;
	}
	return paid;
}

/* 0: in line. */
static size_t sendable(struct ready_limits *l)
{
	struct gate *gate;
	int64_t ms;

	if (l->messages.count == 0)
		return SIZE_MAX;
	gate = closed_gate(&l->messages, &l->message, &ms);
	if (gate) {
		gate_wait(gate, &l->message);
		return 0;
	}
	return set_room(&l->messages, 0);
}

size_t ready_limits_sendable(struct ready_queue *rq)
{
	size_t most = sendable(rq->limits);

	return most == SIZE_MAX ? most : most + ready_limits_paid(rq);
}

bool ready_limits_take_message(struct ready_queue *rq, struct ready_message *rm)
{
	struct ready_limits *l = rq->limits;

	if (rm->rate_paid || l->messages.count == 0)
		return true;
	if (sendable(l) == 0)
		return false;
	gate_leave_line(&l->message);
	l->message.called = false;
	take_set(&l->messages, 1);
	rm->rate_paid = true;
	return true;
}

/* ---- connections ---- */

/* What a new connection waits for; *ms -1: that others are closed. */
static struct gate *closed_connection(
    const struct ready_limits *l, int64_t *limit, int64_t *ms)
{
	const struct gate_waiter *waiter = &l->connection;

	for (size_t i = 0; i < l->slot_count; i++) {
		const struct slot_limit *slot = &l->slots[i];

		if (gate_used(slot->gate) < slot->limit &&
		    gate_before(slot->gate, waiter) == 0)
			continue;
		*ms = -1;
		*limit = slot->limit;
		return slot->gate;
	}
	return closed_gate(&l->connections, waiter, ms);
}

bool ready_limits_take_connection(
    struct ready_queue *rq, struct ready_slots *slots)
{
	struct ready_limits *l = rq->limits;
	struct gate *gate;
	int64_t ms, limit = 0;

	*slots = (struct ready_slots){0};
	gate = closed_connection(l, &limit, &ms);
	if (gate) {
		l->connection.limit = limit;
		gate_wait(gate, &l->connection);
		return false;
	}
	gate_leave_line(&l->connection);
	l->connection.called = false;
	take_set(&l->connections, 1);
	if (l->slot_count == 0)
		return true;
	slots->gates = xcalloc(l->slot_count, sizeof(struct gate *));
	for (size_t i = 0; i < l->slot_count; i++) {
		slots->gates[slots->count++] = gate_ref(l->slots[i].gate);
		gate_enter(l->slots[i].gate);
	}
	return true;
}

void ready_limits_give_back_connection(
    struct ready_queue *rq, struct ready_slots *slots)
{
	const struct gate_set *rates = &rq->limits->connections;

	for (size_t i = 0; i < rates->count; i++)
		gate_give_back(rates->gates[i], 1);
	ready_slots_release(slots);
}

void ready_slots_release(struct ready_slots *slots)
{
	for (size_t i = 0; i < slots->count; i++) {
		gate_leave(slots->gates[i]);
		gate_unref(slots->gates[i]);
	}
	free(slots->gates);
	*slots = (struct ready_slots){0};
}

bool ready_slots_wanted(const struct ready_slots *slots)
{
	for (size_t i = 0; i < slots->count; i++)
		if (gate_line(slots->gates[i]) > 0)
			return true;
	return false;
}

/* ---- room and lines ---- */

/* Held while there is no connection. */
static size_t room_unconnected(const struct ready_limits *l)
{
	int64_t limit, ms;
	const struct gate *gate = closed_connection(l, &limit, &ms);

	if (!gate)
		return SIZE_MAX;
	if (ms < 0)
		return gate_before(gate, &l->connection) < NEAR ? WAITING_READY
								: 0;
	return ms < l->idle_ms ? WAITING_READY : 0;
}

static size_t room_by_rate(const struct ready_limits *l)
{
	int64_t ms;
	size_t room = SIZE_MAX;

	if (l->messages.count == 0)
		return room;
	if (closed_gate(&l->messages, &l->message, &ms) && ms >= l->idle_ms)
		return 0;
	for (size_t i = 0; i < l->messages.count; i++) {
		const struct gate *gate = l->messages.gates[i];
		size_t one = gate_room(gate, HORIZON_MS);

		/* The others of the line will have some of it. */
		one /= 1 + gate_line(gate);
		if (one < room)
			room = one;
	}
	return room > 0 ? room : 1;
}

size_t ready_limits_room(const struct ready_queue *rq)
{
	const struct ready_limits *l = rq->limits;
	size_t room = room_by_rate(l);

	if (rq->connection_count == 0 && room > 0) {
		size_t unconnected = room_unconnected(l);

		if (unconnected < room)
			room = unconnected;
	}
	return room;
}

void ready_limits_line_up(struct ready_queue *rq)
{
	struct ready_limits *l = rq->limits;
	struct gate *gate;
	int64_t ms, limit = 0;

	if (sendable(l) == 0 || rq->connection_count > 0)
		return;
	gate = closed_connection(l, &limit, &ms);
	if (!gate)
		return;
	l->connection.limit = limit;
	gate_wait(gate, &l->connection);
}

void ready_limits_leave(struct ready_queue *rq)
{
	struct ready_limits *l = rq->limits;

	gate_leave_line(&l->message);
	gate_leave_line(&l->connection);
	l->message.called = l->connection.called = false;
}

/* ---- choices ---- */

size_t ready_limits_choices(const struct ready_queue *rq)
{
	return set_room(&rq->limits->choices, 0);
}

void ready_limits_chosen(struct ready_queue *rq, size_t count)
{
	take_set(&rq->limits->choices, count);
}

static bool is_slow(const struct gate_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (gate_is_slow(set->gates[i]))
			return true;
	return false;
}

bool ready_limits_are_slow(const struct ready_limits *l)
{
	return is_slow(&l->messages) || is_slow(&l->connections);
}

/* ---- for operators ---- */

bool ready_limits_may_tell(struct ready_queue *rq)
{
	int64_t now = clock_now_ms();

	if (rq->limits->told_at && now - rq->limits->told_at < TELL_MS)
		return false;
	rq->limits->told_at = now;
	return true;
}

const char *ready_limits_why(const struct ready_queue *rq, int64_t *ms)
{
	const struct ready_limits *l = rq->limits;
	const struct gate *gate = closed_gate(&l->messages, &l->message, ms);
	int64_t limit;

	if (!gate && rq->connection_count == 0)
		gate = closed_connection(l, &limit, ms);
	return gate ? gate_label(gate) : NULL;
}

const char *ready_limits_reason(const struct ready_queue *rq)
{
	const struct ready_limits *l = rq->limits;
	int64_t ms;

	return closed_gate(&l->messages, &l->message, &ms)
		   ? "MessageRateThrottle"
		   : "ConnectionRateThrottle";
}
