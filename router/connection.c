/*
 * connection.c - one connection of a ready queue
 *
 * Each message is given to a session as one or more jobs of at most
 * max_recipients_per_batch recipients.  A recipient comes back by done() with a
 * reply, by done() with retry_at_once, or by closed() in a job that was never
 * begun; the latter two go to the front of the ready queue.
 */
#include "router/connection.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/xalloc.h"
#include "queue/queue.h"
#include "router/body.h"
#include "router/destination.h"
#include "router/lua_connection.h"
#include "router/outcome.h"
#include "router/plan.h"
#include "router/policy_call.h"
#include "router/ready_means.h"
#include "router/ready_message.h"
#include "router/ready_queues.h"
#include "router/router.h"
#include "router/tls_counts.h"

static struct attempt attempt_of(const struct connection *c,
    const struct ready_message *rm, const struct session_facts *facts)
{
	return ready_queue_attempt(
	    c->rq, c->plan.path, c->plan.source, rm, facts, c->session_id);
}

/* ---- jobs ---- */

static struct delivery_job *make_job(
    struct connection *c, struct ready_message *rm)
{
	struct delivery_job *job = ARENA_NEW(rm->arena, struct delivery_job);
	size_t most = (size_t)c->plan.path->max_recipients_per_batch;

	if (most == 0)
		most = 1;
	job->id = rm->m.id;
	job->sender = rm->m.sender;
	if (rm->again) {
		struct ready_run *run = rm->again;

		job->recipients = run->recipients;
		job->count = run->count < most ? run->count : most;
		run->recipients += job->count;
		run->count -= job->count;
		if (run->count == 0)
			rm->again = run->next;
	} else {
		job->recipients = rm->recipients + rm->next;
		job->count =
		    rm->count - rm->next < most ? rm->count - rm->next : most;
		rm->next += job->count;
	}
	job->prefix = rm->m.prefix;
	job->prefix_len = rm->m.prefix_len;
	job->facts = rm->m.facts;
	job->body = body_new(c->rq->r, rm, rm->arena);
	job->arena = rm->arena;
	job->said = &rm->said;
	job->owner_data = rm;
	return job;
}

/* Recipients [from, job->count) of a job wait again. */
static void wait_again(
    struct ready_message *rm, struct delivery_job *job, size_t from)
{
	struct ready_run *run;

	if (from == job->count)
		return;
	run = ARENA_NEW(rm->arena, struct ready_run);
	run->recipients = job->recipients + from;
	run->count = job->count - from;
	for (size_t i = 0; i < run->count; i++) {
		run->recipients[i].reply = (struct smtp_reply){0};
		run->recipients[i].retry_at_once = false;
	}
	run->next = rm->again;
	rm->again = run;
}

void connection_refuse(struct connection *c, struct ready_message *rm,
    const struct smtp_reply *reply)
{
	struct attempt attempt = attempt_of(c, rm, NULL);

	list_remove(&rm->link);
	c->rq->waiting_count--;
	outcome_report_waiting(c->rq->r->outcomes, rm, reply, &attempt);
}

static struct delivery_job *take_job(struct connection *c)
{
	struct ready_queue *rq = c->rq;
	struct ready_message *rm;
	struct delivery_job *job;
	struct smtp_reply reply;

	if (c->ending)
		return NULL;
	if (!router_may_start(rq->r)) {
		ready_queues_hold(rq->owner, rq);
		return NULL;
	}
	while ((rm = ready_queue_first(rq)) != NULL) {
		(void)queue_is_at(
		    rq->r->queue, QUEUE_HAND_LOOP, rm->info[0].row);
		if (ready_message_circles(rm, &reply)) {
			connection_refuse(c, rm, &reply);
			continue;
		}
		if (rq->limits && !ready_limits_take_message(rq, rm))
			return NULL; /* woken when it may go */
		job = make_job(c, rm);
		if (c->tls.known)
			tls_counts_carries(
			    rq->r->tls_counts, &c->tls, rm, c->arena);
		rq->in_flight++;
		ready_queue_taken(rq, rm);
		return job;
	}
	return NULL;
}

