/*
 * ready_queue.c - messages that leave through one source to one site, now
 */
#include "router/ready_queue.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "lua/script.h"
#include "policy/queue_config.h"
#include "router/connection.h"
#include "router/destination.h"
#include "router/egress.h"
#include "router/held_queues.h"
#include "router/intake.h"
#include "router/lua_connection.h"
#include "router/outcome.h"
#include "router/plan.h"
#include "router/policy_call.h"
#include "router/put_back.h"
#include "router/ready_limits.h"
#include "router/ready_means.h"
#include "router/ready_message.h"
#include "router/ready_queues.h"
#include "router/router.h"
#include "router/scheduled_queue.h"
#include "router/source_health.h"

/* What is opened for a host until somebody there answers. */
#define NEW_CONNECTIONS 2
/* The answer when no candidate could be reached (12.2). */
#define CODE_NO_HOST 400
/* As insert_context of requeue_message says it. */
#define WHY_GIVEN_UP "TooManyConnectionFailures"
/* So long a pool waits for a member of which nothing is known. */
#define UNKNOWN_MS 1000

const struct egress_path *ready_queue_path(const struct ready_queue *rq)
{
	return rq->path ? rq->path->record : egress_path_defaults();
}

void ready_queue_wait(struct ready_queue *rq, struct route *route)
{
	list_remove(&route->waiter);
	list_add_tail(&rq->routes, &route->waiter);
	if (rq->limits)
		ready_limits_line_up(rq);
}

static void let_others_pull(struct ready_queue *rq)
{
	size_t room = ready_queue_room(rq), woken = 0;

	/* Each takes what fits when its turn comes; so few at a time. */
	while (ready_queue_worth_filling(rq) && !list_empty(&rq->routes) &&
	       woken <= room / 16) {
		struct route *route =
		    LIST_ITEM(rq->routes.next, struct route, waiter);

		list_remove(&route->waiter);
		intake_unblock(rq->r->intake, route->sq);
		woken++;
	}
}

void ready_queue_is_known(struct ready_queue *rq)
{
	if (rq->known)
		return;
	rq->known = true;
	/* Those that wait for other members of their pools may go on. */
	while (!list_empty(&rq->routes)) {
		struct route *route =
		    LIST_ITEM(rq->routes.next, struct route, waiter);

		list_remove(&route->waiter);
		intake_unblock(rq->r->intake, route->sq);
	}
}

/* ---- the path ---- */

bool ready_queue_suspended(const struct ready_queue *rq)
{
	const struct egress_source *source = rq->source->record;

	return source_health_suspended(rq->r->health, source->name);
}

/* All that wait beyond the first `most`, to be leased again. */
static void give_back(struct ready_queue *rq, size_t most)
{
	while (rq->waiting_count > most) {
		struct ready_message *rm =
		    LIST_ITEM(rq->waiting.prev, struct ready_message, link);

		list_remove(&rm->link);
		rq->waiting_count--;
		outcome_return_waiting(rq->r->outcomes, rm);
	}
}

/* The same, and it is a limit that stays closed. */
static void put_back(struct ready_queue *rq, size_t most)
{
	int64_t ms = -1;
	const char *label = ready_limits_why(rq, &ms);
	const char *reason = ready_limits_reason(rq);

	if (!label) {
		give_back(rq, most);
		return;
	}
	while (rq->waiting_count > most) {
		struct ready_message *rm =
		    LIST_ITEM(rq->waiting.prev, struct ready_message, link);

		list_remove(&rm->link);
		rq->waiting_count--;
		put_back_for_limit(rq->r, rm, reason, label, ms);
	}
}

/* That it is a limit that holds their mail. */
static void tell_queues(struct ready_queue *rq)
{
	struct list *pos;
	struct scheduled_queue *last = NULL;

	for (pos = rq->waiting.next; pos != &rq->waiting; pos = pos->next) {
		struct scheduled_queue *sq =
		    LIST_ITEM(pos, struct ready_message, link)->sq;

		if (sq != last)
			held_queues_blocked(rq->r->held, sq);
		last = sq;
	}
	/* There may be many, and this is done whenever a rate closes. */
	if (!ready_limits_may_tell(rq))
		return;
	for (pos = rq->routes.next; pos != &rq->routes; pos = pos->next)
		held_queues_blocked(
		    rq->r->held, LIST_ITEM(pos, struct route, waiter)->sq);
}

