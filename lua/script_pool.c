/*
 * script_pool.c - calls, threads, states and deadlines
 *
 * The life of a call, all under the pool's lock:
 *
 *	WAITING -> RUNNING -> DONE
 *	   |          `-----> EXPIRED	the thread is abandoned
 *	   `----------------> EXPIRED	nobody had time for it
 *
 * A caller that waits expires its own call; a timer thread does it for
 * submitted ones, and starts more threads while calls wait.
 *
 * Handlers stop by themselves shortly before the deadline (script_state.c), so
 * that abandoning is for what escapes the hook.  An abandoned thread holds a
 * reference on its call and the call on the policy: everything that it touches
 * stays until it ends.
 */
#include "lua/script_pool.h"

#include <sched.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "lua/script_dns.h"
#include "lua/script_event.h"
#include "lua/script_session_private.h"
#include "lua/script_state.h"

#define GROW_AFTER_MS 10 /* a call that waits this long wants a thread */
#define LINGER_MS 10000  /* idle threads above the base number end */
#define MOST_THREADS 64
#define MOST_SOURCE (16 << 20)
#define MARGIN_MS 100 /* the hook acts this much before the deadline */

struct script_thread {
	struct script_policy *policy;
	pthread_t id;
	bool abandoned; /* under the pool's lock */
};

struct source {
	char *text;
	size_t len;
};

/* All generations: threads that exist, threads that are abandoned. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_gone = PTHREAD_COND_INITIALIZER;
static unsigned all_threads, all_abandoned;
static int64_t full_since; /* 0: fewer than SCRIPT_MOST_ABANDONED */

static void *serve_calls(void *ctx);
static void *watch_time(void *ctx);

/* ---- abandoned threads ---- */

unsigned script_abandoned(void)
{
	return __atomic_load_n(&all_abandoned, __ATOMIC_RELAXED);
}

bool script_is_stuck(void)
{
	int64_t since = __atomic_load_n(&full_since, __ATOMIC_RELAXED);

	return since != 0 && clock_now_ms() - since >= 60000;
}

static void count_abandoned(int by)
{
	pthread_mutex_lock(&all_lock);
	__atomic_store_n(
	    &all_abandoned, all_abandoned + (unsigned)by, __ATOMIC_RELAXED);
	if (all_abandoned < SCRIPT_MOST_ABANDONED)
		__atomic_store_n(&full_since, 0, __ATOMIC_RELAXED);
	else if (full_since == 0)
		__atomic_store_n(&full_since, clock_now_ms(), __ATOMIC_RELAXED);
	pthread_cond_broadcast(&all_gone);
	pthread_mutex_unlock(&all_lock);
}

static void count_thread(int by)
{
	pthread_mutex_lock(&all_lock);
	all_threads += (unsigned)by;
	pthread_cond_broadcast(&all_gone);
	pthread_mutex_unlock(&all_lock);
}