static struct delivery_job *next_job(struct connection *c)
{
	struct queue *queue = c->rq->r->queue;
	struct delivery_job *job = take_job(c);

	(void)queue_is_at(queue, QUEUE_HAND_LOOP, 0);
	return job;
}

/* ---- what the session asks and tells ---- */

void connection_connected(struct connection *c)
{
	if (!c->connecting)
		return;
	c->connecting = false;
	c->rq->connecting--;
	list_remove(&c->attempt);
	ready_queue_answered(c->rq);
	ready_queue_count(c->rq);
}

bool connection_is_wanted(const struct connection *c)
{
	return c->rq->waiting_count == 0 && ready_slots_wanted(&c->slots);
}

static struct delivery_job *on_next(void *owner, bool early)
{
	struct connection *c = owner;
	struct delivery_job *job;

	connection_connected(c);
	job = next_job(c);
	if (job) {
		list_remove(&c->idle);
		if (FAULT_POINT("outcome.delete-before-reply"))
			outcome_settle_early(
			    c->rq->r->outcomes, job->owner_data, job);
		return job;
	}
	if (connection_is_wanted(c))
		loop_defer(c->rq->r->loop, &c->release);
	if (!early) {
		list_remove(&c->idle);
		list_add_tail(&c->rq->idle, &c->idle);
	}
	return NULL;
}

static void on_begins(void *owner, struct delivery_job *job)
{
	struct connection *c = owner;

	ready_message_begins(
	    job->owner_data, c->rq->r->queue, job->recipients, job->count);
}

/* Those with a reply first, so that each part is one array. */
static size_t partition(struct delivery_job *job)
{
	size_t replied = 0;

	for (size_t i = 0; i < job->count; i++) {
		struct delivery_recipient t = job->recipients[i];

		if (t.retry_at_once || t.reply.code == 0)
			continue;
		job->recipients[i] = job->recipients[replied];
		job->recipients[replied++] = t;
	}
	return replied;
}

static void on_done(
    void *owner, struct delivery_job *job, const struct session_facts *facts)
{
	struct connection *c = owner;
	struct ready_message *rm = job->owner_data;
	struct attempt attempt = attempt_of(c, rm, facts);
	size_t replied = partition(job);

	ready_message_ends(rm, c->rq->r->queue, job->recipients, job->count);
	c->rq->in_flight--;
	if (replied < job->count) {
		wait_again(rm, job, replied);
		ready_queue_again(c->rq, rm);
	}
	outcome_report(
	    c->rq->r->outcomes, rm, job->recipients, replied, &attempt);
}

/* Also what ends a connection that others want: deferred, because a session
 * must not be ended while it asks. */
static void run_release(struct loop_deferred *d)
{
	struct connection *c = CONTAINER_OF(d, struct connection, release);

	if (c->session || c->lua) {
		connection_end(c);
		return;
	}
	record_unref(c->path);
	record_unref(c->source);
	ready_means_unref(c->means);
	destination_unref(c->destination);
	arena_unref(c->arena);
}

/* Nothing went through it. */
static void count_unused(struct connection *c)
{
	const struct tls_session *tls = &c->tls;

	if (tls->known && tls->count == 0)
		tls_counts_waiting(c->rq->r->tls_counts, c->rq, tls->policy,
		    tls->mx, tls->result);
	c->tls = (struct tls_session){0};
}

static void on_closed(void *owner, enum session_end end,
    const struct smtp_reply *reply, const struct session_facts *facts,
    struct delivery_job *unsent)
{
	struct connection *c = owner;
	struct ready_queue *rq = c->rq;