/* What waits for a rate that stays closed, waits in the file. */
static void obey_limits(struct ready_queue *rq)
{
	if (rq->waiting_count == 0 && rq->reserved == 0 &&
	    list_empty(&rq->routes)) {
		ready_limits_leave(rq);
		return;
	}
	if (ready_limits_room(rq) > 0)
		return;
	tell_queues(rq);
	put_back(rq, ready_limits_paid(rq));
	ready_limits_line_up(rq);
}

size_t ready_queue_choices(const struct ready_queue *rq)
{
	if (ready_queue_suspended(rq))
		return 0;
	return rq->limits ? ready_limits_choices(rq) : SIZE_MAX;
}

void ready_queue_chosen(struct ready_queue *rq)
{
	if (rq->limits)
		ready_limits_chosen(rq, 1);
}

const char *ready_queue_why(const struct ready_queue *rq, int64_t *ms)
{
	if (!ready_queue_is_resting(rq))
		return rq->limits ? ready_limits_why(rq, ms) : NULL;
	*ms = rq->rest_until - clock_now_ms();
	return "no host answered when it was last called";
}

/* The first answer about the path: what waits has chosen before it was known
 * how often that may be done.  Those that should not have, choose again. */
static void choose_again(struct ready_queue *rq)
{
	size_t most = ready_limits_choices(rq), count = rq->waiting_count;

	ready_limits_chosen(rq, count < most ? count : most);
	for (; count > most; count--) {
		struct ready_message *rm =
		    LIST_ITEM(rq->waiting.prev, struct ready_message, link);

		list_remove(&rm->link);
		rq->waiting_count--;
		scheduled_queue_admitted(rm->sq, rm);
	}
}

void ready_queue_give_back(struct ready_queue *rq)
{
	give_back(rq, 0);
}

/* Nothing more leaves the way that it allows no longer. */
static void use_path(struct ready_queue *rq, struct record_ref *ref)
{
	const struct egress_path *path = ref->record;
	bool same = !rq->path || rq->path == ref ||
		    param_same(&egress_path_params, rq->path->record, path);

	record_unref(rq->path);
	rq->path = ref;
	rq->path_until =
	    path->refresh_strategy == REFRESH_EPOCH
		? INT64_MAX
		: router_until(clock_now_ms(), path->refresh_interval.ms);
	connection_end_others(rq, same ? (size_t)path->connection_limit : 0);
	ready_limits_set(rq, path);
}

static void got_path(struct record_ref *ref, const struct err *err, void *ctx)
{
	struct ready_queue *rq = ctx;
	const struct egress_path *path;
	struct arena *arena;
	struct smtp_reply reply;

	rq->path_asking = false;
	if (!ref && !err)
		ref = record_builtin(egress_path_defaults());
	if (ref) {
		bool first = !rq->path;

		path = ref->record;
		use_path(rq, ref);
		if (first && rq->limits)
			choose_again(rq);
		if (first)
			/* Leased before the path was known. */
			give_back(rq, (size_t)path->max_ready);
	} else {
		rq->path_until = clock_now_ms() + 10000;
		if (!rq->path) {
			arena = arena_new(0);
			reply = smtp_reply_make(arena, 451, "4.4.4",
			    "no egress path: %.500s", err->text);
			ready_queue_refuse(rq, &reply, WHY_NOT_READY);
			arena_unref(arena);
		}
	}
	ready_queue_work(rq);
}

/* Whose mail the answer is wanted for. */
static int64_t asking_queue(const struct ready_queue *rq)
{
	if (rq->waiting_count > 0)
		return ready_queue_first(rq)->sq->id;
	if (!list_empty(&rq->routes))
		return LIST_ITEM(rq->routes.next, struct route, waiter)->sq->id;
	return 0;
}

/* False: it is being asked for; open connections go on meanwhile. */
static bool have_path(struct ready_queue *rq)
{
	const struct egress_source *source = rq->source->record;
	const char *args[] = {
	    rq->routing_domain, source->name, rq->destination->site_name};
	int64_t epoch = script_policy_generation(rq->r->policy);

	if (rq->path && rq->path_epoch == epoch &&
	    clock_now_ms() < rq->path_until)
		return true;
	if (!rq->path_asking) {
		rq->path_asking = true;
		rq->path_epoch = epoch;
		policy_ask(rq->r, "get_egress_path_config", &egress_path_params,
		    args, COUNT(args), asking_queue(rq), got_path, rq);
	}
	return false;
}

