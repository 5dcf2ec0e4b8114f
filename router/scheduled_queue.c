/*
 * scheduled_queue.c - mail that waits for the same destination, until it is due
 *
 * prepare() is a straight sequence of what has to be known; whatever is not,
 * is asked for, and the answer calls prepare() again.  A refresh that fails
 * keeps the old configuration (policy language, 10.1).
 */
#include "router/scheduled_queue.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "queue/queue.h"
#include "router/admission.h"
#include "router/deferred_injection.h"
#include "router/destination.h"
#include "router/egress.h"
#include "router/enumeration.h"
#include "router/intake.h"
#include "router/maildir_delivery.h"
#include "router/outcome.h"
#include "router/plan.h"
#include "router/policy_call.h"
#include "router/ready_message.h"
#include "router/ready_queues.h"
#include "router/router.h"
#include "router/suspects.h"

#define REFUSALS_AT_ONCE 200

struct scheduled_queue *scheduled_queue_new(
    struct router *r, int64_t id, const char *name)
{
	/* The name, and its parts: one malloc, there are thousands of us. */
	struct arena *arena = arena_new(
	    sizeof(struct scheduled_queue) + 2 * strlen(name) + 5 * 16);
	struct scheduled_queue *sq = ARENA_NEW(arena, struct scheduled_queue);

	list_init(&sq->link);
	sq->r = r;
	sq->id = id;
	sq->arena = arena;
	sq->name = arena_strdup(arena, name);
	sq->parts = queue_name_parse(sq->name, arena);
	sq->drop = str_eq(name, "null");
	sq->inject = str_eq(name, QUEUE_NAME_DEFERRED);
	sq->since = clock_now_ms();
	scheduled_queue_rate_init(sq);
	sq->route_before = -1;
	return sq;
}

static void forget_routes(struct scheduled_queue *sq)
{
	for (size_t i = 0; i < sq->route_count; i++) {
		list_remove(&sq->routes[i].waiter);
		if (sq->routes[i].rq)
			ready_queue_unref(sq->routes[i].rq);
	}
	free(sq->routes);
	free(sq->usable);
	sq->routes = NULL;
	sq->usable = NULL;
	sq->route_count = 0;
}

void scheduled_queue_free(struct scheduled_queue *sq)
{
	invariant(sq->leased == 0);
	list_remove(&sq->link);
	forget_routes(sq);
	gate_leave_line(&sq->turn);
	gate_unref(sq->rate);
	free(sq->held_because);
	record_unref(sq->config);
	record_unref(sq->config_next);
	destination_unref(sq->destination);
	egress_choice_unref(sq->choice);
	arena_unref(sq->refusal_arena);
	arena_unref(sq->arena);
}

bool scheduled_queue_can_go(const struct scheduled_queue *sq)
{
	return (sq->state == SQ_IDLE || sq->state == SQ_BLOCKED) &&
	       sq->leased == 0 && !sq->config_asking;
}

const struct queue_config *scheduled_queue_config(
    const struct scheduled_queue *sq)
{
	if (sq->inject)
		return queue_config_deferred();
	return sq->config ? sq->config->record : queue_config_defaults();
}

static const char *delivery_domain(const struct scheduled_queue *sq)
{
	return sq->parts.routing_domain ? sq->parts.routing_domain
					: sq->parts.domain;
}

/* ---- the configuration ---- */

static void refuse(struct scheduled_queue *sq, const char *fmt, const char *why)
{
	arena_unref(sq->refusal_arena);
	sq->refusal_arena = arena_new(0);
	sq->refusal_why = WHY_NOT_READY;
	sq->refusal = smtp_reply_make(
	    sq->refusal_arena, 451, "4.4.4", "%s: %.500s", fmt, why);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || str_eq(a, b);
}

static bool same_route(
    const struct queue_config *a, const struct queue_config *b)
{
	if (!same_text(a->egress_pool, b->egress_pool) ||
	    a->protocol.kind != b->protocol.kind ||
	    !same_text(a->protocol.constructor, b->protocol.constructor) ||
	    a->protocol.batch_size != b->protocol.batch_size ||
	    a->protocol.min_batch_size != b->protocol.min_batch_size ||
	    a->protocol.max_batch_latency.ms !=
		b->protocol.max_batch_latency.ms ||
	    a->protocol.treat_mx_list_as_secure !=
		b->protocol.treat_mx_list_as_secure ||
	    a->protocol.mx_count != b->protocol.mx_count)
		return false;
	for (size_t i = 0; i < a->protocol.mx_count; i++)
		if (!same_text(a->protocol.mx_list[i].label,
			b->protocol.mx_list[i].label) ||
		    !same_text(a->protocol.mx_list[i].name,
			b->protocol.mx_list[i].name))
			return false;
	return true;
}

