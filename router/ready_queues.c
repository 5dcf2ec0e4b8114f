/*
 * ready_queues.c - all ready queues, by name
 */
#include "router/ready_queues.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/local_addr.h"
#include "policy/egress_path.h"
#include "router/connection.h"
#include "router/destination.h"
#include "router/outcome.h"
#include "router/policy_call.h"
#include "router/ready_limits.h"
#include "router/ready_means.h"
#include "router/ready_message.h"
#include "router/router.h"

#define IDLE_LIFE_MS 600000
/* New connections, of all ready queues: a burst of thousands overflows what
 * firewalls and listeners can take, and then all of it waits for timeouts. */
#define PACE_MS 10
#define PACE_MOST 32
#define PACE_MOST_BAD 8

struct ready_queues {
	struct router *r;
	struct map *by_name;
	struct local_addr *local;
	struct shares shares;
	struct list attempts; /* connections that are connecting, by age */
	struct list held;
	/* Ready queues that want to open more: those of bad standing have a
	 * line of their own, or others would wait behind thousands. */
	struct list paced, paced_bad;
	struct loop_timer *pace;
	size_t opened, opened_bad; /* connections since pace was set */
};

struct shares *ready_queues_shares(struct ready_queues *rqs)
{
	return &rqs->shares;
}

bool ready_queues_may_open(struct ready_queues *rqs, struct ready_queue *rq)
{
	bool bad = ready_queue_standing(rq) == STANDING_BAD;

	if (!loop_timer_is_set(rqs->pace)) {
		rqs->opened = rqs->opened_bad = 0;
		loop_timer_set(rqs->pace, PACE_MS);
	}
	if (rqs->opened < PACE_MOST &&
	    (!bad || rqs->opened_bad < PACE_MOST_BAD)) {
		rqs->opened++;
		rqs->opened_bad += bad;
		return true;
	}
	list_remove(&rq->paced);
	list_add_tail(bad ? &rqs->paced_bad : &rqs->paced, &rq->paced);
	return false;
}

static size_t let_paced_work(struct list *line, size_t most)
{
	struct list *pos, *tmp;
	size_t n = 0;

	LIST_EACH (pos, tmp, line) {
		if (n == most)
			break;
		n++;
		list_remove(pos);
		ready_queue_work(LIST_ITEM(pos, struct ready_queue, paced));
	}
	return n;
}

static void on_pace(void *ctx)
{
	struct ready_queues *rqs = ctx;
	size_t n = let_paced_work(&rqs->paced, PACE_MOST);

	n += let_paced_work(&rqs->paced_bad, PACE_MOST_BAD);
	rqs->opened = rqs->opened_bad = 0;
	if (n > 0)
		loop_timer_set(rqs->pace, PACE_MS);
}

struct ready_queues *ready_queues_new(struct router *r)
{
	struct ready_queues *rqs = xcalloc(1, sizeof *rqs);

	rqs->r = r;
	rqs->by_name = map_new();
	rqs->local = local_addr_new();
	list_init(&rqs->held);
	list_init(&rqs->paced);
	list_init(&rqs->paced_bad);
	list_init(&rqs->attempts);
	rqs->pace = loop_timer_new(r->loop, on_pace, rqs);
	return rqs;
}

static void use_source(struct ready_queue *rq, struct record_ref *source)
{
	if (rq->source == source)
		return;
	/* Those that are open would not leave as it says now. */
	if (rq->source && !param_same(&egress_source_params, rq->source->record,
			      source->record))
		connection_end_others(rq, 0);
	record_unref(rq->source);
	rq->source = record_ref(source);
}