/* ---- work ---- */

static void wake_idle(struct ready_queue *rq)
{
	size_t n = rq->waiting_count;

	if (rq->limits) {
		size_t sendable = ready_limits_sendable(rq);

		n = n < sendable ? n : sendable;
	}
	while (n-- > 0 && rq->waiting_count > 0 && !list_empty(&rq->idle))
		connection_wake(
		    LIST_ITEM(rq->idle.next, struct connection, idle));
}

/* Not more than there is something to send for. */
static bool limits_want_more(struct ready_queue *rq)
{
	size_t busy = rq->in_flight < rq->connection_count
			  ? rq->in_flight
			  : rq->connection_count;

	return rq->connection_count - busy < ready_limits_sendable(rq);
}

static bool open_one(struct ready_queue *rq)
{
	struct local_addr *local = ready_queues_local(rq->owner);
	struct ready_slots slots = {0};

	if (!rq->limits)
		return connection_open(rq, local, &slots);
	if (!limits_want_more(rq) || !ready_limits_take_connection(rq, &slots))
		return false;
	if (connection_open(rq, local, &slots))
		return true;
	ready_limits_give_back_connection(rq, &slots);
	return false;
}

static void open_lua_connections(struct ready_queue *rq)
{
	while (rq->connection_count < lua_connections_wanted(rq) &&
	       rq->connecting < rq->waiting_count &&
	       lua_connection_may_open(rq))
		if (!open_one(rq))
			return;
}

static void open_connections(struct ready_queue *rq)
{
	const struct egress_path *path = ready_queue_path(rq);
	size_t mail = rq->waiting_count + rq->in_flight;
	size_t want =
	    rq->eager ? plan_connections(mail, path->connection_limit)
		      : plan_connections_at_first(mail, path->connection_limit);
	const struct shares *shares = ready_queues_shares(rq->owner);
	enum standing standing = ready_queue_standing(rq);

	if (ready_queue_is_resting(rq))
		return;
	if (rq->destination->lua) {
		open_lua_connections(rq);
		return;
	}
	/* A host that has not answered yet is not called by many at once. */
	if (standing == STANDING_NEW && want > NEW_CONNECTIONS)
		want = NEW_CONNECTIONS;
	if (standing == STANDING_BAD && want > 1)
		want = 1;
	while (
	    rq->connection_count < want && rq->connecting < rq->waiting_count &&
	    shares_may_open(shares, standing,
		(size_t)rq->r->counters.connections, rq->r->connections_most) &&
	    ready_queues_may_open(rq->owner, rq))
		if (!open_one(rq))
			return; /* refused, or a limit does not allow it */
}

void ready_queue_run(struct loop_deferred *d)
{
	struct ready_queue *rq = CONTAINER_OF(d, struct ready_queue, work);

	if (!rq->known && rq->first_push &&
	    clock_now_ms() - rq->first_push >= UNKNOWN_MS)
		ready_queue_is_known(rq);
	if (ready_queue_suspended(rq))
		give_back(rq, 0);
	if (rq->waiting_count > 0 && !router_may_start(rq->r)) {
		ready_queues_hold(rq->owner, rq);
	} else if (rq->waiting_count > 0 && have_path(rq) &&
		   ready_means_have(rq)) {
		wake_idle(rq);
		open_connections(rq);
	} else if (rq->in_flight > 0) {
		/* Those that come one by one find a connection free. */
		(void)have_path(rq);
	}
	if (rq->limits) {
		obey_limits(rq);
		/* Closed for long: the policy may have other ideas by then. */
		if (rq->waiting_count == 0 && !list_empty(&rq->routes))
			(void)have_path(rq);
	}
	ready_queue_count(rq);
	let_others_pull(rq);
	if (rq->waiting_count > 0 || rq->connection_count > 0)
		rq->idle_since = clock_now_ms();
	router_progress(rq->r);
}

void ready_queue_work(struct ready_queue *rq)
{
	loop_defer(rq->r->loop, &rq->work);
}

static void refuse_at_once(struct ready_queue *rq, struct ready_message *rm)
{
	struct attempt attempt = ready_queue_attempt(
	    rq, ready_queue_path(rq), rq->source->record, rm, NULL, NULL);

	attempt.why = WHY_GIVEN_UP;
	rq->refused++;
	outcome_report_waiting(rq->r->outcomes, rm, &rq->given_up, &attempt);
}