bool script_shutdown(int64_t wait_ms)
{
	struct timespec until;
	bool gone, nobody;

	/* The real clock: all_gone is a plain condition variable. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += (wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&all_lock);
	while (all_threads > all_abandoned)
		if (pthread_cond_timedwait(&all_gone, &all_lock, &until) != 0)
			break;
	gone = all_threads <= all_abandoned;
	nobody = all_threads == 0;
	pthread_mutex_unlock(&all_lock);
	if (nobody)
		script_resolvers_stop();
	return gone;
}

/* ---- making and ending a pool ---- */

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct script_policy *script_pool_new(const struct script_options *options)
{
	static int64_t generations;
	struct script_policy *p = xcalloc(1, sizeof *p);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	p->refs = 1;
	p->generation = __atomic_add_fetch(&generations, 1, __ATOMIC_RELAXED);
	p->path = xstrdup(options->path);
	p->chunk_name = xasprintf("@%s", options->path);
	p->share_dir =
	    xstrdup(options->share_dir ? options->share_dir : PENSTOCK_DATADIR);
	p->role = options->role;
	p->memory_limit =
	    options->memory_limit ? options->memory_limit : 64 << 20;
	p->max_age_ms = 300 * 1000;
	p->max_uses = 1024;
	p->max_spare = 8192;
	p->setup.arena = arena_new(0);
	script_tasks_init(&p->tasks);
	p->events = map_new();
	p->egress_sources = map_new();
	p->sources = map_new();
	p->warned = map_new();
	p->base_threads = options->threads;
	if (p->base_threads == 0) {
		p->base_threads = cores > 2 ? 2 * (unsigned)cores : 4;
		if (p->base_threads > MOST_THREADS / 2)
			p->base_threads = MOST_THREADS / 2;
	}
	p->most_threads =
	    p->base_threads > MOST_THREADS ? p->base_threads : MOST_THREADS;
	pthread_mutex_init(&p->lock, NULL);
	cond_init(&p->work);
	cond_init(&p->timer);
	list_init(&p->calls);
	list_init(&p->states);
	return p;
}

static void free_source(void *p)
{
	struct source *source = p;

	free(source->text);
	free(source);
}

/* Nobody else knows it any more. */
static void pool_free(struct script_policy *p)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &p->states)
		script_state_free(LIST_ITEM(pos, struct script_state, link));
	heap_release(&p->deadlines);
	script_tasks_release(&p->tasks);
	map_free(p->events, script_event_free);
	map_free(p->egress_sources, NULL);
	map_free(p->sources, free_source);
	map_free(p->warned, NULL);
	bounce_classifier_free(p->setup.classifier);
	arena_unref(p->setup.arena);
	free(p->setup.listeners);
	free(p->setup.listener_values);
	free(p->setup.listener_where);
	free(p->setup.logs);
	free(p->setup.hooks);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->timer);
	pthread_mutex_destroy(&p->lock);
	free(p->path);
	free(p->chunk_name);
	free(p->dir);
	free(p->share_dir);
	free(p->text);
	free(p);
}

struct script_policy *script_policy_ref(struct script_policy *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

void script_policy_unref(struct script_policy *p)
{
	bool last;

	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->timer);
	last = p->alive == 0;
	pthread_mutex_unlock(&p->lock);
	if (last)
		pool_free(p);
}

/* With the lock held. */
static void start_thread(struct script_policy *p)
{
	struct script_thread *thread = xcalloc(1, sizeof *thread);

	thread->policy = p;
	p->alive++;
	p->threads++;
	count_thread(1);
	pthread_detach(worker_thread_start("lua", serve_calls, thread));
}

/* The lock is held; it is given back.  p may be gone afterwards. */
static void leave_pool(struct script_policy *p)
{
	bool last = --p->alive == 0 && p->closing;

	pthread_mutex_unlock(&p->lock);
	if (last)
		pool_free(p);
	/* Also what taking the pool apart made anew. */
	digest_thread_end();
	count_thread(-1);
}

void script_pool_start(struct script_policy *p)
{
	pthread_mutex_lock(&p->lock);
	p->alive++;
	count_thread(1);
	pthread_detach(worker_thread_start("lua-time", watch_time, p));
	start_thread(p);
	pthread_mutex_unlock(&p->lock);
}

/* ---- calls ---- */

bool script_pool_put(struct script_policy *p, struct script_call *call)
{
	bool somebody, is_timed = call->done != NULL;

	if (script_abandoned() >= SCRIPT_MOST_ABANDONED)
		return false;
	script_call_ref(call);
	pthread_mutex_lock(&p->lock);
	call->stage = CALL_WAITING;
	call->queued_at = clock_now_ms();
	list_add_tail(&p->calls, &call->link);
	p->waiting++;
	if (call->done)
		heap_set(&p->deadlines, &call->timer, call->deadline);
	/* Idle threads may have been woken for earlier calls. */
	somebody = p->idle >= p->waiting;
	if (!somebody && p->threads < p->base_threads)
		start_thread(p);
	pthread_mutex_unlock(&p->lock);
	pthread_cond_signal(&p->work);
	if (!somebody || is_timed)
		pthread_cond_signal(&p->timer);
	return true;
}

