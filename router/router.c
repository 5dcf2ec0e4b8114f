/*
 * router.c - when the router may work, and how it comes to an end
 *
 * A stop (SIGTERM) and a recovery (a failed sync) begin alike: nothing new
 * starts, what is not in a transaction is given back, connections finish what
 * they are at and, at a deadline, drop it.  router_progress() is called
 * whenever something has ended and sees when nothing is left.
 */
#include "router/router.h"

#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_writer.h"
#include "lua/script.h"
#include "policy/egress_path.h"
#include "queue/queue.h"
#include "router/admission.h"
#include "router/deferred_injection.h"
#include "router/egress.h"
#include "router/enumeration.h"
#include "router/gate.h"
#include "router/held_queues.h"
#include "router/intake.h"
#include "router/maildir_delivery.h"
#include "router/message_load.h"
#include "router/outcome.h"
#include "router/queue_thread.h"
#include "router/ready_means.h"
#include "router/ready_queues.h"
#include "router/rebinding.h"
#include "router/record_memory.h"
#include "router/source_health.h"
#include "router/sts_memory.h"
#include "router/suspects.h"
#include "router/tls_counts.h"

#define STOP_MS EGRESS_PATH_SHUTDOWN_MS
#define RECOVER_MS 5000
/* After the deadline connections are dropped; what is then still open (a stuck
 * disk, a foreign writer) gets that long, and is delivered again. */
#define LAST_MS 10000

void router_hold(struct router *r, enum router_hold why, const char *reason)
{
	if (!(r->holds & why))
		(void)str_copy(r->hold_reason, sizeof r->hold_reason, reason);
	r->holds |= why;
}

void router_release(struct router *r, enum router_hold why)
{
	if (!(r->holds & why))
		return;
	r->holds &= ~(unsigned)why;
	if (!router_may_start(r))
		return;
	r->hold_reason[0] = '\0';
	ready_queues_released(r->ready);
	intake_pump(r->intake);
}

/* Nothing that was started is still under way. */
static bool is_quiet(const struct router *r)
{
	return r->counters.connections == 0 &&
	       maildirs_busy(r->maildirs) == 0 &&
	       injections_busy(r->injections) == 0 &&
	       admissions_busy(r->admissions) == 0 &&
	       rebindings_busy(r->rebindings) == 0 &&
	       enumerations_busy(r->enumerations) == 0 &&
	       !suspects_wait(r->suspects) && intake_leasing(r->intake) == 0;
}

void router_progress(struct router *r)
{
	if (!(r->holds & (HOLD_STOPPING | HOLD_POISON)) || !is_quiet(r))
		return;
	if ((r->holds & HOLD_POISON) && !r->recovering) {
		r->recovering = true;
		queue_threads_recover(r->threads);
	}
	if (!(r->holds & HOLD_STOPPING))
		return;
	outcomes_flush(r->outcomes);
	if (outcomes_unsettled(r->outcomes) == 0)
		loop_exit(r->loop);
}

static void check_deadline(struct router *r)
{
	int64_t now = clock_now_ms();

	if ((r->holds & HOLD_STOPPING) && !(r->holds & HOLD_POISON))
		ready_queues_overdue(r->ready, now - r->stop_began);
	if (!(r->holds & (HOLD_STOPPING | HOLD_POISON)) ||
	    now < r->stop_deadline)
		return;
	ready_queues_stop(r->ready, true);
	router_progress(r);
	if ((r->holds & HOLD_STOPPING) && now > r->stop_deadline + LAST_MS) {
		diag_error("stopped although %zu outcomes could not be "
			   "committed: they will be delivered again",
		    outcomes_unsettled(r->outcomes));
		r->exit_code = EX_TEMPFAIL;
		loop_exit(r->loop);
	}
}

void router_stop(struct router *r, const char *why, int exit_code)
{
	int64_t grace;

	if (r->holds & HOLD_STOPPING)
		return;
	diag_info("stopping: %s", why);
	r->exit_code = exit_code;
	grace = ready_queues_grace_ms(r->ready);
	r->stop_began = clock_now_ms();
	r->stop_deadline = r->stop_began + (grace > STOP_MS ? grace : STOP_MS);
	router_hold(r, HOLD_STOPPING, "stopping");
	ready_queues_stop(r->ready, false);
	outcomes_flush(r->outcomes);
	router_progress(r);
}

/* ---- once a second ---- */

/* Records that wait for their turn are no news; the log says itself when it
 * cannot write. */
void router_look_at_log(struct router *r)
{
	struct log_writer_stats stats;
	struct err err = {0};

	if (!log_writer_failing(r->log, &err)) {
		router_release(r, HOLD_LOG);
		return;
	}
	log_writer_stats(r->log, &stats);
	if (!(r->holds & HOLD_LOG) && stats.failing)
		diag_error("log: no delivery starts: %s", err.text);
	router_hold(r, HOLD_LOG, err.text);
}