static void forget_destination(struct scheduled_queue *sq)
{
	forget_routes(sq);
	destination_unref(sq->destination);
	sq->destination = NULL;
	egress_choice_unref(sq->choice);
	sq->choice = NULL;
}

/* Takes the reference. */
static void use_config(struct scheduled_queue *sq, struct record_ref *ref)
{
	const struct queue_config *config = ref->record;

	if (sq->config && !same_route(sq->config->record, config))
		forget_destination(sq);
	record_unref(sq->config);
	sq->config = ref;
	scheduled_queue_use_rate(sq, config->max_message_rate);
	sq->config_until =
	    config->refresh_strategy == REFRESH_EPOCH
		? INT64_MAX
		: router_until(clock_now_ms(), config->refresh_interval.ms);
}

static void got_config(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct scheduled_queue *sq = ctx;

	sq->config_asking = false;
	if (!ref && !err)
		ref = record_builtin(queue_config_defaults());
	if (!ref) {
		/* The next attempt asks again; a refresh keeps what we have. */
		sq->config_until = clock_now_ms() + 10000;
		if (!sq->config)
			refuse(sq, "the queue cannot be configured", err->text);
	} else if (sq->state == SQ_LEASING) {
		/* What comes back goes where room was made for it. */
		record_unref(sq->config_next);
		sq->config_next = ref;
	} else {
		use_config(sq, ref);
	}
	if (sq->state == SQ_PREPARING)
		scheduled_queue_prepare(sq);
}

/* False: it is being asked for. */
static bool have_config(struct scheduled_queue *sq)
{
	const char *args[] = {sq->parts.domain, sq->parts.tenant,
	    sq->parts.campaign, sq->parts.routing_domain};
	int64_t epoch = script_policy_generation(sq->r->policy);
	bool stale;

	if (sq->config_next) {
		use_config(sq, sq->config_next);
		sq->config_next = NULL;
	}
	stale = !sq->config || sq->config_epoch != epoch ||
		clock_now_ms() >= sq->config_until;
	if (!stale)
		return true;
	if (!sq->config_asking) {
		sq->config_asking = true;
		sq->config_epoch = epoch;
		policy_ask(sq->r, "get_queue_config", &queue_config_params,
		    args, COUNT(args), sq->id, got_config, sq);
	}
	return false;
}

/* ---- destination, pool, routes ---- */

static void got_destination(struct destination *d, void *ctx)
{
	struct scheduled_queue *sq = ctx;

	destination_unref(sq->destination);
	sq->destination = d;
	forget_routes(sq);
	scheduled_queue_prepare(sq);
}

static bool have_destination(struct scheduled_queue *sq)
{
	const struct queue_config *config = scheduled_queue_config(sq);

	if (sq->destination && sq->destination->expires_at > clock_now_ms())
		return true;
	destination_resolve(sq->r, &config->protocol, delivery_domain(sq),
	    sq->parts.routing_domain != NULL, got_destination, sq);
	return false;
}

static void got_choice(
    struct egress_choice *choice, const struct err *err, void *ctx)
{
	struct scheduled_queue *sq = ctx;

	egress_choice_unref(sq->choice);
	sq->choice = choice;
	forget_routes(sq);
	if (!choice)
		refuse(sq, "no egress pool", err->text);
	scheduled_queue_prepare(sq);
}

static bool have_choice(struct scheduled_queue *sq)
{
	const char *pool = scheduled_queue_config(sq)->egress_pool;
	struct egress_choice *choice;

	if (sq->choice && sq->choice->expires_at > clock_now_ms())
		return true;
	choice = egress_cached(sq->r->egress, pool);
	if (!choice) {
		egress_resolve(sq->r->egress, pool, got_choice, sq);
		return false;
	}
	egress_choice_unref(sq->choice);
	sq->choice = choice;
	forget_routes(sq);
	return true;
}

static void make_routes(struct scheduled_queue *sq)
{
	const struct egress_pool *pool = egress_choice_pool(sq->choice);
	size_t usable = 0;

	if (sq->routes)
		return;
	sq->route_count = sq->choice->count;
	sq->routes = xcalloc(sq->route_count + 1, sizeof *sq->routes);
	sq->usable = xcalloc(sq->route_count + 1, sizeof *sq->usable);
	for (size_t i = 0; i < sq->route_count; i++) {
		struct route *route = &sq->routes[i];

		list_init(&route->waiter);
		route->sq = sq;
		if (pool->entries[i].weight == 0)
			continue;
		route->rq =
		    ready_queue_get(sq->r->ready, sq->choice->sources[i],
			sq->destination, delivery_domain(sq));
		usable++;
	}
	if (usable == 0) {
		forget_routes(sq);
		refuse(sq, "the egress pool has no usable source", pool->name);
	}
}