/* With the lock held, from WAITING or RUNNING.  True: the pool's reference on
 * the call is the caller's to drop. */
static bool expire(struct script_policy *p, struct script_call *call)
{
	static const struct sched_param none;
	bool was_running = call->stage == CALL_RUNNING;

	call->stage = CALL_EXPIRED;
	heap_remove(&p->deadlines, &call->timer);
	snprintf(call->expired_text, sizeof call->expired_text,
	    "%s: %s its time limit", call->event,
	    was_running ? "stuck beyond" : "no Lua thread was free within");
	if (!was_running) {
		list_remove(&call->link);
		p->waiting--;
		return true;
	}
	call->thread->abandoned = true;
	p->threads--;
	count_abandoned(1);
	(void)pthread_setschedparam(call->thread->id, SCHED_IDLE, &none);
	if (p->threads < p->base_threads)
		start_thread(p);
	return false;
}

void script_pool_wait(struct script_policy *p, struct script_call *call)
{
	bool drop = false;

	pthread_mutex_lock(&p->lock);
	while (call->stage == CALL_WAITING || call->stage == CALL_RUNNING) {
		struct timespec until = clock_timespec(call->deadline);

		if (clock_now_ms() >= call->deadline) {
			drop = expire(p, call);
			break;
		}
		pthread_cond_timedwait(&call->done_cond, &p->lock, &until);
	}
	pthread_mutex_unlock(&p->lock);
	if (drop)
		script_call_unref(call);
}

/* ---- Lua threads ---- */

/* The next call for this thread, NULL: end.  Lock held. */
static struct script_call *next_call(struct script_policy *p)
{
	int64_t leave_at = clock_now_ms() + LINGER_MS;

	while (list_empty(&p->calls)) {
		struct timespec until = clock_timespec(leave_at);

		if (p->closing)
			return NULL;
		if (p->threads > p->base_threads && clock_now_ms() >= leave_at)
			return NULL;
		p->idle++;
		if (p->threads > p->base_threads)
			pthread_cond_timedwait(&p->work, &p->lock, &until);
		else
			pthread_cond_wait(&p->work, &p->lock);
		p->idle--;
	}
	return LIST_ITEM(p->calls.next, struct script_call, link);
}

/* An idle state, or NULL; old ones go to `stale`.  Lock held. */
static struct script_state *take_state(
    struct script_policy *p, struct list *stale)
{
	while (!list_empty(&p->states)) {
		struct script_state *state =
		    LIST_ITEM(p->states.next, struct script_state, link);

		list_remove(&state->link);
		p->spare--;
		if (script_state_reusable(state))
			return state;
		list_add_tail(stale, &state->link);
	}
	return NULL;
}

static void free_states(struct list *states)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, states)
		script_state_free(LIST_ITEM(pos, struct script_state, link));
}

/* When the hook must act, so that the answer is there at the deadline. */
static int64_t inner_deadline(int64_t deadline)
{
	int64_t left = deadline - clock_now_ms();
	int64_t margin = left / 10 < MARGIN_MS ? left / 10 : MARGIN_MS;

	return margin > 0 ? deadline - margin : deadline;
}

/* One call, from the queue to its answer.  Lock held before and after. */
static void serve_one(struct script_thread *thread, struct script_call *call)
{
	struct script_policy *p = thread->policy;
	struct script_state *state;
	struct list stale;
	script_done_fn *done = NULL;
	bool keep;

	list_init(&stale);
	list_remove(&call->link);
	p->waiting--;
	call->stage = CALL_RUNNING;
	call->thread = thread;
	state = script_session_take(call);
	if (!state)
		state = take_state(p, &stale);
	pthread_mutex_unlock(&p->lock);

	state = script_call_serve(call, state, inner_deadline(call->deadline));
	keep = state && script_state_reusable(state);

	pthread_mutex_lock(&p->lock);
	if (!thread->abandoned) {
		call->stage = CALL_DONE;
		heap_remove(&p->deadlines, &call->timer);
		done = call->done;
	} else {
		keep = false;
	}
	if (script_session_keep(call, state, thread->abandoned)) {
		state = NULL;
		keep = false;
	}
	keep = keep && p->spare < p->max_spare;
	if (keep) {
		list_add_head(&p->states, &state->link);
		p->spare++;
	}
	pthread_mutex_unlock(&p->lock);
	if (done)
		done(call, call->done_ctx);
	else if (!thread->abandoned)
		pthread_cond_signal(&call->done_cond);
	script_call_unref(call);
	if (!keep)
		script_state_free(state);
	free_states(&stale);
	pthread_mutex_lock(&p->lock);
}