void router_tick(struct router *r)
{
	router_look_at_log(r);
	check_deadline(r);
	if (script_is_stuck())
		router_stop(
		    r, "too many policy events do not end", EX_TEMPFAIL);
	gates_tick(r->gates);
	intake_tick(r->intake);
	ready_queues_tick(r->ready);
	tls_counts_tick(r->tls_counts);
	if (!(r->holds & (HOLD_STOPPING | HOLD_POISON)))
		intake_scan(r->intake);
	router_progress(r);
}

static void on_second(void *ctx)
{
	struct router *r = ctx;

	loop_timer_set(r->second, 1000);
	router_tick(r);
}

/* ---- the queue's troubles ---- */

static void on_trouble(
    enum queue_trouble trouble, const struct err *err, void *ctx)
{
	struct router *r = ctx;

	switch (trouble) {
	case QUEUE_STUCK:
		router_hold(r, HOLD_COMMIT, err->text);
		break;
	case QUEUE_UNSTUCK:
		router_release(r, HOLD_COMMIT);
		intake_scan(r->intake);
		break;
	case QUEUE_POISONED:
		diag_error("queue: a sync failed: deliveries stop until the "
			   "file is recovered: %s",
		    err->text);
		if (!(r->holds & HOLD_STOPPING))
			r->stop_deadline = clock_now_ms() + RECOVER_MS;
		router_hold(r, HOLD_POISON, "a sync of the queue failed");
		ready_queues_stop(r->ready, false);
		router_progress(r);
		break;
	case QUEUE_RECOVERED:
		r->recovering = false;
		router_release(r, HOLD_POISON);
		intake_scan(r->intake);
		router_progress(r);
		break;
	case QUEUE_LOST:
		diag_error("queue: cannot be recovered: %s", err->text);
		r->exit_code = EX_IOERR;
		loop_exit(r->loop);
		break;
	}
}

static void on_doorbell(int fd, void *ctx)
{
	struct router *r = ctx;
	char drop[64];

	while (read(fd, drop, sizeof drop) > 0)
		;
	intake_scan(r->intake);
}

/* ---- the policy's part ---- */

void router_look_at_loggers(struct router *r)
{
	const struct policy_setup *setup = script_policy_setup(r->policy);
	bool meta = false, headers = false;

	for (size_t i = 0; i < setup->log_count; i++) {
		meta = meta || setup->logs[i]->meta.count > 0;
		headers = headers || setup->logs[i]->headers.count > 0;
	}
	for (size_t i = 0; i < setup->hook_count; i++) {
		meta = meta || setup->hooks[i]->meta.count > 0;
		headers = headers || setup->hooks[i]->headers.count > 0;
	}
	/* Loggers stay as they were at the start. */
	if (meta)
		atomic_store(&r->log_meta, true);
	if (headers)
		atomic_store(&r->log_headers, true);
}

/* ---- */

bool router_start(struct router *r, struct err *err)
{
	int doorbell;

	list_init(&r->chunks_waiting);
	list_init(&r->policy_calls_waiting);
	r->started = clock_unix();
	r->loop = loop_new();
	doorbell = queue_doorbell_listen(r->queue, err);
	if (doorbell < 0)
		return false;
	r->enumerations = enumerations_new(r, err);
	if (!r->enumerations)
		return false;
	if (!queue_threads_start(
		&r->threads, r->queue, r->loop, on_trouble, r, err))
		return false;
	r->gates = gates_new(r->loop);
	r->tls_counts = tls_counts_new(r);
	r->records = record_memory_new();
	r->held = held_queues_new(r);
	r->suspects = suspects_new(r);
	r->intake = intake_new(r);
	r->egress = egress_new(r);
	r->health = source_health_new();
	r->sts_memory = sts_memory_new(r);
	r->ready = ready_queues_new(r);
	r->outcomes = outcomes_new(r);
	r->maildirs = maildirs_new(r);
	r->loader = message_loader_new(r);
	r->admissions = admissions_new(r);
	r->rebindings = rebindings_new(r);
	r->injections = injections_new(r);
	loop_watch(r->loop, doorbell, on_doorbell, r);
	r->second = loop_timer_new(r->loop, on_second, r);
	loop_timer_set(r->second, 0);
	return true;
}

void router_end(struct router *r)
{
	tls_counts_flush(r->tls_counts);
	queue_threads_stop(r->threads);
	maildirs_free(r->maildirs);
	message_loader_free(r->loader);
	admissions_free(r->admissions);
	rebindings_free(r->rebindings);
	enumerations_free(r->enumerations);
	injections_free(r->injections);
	intake_free(r->intake);
	suspects_free(r->suspects);
	ready_queues_free(r->ready);
	egress_free(r->egress);
	source_health_free(r->health);
	sts_memory_free(r->sts_memory);
	tls_counts_free(r->tls_counts);
	outcomes_free(r->outcomes);
	gates_free(r->gates);
	ready_means_unref(r->plain_means);
	record_memory_free(r->records);
	held_queues_free(r->held);
	loop_timer_free(r->second);
}