static void prepare_smtp(struct scheduled_queue *sq)
{
	struct smtp_reply refusal;
	struct arena *arena;

	if (!have_destination(sq))
		return;
	arena = arena_new(0);
	if (plan_refused(sq->destination, arena, &refusal)) {
		arena_unref(sq->refusal_arena);
		sq->refusal_arena = arena;
		sq->refusal = refusal;
		sq->refusal_why =
		    sq->destination->has_none ? WHY_NO_HOSTS : WHY_NOT_READY;
		intake_runnable(sq->r->intake, sq);
		return;
	}
	arena_unref(arena);
	if (!have_choice(sq))
		return;
	make_routes(sq);
	intake_runnable(sq->r->intake, sq);
}

static void prepare_lua(struct scheduled_queue *sq)
{
	if (!sq->destination)
		sq->destination =
		    destination_for_lua(&scheduled_queue_config(sq)->protocol,
			&sq->parts, delivery_domain(sq));
	if (!have_choice(sq))
		return;
	make_routes(sq);
	intake_runnable(sq->r->intake, sq);
}

static void prepare(struct scheduled_queue *sq)
{
	if (sq->refusal.code || sq->drop || sq->inject) {
		intake_runnable(sq->r->intake, sq);
		return;
	}
	if (!have_config(sq))
		return;
	switch (scheduled_queue_config(sq)->protocol.kind) {
	case PROTOCOL_SMTP:
		prepare_smtp(sq);
		return;
	case PROTOCOL_MAILDIR:
		break;
	case PROTOCOL_LUA:
		prepare_lua(sq);
		return;
	}
	intake_runnable(sq->r->intake, sq);
}

void scheduled_queue_prepare(struct scheduled_queue *sq)
{
	int64_t before = queue_is_at(sq->r->queue, QUEUE_HAND_LOOP, -sq->id);

	if (sq->state != SQ_PREPARING)
		intake_set_state(sq->r->intake, sq, SQ_PREPARING);
	prepare(sq);
	(void)queue_is_at(sq->r->queue, QUEUE_HAND_LOOP, before);
}

/* ---- room ---- */

static bool is_maildir(const struct scheduled_queue *sq)
{
	return scheduled_queue_config(sq)->protocol.kind == PROTOCOL_MAILDIR;
}

static size_t pool_weight(const struct scheduled_queue *sq, size_t i)
{
	return (size_t)egress_choice_pool(sq->choice)->entries[i].weight;
}

/* Without its own rate. */
static size_t room_ahead(const struct scheduled_queue *sq)
{
	size_t room = 0, weights = 0;
	bool worth_it = false, healthy = false;

	if (sq->refusal.code || sq->drop)
		return REFUSALS_AT_ONCE;
	if (sq->inject)
		return injections_room(sq->r->injections, sq);
	if (is_maildir(sq))
		return maildirs_room(sq->r->maildirs, sq);
	for (size_t i = 0; i < sq->route_count; i++) {
		const struct ready_queue *rq = sq->routes[i].rq;
		size_t choices = rq ? ready_queue_choices(rq) : 0, most;

		if (choices == 0)
			continue;
		healthy = true;
		most = ready_queue_room(rq);
		room += most < choices ? most : choices;
		worth_it = worth_it || ready_queue_worth_filling(rq);
		weights += pool_weight(sq, i);
	}
	/* They get their answer in dispatch_smtp(). */
	if (!healthy)
		return REFUSALS_AT_ONCE;
	if (!worth_it)
		return 0;
	for (size_t i = 0; i < sq->route_count; i++) {
		const struct ready_queue *rq = sq->routes[i].rq;
		size_t most;

		if (!rq || rq->known || ready_queue_suspended(rq))
			continue;
		most = ready_queue_room(rq) * weights / pool_weight(sq, i);
		room = room < most ? room : most;
	}
	return room;
}

size_t scheduled_queue_room(const struct scheduled_queue *sq)
{
	size_t most = sq->rate ? gate_room(sq->rate, 0) : SIZE_MAX, room;

	if (most == 0)
		return 0;
	room = room_ahead(sq);
	return room < most ? room : most;
}

void scheduled_queue_reserve(
    struct scheduled_queue *sq, size_t messages, bool take)
{
	size_t usable = 0, each;

	for (size_t i = 0; i < sq->route_count; i++)
		usable += sq->routes[i].rq != NULL;
	if (usable == 0)
		return;
	each = (messages + usable - 1) / usable;
	for (size_t i = 0; i < sq->route_count; i++)
		if (sq->routes[i].rq)
			ready_queue_reserve(sq->routes[i].rq, each, take);
}