	if (unsent) {
		struct ready_message *rm = unsent->owner_data;

		rq->in_flight--;
		wait_again(rm, unsent, 0);
		ready_queue_again(rq, rm);
	}
	count_unused(c);
	c->session = NULL;
	connection_closed(c, end == SESSION_NO_HOST ? reply : NULL, facts);
}

void connection_closed(struct connection *c, const struct smtp_reply *failed,
    const struct session_facts *facts)
{
	struct ready_queue *rq = c->rq;

	if (c->connecting)
		rq->connecting--;
	list_remove(&c->link);
	list_remove(&c->idle);
	list_remove(&c->attempt);
	rq->connection_count--;
	rq->r->counters.connections--;
	/* First, so that those that have waited come before us. */
	ready_slots_release(&c->slots);
	ready_queue_count(rq);
	if (failed)
		ready_queue_failed(rq, failed, facts, c->session_id);
	else
		ready_queue_work(rq);
	loop_defer(rq->r->loop, &c->release);
	router_progress(rq->r);
}

/* Policy language, 12.6: "broken" is remembered for this ready queue. */
static bool on_tls_failed(void *owner)
{
	struct connection *c = owner;
	const struct egress_path *path = c->plan.path;
	int64_t ms = egress_path_broken_tls_ms(path);

	if (ms > 0) {
		c->rq->tls_broken_until = clock_now_ms() + ms;
		diag_info("%s: TLS failed at %s; in clear text for %lld s",
		    c->session_id, c->rq->destination->site_name,
		    (long long)(ms / 1000));
	}
	return path->opportunistic_tls_reconnect_on_failed_handshake;
}

static void on_tls_result(void *owner, const struct candidate *candidate,
    enum tls_result result, bool up)
{
	struct connection *c = owner;

	count_unused(c);
	if (up)
		c->tls = (struct tls_session){.known = true,
		    .policy = candidate->policy,
		    .result = result,
		    .mx = candidate->name};
	else
		tls_counts_waiting(c->rq->r->tls_counts, c->rq,
		    candidate->policy, candidate->name, result);
}

static const struct session_owner_ops ops = {
    on_next, on_done, on_closed, on_tls_failed, on_tls_result, on_begins};

/* Hosts that nobody even connects to. */
static void count_refused(struct ready_queue *rq, const struct plan_question *q)
{
	struct tls_counts *t = rq->r->tls_counts;
	const struct destination *d = rq->destination;
	bool enforced = q->path->enable_mta_sts && d->sts == STS_ENFORCE;

	for (size_t i = 0; (q->hosts || enforced) && i < d->count; i++) {
		enum dane_status dane =
		    q->hosts ? q->hosts[i].status : DANE_NONE;

		if (dane == DANE_FAILED)
			tls_counts_waiting(t, rq, TLS_POLICY_TLSA,
			    d->hosts[i].name, TLS_RESULT_DNSSEC_INVALID);
		if (dane != DANE_USABLE && dane != DANE_FAILED && enforced &&
		    d->hosts[i].sts_refused)
			tls_counts_waiting(t, rq, TLS_POLICY_STS,
			    d->hosts[i].name, TLS_RESULT_VALIDATION_FAILURE);
	}
}

/* ---- opening ---- */

static bool is_local(const struct ip_addr *ip, void *ctx)
{
	return local_addr_has(ctx, ip);
}

static size_t pick(size_t n, void *ctx)
{
	return (size_t)random_between(0, (int64_t)n - 1);
}

static void make_session_id(char out[37])
{
	char hex[33];

	random_hex(hex, 16);
	(void)snprintf(out, 37, "%.8s-%.4s-4%.3s-8%.3s-%.12s", hex, hex + 8,
	    hex + 13, hex + 17, hex + 20);
}

