/*
 * script_task.c - events that run beside everything else: kumo.spawn_task
 */
#include "lua/script_task.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/script_pool.h"

#define NO_LIMIT_MS (10LL * 365 * 86400 * 1000)

struct waiting_task {
	struct list link;
	struct arena *arena;
	const char *event;
	struct value args;
};

void script_tasks_init(struct script_tasks *tasks)
{
	memset(tasks, 0, sizeof *tasks);
	list_init(&tasks->waiting);
}

static void waiting_free(struct waiting_task *w)
{
	list_remove(&w->link);
	arena_unref(w->arena);
	free(w);
}

void script_tasks_release(struct script_tasks *tasks)
{
	struct list *pos, *tmp;

	LIST_EACH (pos, tmp, &tasks->waiting)
		waiting_free(LIST_ITEM(pos, struct waiting_task, link));
}

/* On the task's thread: it is over. */
static void done(struct script_call *call, void *ctx)
{
	struct script_policy *p = ctx;
	const struct script_reject *reject;

	switch (script_call_outcome(call)) {
	case SCRIPT_REJECTED:
		reject = script_call_reject(call);
		diag_error("policy: task %s: rejected with %d %s", call->event,
		    reject->code, reject->message);
		break;
	case SCRIPT_ERROR:
		diag_error("policy: task %s", script_call_error(call));
		break;
	case SCRIPT_EXPIRED:
		if (!__atomic_load_n(&p->tasks.over, __ATOMIC_ACQUIRE))
			diag_error("policy: task %s", script_call_error(call));
		break;
	default:
		break;
	}
	pthread_mutex_lock(&p->lock);
	p->tasks.count--;
	pthread_mutex_unlock(&p->lock);
	script_call_free(call);
}

static void start(
    struct script_policy *p, const char *event, const struct value *args)
{
	struct script_call *call = script_call_new(p, event);

	call->is_task = true;
	script_arg_value(call, args);
	script_call_submit(call, clock_now_ms() + NO_LIMIT_MS, done, p);
}

bool script_task_spawn(struct script_policy *p, const char *event,
    const struct value *args, struct err *err)
{
	struct waiting_task *w = NULL;
	bool fits, started;

	if (!script_policy_handles(p, event))
		return err_set(
		    err, ERR_CONFIG, "nobody handles the event %s", event);
	pthread_mutex_lock(&p->lock);
	fits = p->tasks.count < SCRIPT_MOST_TASKS;
	started = p->tasks.started;
	p->tasks.count += fits;
	if (fits && !started) {
		w = xcalloc(1, sizeof *w);
		w->arena = arena_new(0);
		w->event = arena_strdup(w->arena, event);
		w->args = value_copy(w->arena, args);
		list_add_tail(&p->tasks.waiting, &w->link);
	}
	pthread_mutex_unlock(&p->lock);
	if (!fits)
		return err_set(err, ERR_TEMP, "there are %d tasks already",
		    SCRIPT_MOST_TASKS);
	if (started)
		start(p, event, args);
	return true;
}

void script_tasks_start(struct script_policy *p)
{
	for (;;) {
		struct waiting_task *w = NULL;

		pthread_mutex_lock(&p->lock);
		p->tasks.started = true;
		if (!list_empty(&p->tasks.waiting)) {
			w = LIST_ITEM(
			    p->tasks.waiting.next, struct waiting_task, link);
			list_remove(&w->link);
			list_init(&w->link);
		}
		pthread_mutex_unlock(&p->lock);
		if (!w)
			return;
		start(p, w->event, &w->args);
		waiting_free(w);
	}
}

void script_tasks_end(struct script_policy *p)
{
	__atomic_store_n(&p->tasks.over, 1, __ATOMIC_RELEASE);
}

void script_notify(struct script_policy *p, const char *event, int64_t limit_ms)
{
	struct script_call *call;
	enum script_outcome outcome;

	if (!script_policy_handles(p, event))
		return;
	call = script_call_new(p, event);
	outcome = script_call_run(call, clock_now_ms() + limit_ms);
	if (outcome == SCRIPT_REJECTED)
		diag_error("policy: %s: rejected with %d %s", event,
		    script_call_reject(call)->code,
		    script_call_reject(call)->message);
	else if (outcome == SCRIPT_ERROR || outcome == SCRIPT_EXPIRED)
		diag_error("policy: %s", script_call_error(call));
	script_call_free(call);
}