struct ready_queue *ready_queue_get(struct ready_queues *rqs,
    struct record_ref *source, struct destination *destination,
    const char *routing_domain)
{
	const struct egress_source *record = source->record;
	struct ready_queue *rq;
	char *name =
	    destination->lua
		? xasprintf("%s->%s@lua:%s", record->name,
		      destination->site_name, destination->lua->constructor)
		: xasprintf("%s->%s@smtp_client", record->name,
		      destination->site_name);

	char *key = xasprintf("%s%s", name, destination->terms);

	rq = map_get(rqs->by_name, key);
	if (!rq) {
		rq = xcalloc(1, sizeof *rq);
		rq->owner = rqs;
		rq->r = rqs->r;
		rq->name = name;
		rq->routing_domain = xstrdup(routing_domain);
		rq->idle_since = clock_now_ms();
		list_init(&rq->waiting);
		list_init(&rq->routes);
		list_init(&rq->connections);
		list_init(&rq->idle);
		list_init(&rq->held);
		list_init(&rq->paced);
		rq->counted_as = STANDING_NEW;
		loop_deferred_init(&rq->work, ready_queue_run);
		(void)map_put(rqs->by_name, key, rq);
	} else {
		free(name);
	}
	free(key);
	rq->users++;
	use_source(rq, source);
	if (rq->destination != destination) {
		destination_unref(rq->destination);
		rq->destination = destination_ref(destination);
	}
	return rq;
}

char *ready_queue_key(const struct ready_queue *rq)
{
	return xasprintf("%s%s", rq->name, rq->destination->terms);
}

bool ready_queues_wants_more(const struct ready_queues *rqs, const char *key)
{
	const struct ready_queue *rq = map_get(rqs->by_name, key);

	return !rq ||
	       (ready_queue_worth_filling(rq) && list_empty(&rq->routes));
}

void ready_queue_unref(struct ready_queue *rq)
{
	invariant(rq->users > 0);
	rq->users--;
	rq->idle_since = clock_now_ms();
}

static void free_one(struct ready_queue *rq)
{
	struct shares *s = &rq->owner->shares;

	s->messages[rq->counted_as] -= rq->counted_messages;
	s->connections[rq->counted_as] -= rq->counted_connections;
	list_remove(&rq->work.link);
	list_remove(&rq->held);
	list_remove(&rq->paced);
	arena_unref(rq->given_up_arena);
	record_unref(rq->source);
	ready_limits_free(rq->limits);
	record_unref(rq->path);
	ready_means_unref(rq->means);
	destination_unref(rq->destination);
	free(rq->routing_domain);
	free(rq->name);
	free(rq);
}

void ready_queues_hold(struct ready_queues *rqs, struct ready_queue *rq)
{
	list_remove(&rq->held);
	list_add_tail(&rqs->held, &rq->held);
}

struct local_addr *ready_queues_local(struct ready_queues *rqs)
{
	return rqs->local;
}

void ready_queues_released(struct ready_queues *rqs)
{
	while (!list_empty(&rqs->held)) {
		struct ready_queue *rq =
		    LIST_ITEM(rqs->held.next, struct ready_queue, held);

		list_remove(&rq->held);
		ready_queue_work(rq);
	}
}

void ready_queues_connecting(struct ready_queues *rqs, struct connection *c)
{
	list_add_tail(&rqs->attempts, &c->attempt);
}

/* So many were new at once, and did not answer, that others would wait. */
static void give_up_some(struct ready_queues *rqs, int64_t now)
{
	struct list *pos, *tmp;
	size_t count;
	int64_t patience =
	    shares_patience_ms(&rqs->shares, rqs->r->connections_most, &count);

	if (count == 0)
		return;
	LIST_EACH (pos, tmp, &rqs->attempts) {
		struct connection *c =
		    LIST_ITEM(pos, struct connection, attempt);

		if (count == 0 || now - c->opened < patience)
			break;
		if (ready_queue_standing(c->rq) != STANDING_BAD)
			continue;
		connection_give_up(c);
		count--;
	}
}

/* Idle connections whose place under a shared limit others wait for. */
static void end_wanted(struct ready_queue *rq)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &rq->idle) {
		struct connection *c = LIST_ITEM(pos, struct connection, idle);

		if (connection_is_wanted(c))
			connection_end(c);
	}
}