void scheduled_queue_wait(struct scheduled_queue *sq)
{
	if (scheduled_queue_wait_for_rate(sq))
		return;
	if (is_maildir(sq) || sq->inject)
		return; /* maildirs_wake() looks through all that are blocked */
	for (size_t i = 0; i < sq->route_count; i++)
		if (sq->routes[i].rq)
			ready_queue_wait(sq->routes[i].rq, &sq->routes[i]);
}

void scheduled_queue_unwait(struct scheduled_queue *sq)
{
	gate_leave_line(&sq->turn);
	for (size_t i = 0; i < sq->route_count; i++)
		list_remove(&sq->routes[i].waiter);
}

/* ---- dispatching ---- */

static bool is_healthy(const struct route *route)
{
	return route->rq && ready_queue_choices(route->rq) > 0;
}

/* Policy language, 10.6: the attempt counts, with the usual backoff. */
static void suspended(struct scheduled_queue *sq, struct ready_message *rm)
{
	struct arena *arena = arena_new(0);
	const struct egress_pool *pool = egress_choice_pool(sq->choice);
	bool limited = false;
	struct smtp_reply reply;

	for (size_t i = 0; i < sq->route_count; i++)
		limited |= sq->routes[i].rq &&
			   !ready_queue_suspended(sq->routes[i].rq);
	reply = smtp_reply_make(arena, 451, "4.4.4",
	    "all sources of the egress pool %s are suspended%s", pool->name,
	    limited ? ", or were chosen as often as source_selection_rate "
		      "allows"
		    : "");

	outcome_report_waiting(sq->r->outcomes, rm, &reply,
	    &(struct attempt){.pool = pool->name,
		.why =
		    limited ? WHY_NOT_READY : "SourceIsUnhealthyAndSuspended"});
	arena_unref(arena);
}

static void dispatch_smtp(struct scheduled_queue *sq, struct ready_message *rm)
{
	const struct egress_pool *pool = egress_choice_pool(sq->choice);
	struct source_turn *turn = &sq->choice->turn->turn;
	int chosen;

	for (size_t i = 0; i < sq->route_count; i++)
		sq->usable[i] = is_healthy(&sq->routes[i]) &&
				ready_queue_has_place(sq->routes[i].rq);
	chosen = source_turn_pick(turn, pool, sq->usable, sq->route_before);
	if (chosen < 0) {
		/* Others were faster; it is leased, so let it wait there. */
		for (size_t i = 0; i < sq->route_count; i++)
			sq->usable[i] = is_healthy(&sq->routes[i]);
		chosen = source_turn_pick(turn, pool, sq->usable, -1);
	}
	if (chosen < 0) {
		suspended(sq, rm);
		return;
	}
	invariant(chosen >= 0 && (size_t)chosen < sq->route_count);
	ready_queue_chosen(sq->routes[chosen].rq);
	sq->route_before = chosen;
	ready_queue_push(sq->routes[chosen].rq, rm);
}

void scheduled_queue_expect(struct scheduled_queue *sq)
{
	sq->route_before = -1;
	if (sq->routes && !sq->refusal.code && !admissions_needed(sq->r))
		source_turn_expect(&sq->choice->turn->turn, sq);
}

void scheduled_queue_leased(struct scheduled_queue *sq)
{
	if (sq->choice)
		source_turn_end(&sq->choice->turn->turn);
}

void scheduled_queue_admitted(
    struct scheduled_queue *sq, struct ready_message *rm)
{
	if (is_maildir(sq))
		maildirs_put(sq->r->maildirs, rm);
	else if (sq->routes)
		dispatch_smtp(sq, rm);
	else /* its configuration changed meanwhile */
		outcome_return_waiting(sq->r->outcomes, rm);
}

void scheduled_queue_enumerated(
    struct scheduled_queue *sq, struct ready_message *rm)
{
	if (sq->refusal.code)
		outcome_report_waiting(sq->r->outcomes, rm, &sq->refusal,
		    &(struct attempt){.why = sq->refusal_why});
	else if (sq->inject)
		injections_put(sq->r->injections, rm);
	else if (admissions_needed(sq->r))
		admissions_put(sq->r->admissions, rm);
	else
		scheduled_queue_admitted(sq, rm);
}

void scheduled_queue_dispatch(
    struct scheduled_queue *sq, struct ready_message *rm)
{
	struct outcomes *o = sq->r->outcomes;
	struct queue *queue = sq->r->queue;
	int64_t before = queue_is_at(queue, QUEUE_HAND_LOOP, rm->info[0].row);

	if (sq->drop) {
		outcome_drop_waiting(o, rm);
	} else if (suspects_take(sq->r->suspects, rm)) {
		; /* others are tried first */
	} else if (!enumerations_take(sq->r->enumerations, rm)) {
		scheduled_queue_enumerated(sq, rm);
	}
	(void)queue_is_at(queue, QUEUE_HAND_LOOP, before);
}