void ready_queue_push(struct ready_queue *rq, struct ready_message *rm)
{
	if (ready_queue_is_given_up(rq)) {
		refuse_at_once(rq, rm);
		return;
	}
	if (!rq->first_push)
		rq->first_push = clock_now_ms();
	if (rm->info[0].last_code == CODE_NO_HOST && !rq->proven)
		rq->remembered = true;
	list_add_tail(&rq->waiting, &rm->link);
	rq->waiting_count++;
	ready_queue_work(rq);
}

struct ready_message *ready_queue_first(const struct ready_queue *rq)
{
	if (list_empty(&rq->waiting))
		return NULL;
	return LIST_ITEM(rq->waiting.next, struct ready_message, link);
}

void ready_queue_taken(struct ready_queue *rq, struct ready_message *rm)
{
	if (ready_message_waiting(rm) > 0)
		return;
	list_remove(&rm->link);
	rq->waiting_count--;
	if (!list_empty(&rq->routes) &&
	    (rq->limits || ready_queue_worth_filling(rq)))
		ready_queue_work(rq);
}

void ready_queue_again(struct ready_queue *rq, struct ready_message *rm)
{
	/* ready_queues_stop() has been here already. */
	if (rq->r->holds & (HOLD_STOPPING | HOLD_POISON)) {
		outcome_return_waiting(rq->r->outcomes, rm);
		return;
	}
	if (list_empty(&rm->link)) {
		list_add_head(&rq->waiting, &rm->link);
		rq->waiting_count++;
	}
	ready_queue_work(rq);
}

/* ---- failures ---- */

struct attempt ready_queue_attempt(const struct ready_queue *rq,
    const struct egress_path *path, const struct egress_source *source,
    const struct ready_message *rm, const struct session_facts *facts,
    const char *session_id)
{
	const struct egress_choice *choice = rm->sq->choice;

	return (struct attempt){
	    .site = rq->name,
	    .pool = choice ? egress_choice_pool(choice)->name : NULL,
	    .source = source->name,
	    .protocol = rq->destination->lua ? "Lua"
			: path->use_lmtp     ? "LMTP"
					     : "ESMTP",
	    .provider_name = path->provider_name,
	    .session_id = session_id,
	    .facts = facts,
	};
}

static void fail_first(struct ready_queue *rq, const struct smtp_reply *reply,
    const char *why, const struct session_facts *facts, const char *session_id)
{
	struct ready_message *rm = ready_queue_first(rq);
	struct attempt attempt = ready_queue_attempt(rq, ready_queue_path(rq),
	    rq->source->record, rm, facts, session_id);

	attempt.why = why;
	list_remove(&rm->link);
	rq->waiting_count--;
	outcome_report_waiting(rq->r->outcomes, rm, reply, &attempt);
}

void ready_queue_refuse(
    struct ready_queue *rq, const struct smtp_reply *reply, const char *why)
{
	while (rq->waiting_count > 0)
		fail_first(rq, reply, why, NULL, NULL);
	ready_queue_is_known(rq);
	ready_queue_work(rq);
}

void ready_queue_answered(struct ready_queue *rq)
{
	rq->failures = rq->rest_until = 0;
	rq->given_up.code = 0;
	rq->remembered = false;
	if (rq->proven)
		return;
	rq->proven = true;
	ready_queue_is_known(rq);
	ready_queue_work(rq);
}

void ready_queue_failed(struct ready_queue *rq, const struct smtp_reply *reply,
    const struct session_facts *facts, const char *session_id)
{
	bool is_ours = facts->source_unplumbed || facts->proxy_failed;

	rq->proven = false;
	/* What is our own fault says nothing about the hosts. */
	if (!is_ours)
		ready_queue_rest(rq, reply);
	ready_queue_is_known(rq);
	if (rq->waiting_count > 0)
		fail_first(rq, reply, NULL, facts, session_id);
	if (is_ours &&
	    source_health_failed(rq->r->health, rq->source->record,
		facts->source_unplumbed ? SOURCE_UNPLUMBED : SOURCE_PROXY))
		give_back(rq, 0);
	if (rq->given_up.code)
		ready_queue_refuse(rq, &rq->given_up, WHY_GIVEN_UP);
	ready_queue_work(rq);
}