bool connection_open(struct ready_queue *rq, struct local_addr *local,
    const struct ready_slots *slots)
{
	struct router *r = rq->r;
	const char *why = NULL;
	struct arena *arena = arena_new(768);
	struct connection *c = ARENA_NEW(arena, struct connection);
	struct plan_question q = {
	    .destination = rq->destination,
	    .path = ready_queue_path(rq),
	    .source = rq->source->record,
	    .hosts = rq->means ? rq->means->hosts : NULL,
	    .next_hop = rq->routing_domain,
	    .is_local = is_local,
	    .ctx = local,
	    .why = &why,
	    .feeds = r->options->feeds,
	    .feed_count = r->options->feed_count,
	    .pick = pick,
	};
	struct candidate *candidates = NULL;
	struct smtp_reply refusal;

	count_refused(rq, &q);
	if (!rq->destination->lua && !plan_candidates(&q, arena, &candidates,
					 &c->plan.count, &refusal)) {
		ready_queue_refuse(rq, &refusal, why);
		arena_unref(arena);
		return false;
	}
	c->rq = rq;
	c->slots = *slots;
	c->arena = arena;
	c->path = record_ref(rq->path);
	c->source = record_ref(rq->source);
	c->destination = destination_ref(rq->destination);
	make_session_id(c->session_id);
	list_init(&c->idle);
	list_init(&c->attempt);
	c->opened = clock_now_ms();
	loop_deferred_init(&c->release, run_release);
	c->plan.candidates = candidates;
	c->plan.path = q.path;
	c->plan.source = q.source;
	c->plan.ehlo_name = plan_ehlo_name(q.path, q.source, r->hostname);
	c->plan.tls = r->tls;
	c->means = ready_means_ref(rq->means);
	c->plan.tls_profile = c->means->tls;
	c->plan.username = c->means->username;
	c->plan.password = c->means->password;
	c->plan.proxy = c->means->proxy;
	c->plan.tls_broken = clock_now_ms() < rq->tls_broken_until;
	c->plan.session_id = c->session_id;
	list_add_tail(&rq->connections, &c->link);
	rq->connection_count++;
	r->counters.connections++;
	c->connecting = true;
	if (rq->connecting++ == 0)
		rq->called = c->opened;
	ready_queues_connecting(rq->owner, c);
	ready_queue_count(rq);
	if (rq->destination->lua)
		lua_connection_start(c);
	else
		c->session =
		    smtp_session_start(loop_base(r->loop), &c->plan, &ops, c);
	return true;
}

void connection_wake(struct connection *c)
{
	list_remove(&c->idle);
	if (c->lua)
		lua_connection_wake(c->lua);
	else
		smtp_session_wake(c->session);
}

void connection_end(struct connection *c)
{
	c->ending = true;
	list_remove(&c->idle);
	if (c->lua)
		lua_connection_wake(c->lua);
	else if (c->session)
		smtp_session_shutdown(c->session);
}

void connection_end_others(struct ready_queue *rq, size_t keep)
{
	struct list *pos, *tmp;
	size_t left = 0;

	for (pos = rq->connections.next; pos != &rq->connections;
	     pos = pos->next)
		left += !LIST_ITEM(pos, struct connection, link)->ending;
	LIST_EACH (pos, tmp, &rq->idle) {
		if (left <= keep)
			return;
		connection_end(LIST_ITEM(pos, struct connection, idle));
		left--;
	}
	LIST_EACH (pos, tmp, &rq->connections) {
		struct connection *c = LIST_ITEM(pos, struct connection, link);

		if (left <= keep)
			return;
		if (c->ending)
			continue;
		/* Nor shall it still say its password. */
		if (c->connecting && c->session)
			connection_abort(c);
		else
			connection_end(c);
		left--;
	}
}

void connection_give_up(struct connection *c)
{
	if (c->session)
		smtp_session_give_up(c->session);
}

void connection_abort(struct connection *c)
{
	c->ending = true;
	list_remove(&c->idle);
	if (c->lua)
		lua_connection_abort(c->lua);
	else if (c->session)
		smtp_session_abort(c->session);
}