static void *serve_calls(void *ctx)
{
	struct script_thread *thread = ctx;
	struct script_policy *p = thread->policy;
	struct script_call *call;
	bool abandoned;

	pthread_mutex_lock(&p->lock);
	thread->id = pthread_self();
	while (!thread->abandoned) {
		call = next_call(p);
		if (!call)
			break;
		serve_one(thread, call);
	}
	abandoned = thread->abandoned;
	if (!abandoned)
		p->threads--;
	free(thread);
	if (abandoned)
		count_abandoned(-1);
	leave_pool(p);
	return NULL;
}

/* ---- the timer thread ---- */

/* Expires what is due; lock held, but not while `done` is called. */
static void expire_due(struct script_policy *p)
{
	struct heap_node *first;

	while ((first = heap_first(&p->deadlines)) &&
	       first->at <= clock_now_ms()) {
		struct script_call *call =
		    CONTAINER_OF(first, struct script_call, timer);
		/* The maker may free the call as soon as done was called. */
		bool drop = expire(p, script_call_ref(call));

		pthread_mutex_unlock(&p->lock);
		call->done(call, call->done_ctx);
		script_call_unref(call);
		if (drop)
			script_call_unref(call);
		pthread_mutex_lock(&p->lock);
	}
}

static void *watch_time(void *ctx)
{
	struct script_policy *p = ctx;

	pthread_mutex_lock(&p->lock);
	while (!p->closing) {
		struct heap_node *first;
		int64_t wake = INT64_MAX;
		struct timespec until;

		expire_due(p);
		if (p->closing)
			break;
		if (!list_empty(&p->calls) && p->threads < p->most_threads +
							       p->sessions +
							       p->tasks.count) {
			struct script_call *oldest =
			    LIST_ITEM(p->calls.next, struct script_call, link);

			wake = oldest->queued_at + GROW_AFTER_MS;
			if (clock_now_ms() >= wake) {
				start_thread(p);
				wake = clock_now_ms() + GROW_AFTER_MS;
			}
		}
		first = heap_first(&p->deadlines);
		if (first && first->at < wake)
			wake = first->at;
		if (wake == INT64_MAX) {
			pthread_cond_wait(&p->timer, &p->lock);
		} else {
			until = clock_timespec(wake);
			pthread_cond_timedwait(&p->timer, &p->lock, &until);
		}
	}
	leave_pool(p);
	return NULL;
}

/* ---- shared by the states ---- */

bool script_source(struct script_policy *p, const char *path, const char **text,
    size_t *len, struct err *err)
{
	struct source *source, *other;

	pthread_mutex_lock(&p->lock);
	source = map_get(p->sources, path);
	pthread_mutex_unlock(&p->lock);
	if (!source) {
		source = xcalloc(1, sizeof *source);
		source->text =
		    fd_read_file(path, MOST_SOURCE, &source->len, err);
		if (!source->text) {
			free(source);
			return false;
		}
		pthread_mutex_lock(&p->lock);
		other = map_get(p->sources, path);
		if (!other)
			map_put(p->sources, path, source);
		pthread_mutex_unlock(&p->lock);
		if (other) {
			free_source(source);
			source = other;
		}
	}
	*text = source->text;
	*len = source->len;
	return true;
}

bool script_once(struct script_policy *p, const char *what)
{
	bool is_new;

	pthread_mutex_lock(&p->lock);
	is_new = !map_get(p->warned, what);
	if (is_new)
		map_put(p->warned, what, p);
	pthread_mutex_unlock(&p->lock);
	return is_new;
}