void ready_queues_tick(struct ready_queues *rqs)
{
	int64_t now = clock_now_ms();
	size_t pos = 0;
	const char *name;
	void *value;

	give_up_some(rqs, now);
	while (map_each(rqs->by_name, &pos, &name, &value)) {
		struct ready_queue *rq = value;

		rq->eager = rq->waiting_count > 0;
		if (rq->limits)
			end_wanted(rq);
		if (rq->waiting_count > 0 || !list_empty(&rq->routes))
			ready_queue_work(rq);
		if (rq->users > 0 || rq->waiting_count > 0 ||
		    rq->connection_count > 0 || rq->path_asking ||
		    rq->means_making || rq->reserved > 0 ||
		    now - rq->idle_since < IDLE_LIFE_MS)
			continue;
		(void)map_remove(rqs->by_name, name);
		free_one(rq);
	}
}

void ready_queues_stop(struct ready_queues *rqs, bool at_once)
{
	size_t pos = 0;
	const char *name;
	void *value;

	while (map_each(rqs->by_name, &pos, &name, &value)) {
		struct ready_queue *rq = value;
		struct list *c, *tmp;

		while (rq->waiting_count > 0) {
			struct ready_message *rm = ready_queue_first(rq);

			list_remove(&rm->link);
			rq->waiting_count--;
			outcome_return_waiting(rq->r->outcomes, rm);
		}
		LIST_EACH (c, tmp, &rq->connections) {
			struct connection *conn =
			    LIST_ITEM(c, struct connection, link);

			/* Before the greeting there is nothing to finish. */
			if (at_once || conn->connecting)
				connection_abort(conn);
			else
				connection_end(conn);
		}
	}
}

int64_t ready_queues_grace_ms(const struct ready_queues *rqs)
{
	int64_t most = 0;
	size_t pos = 0;
	const char *name;
	void *value;

	while (map_each(rqs->by_name, &pos, &name, &value)) {
		const struct ready_queue *rq = value;
		const struct list *c;

		for (c = rq->connections.next; c != &rq->connections;
		     c = c->next) {
			int64_t ms = egress_path_shutdown_ms(
			    LIST_ITEM(c, struct connection, link)->plan.path);

			most = ms > most ? ms : most;
		}
	}
	return most;
}

void ready_queues_overdue(struct ready_queues *rqs, int64_t after_ms)
{
	size_t pos = 0;
	const char *name;
	void *value;

	while (map_each(rqs->by_name, &pos, &name, &value)) {
		struct ready_queue *rq = value;
		struct list *c, *tmp;

		LIST_EACH (c, tmp, &rq->connections) {
			struct connection *conn =
			    LIST_ITEM(c, struct connection, link);

			if (after_ms >=
			    egress_path_shutdown_ms(conn->plan.path))
				connection_abort(conn);
		}
	}
}

void ready_queues_status(const struct ready_queues *rqs, struct json_object *o)
{
	static const char *const names[STANDING_COUNT] = {"good", "new", "bad"};
	struct buf text = BUF_INIT;
	struct json_object sites;

	json_add_int(o, "ready_queues", (int64_t)map_count(rqs->by_name));
	json_add_int(o, "open_connections", rqs->r->counters.connections);
	json_open(&sites, &text);
	for (size_t i = 0; i < STANDING_COUNT; i++) {
		struct buf one_text = BUF_INIT;
		struct json_object one;

		json_open(&one, &one_text);
		json_add_int(
		    &one, "messages", (int64_t)rqs->shares.messages[i]);
		json_add_int(
		    &one, "connections", (int64_t)rqs->shares.connections[i]);
		json_close(&one);
		json_add_raw(&sites, names[i], one_text.data, one_text.len);
		buf_release(&one_text);
	}
	json_close(&sites);
	json_add_raw(o, "sites", text.data, text.len);
	buf_release(&text);
}

void ready_queues_free(struct ready_queues *rqs)
{
	size_t pos = 0;
	const char *name;
	void *value;

	if (!rqs)
		return;
	while (map_each(rqs->by_name, &pos, &name, &value))
		free_one(value);
	map_free(rqs->by_name, NULL);
	loop_timer_free(rqs->pace);
	local_addr_free(rqs->local);
	free(rqs);
}
