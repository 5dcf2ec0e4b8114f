/*
 * script_pool.h - one generation of the policy: its text, states and threads
 *
 * Calls wait in one queue; a Lua thread takes a call together with an idle
 * state, or makes a state.  Threads beyond `threads` are started while calls
 * wait and everybody is busy (handlers may sleep), and end when idle.
 *
 * A call that is still running at its deadline is answered without its thread:
 * thread and state are abandoned, demoted to SCHED_IDLE and counted; at
 * SCRIPT_MOST_ABANDONED, of all generations, no call runs any more.
 *
 * Ownership: referenced by callers and by calls; the last reference closes the
 *            pool, whose last thread frees everything.
 * Threads:   any, unless a field says otherwise.
 */
#ifndef LUA_SCRIPT_POOL_H
#define LUA_SCRIPT_POOL_H

#include <pthread.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "lua/script.h"
#include "lua/script_call.h"
#include "lua/script_task.h"

#define SCRIPT_MOST_ABANDONED 8

struct watch_globs {
	const char **items;
	size_t count;
};

struct script_policy {
	int refs; /* atomic */

	/* Written before the first thread starts, or by the first state while
	 * nothing else runs; constant afterwards. */
	char *path, *chunk_name, *dir, *share_dir;
	char *text; /* of the policy file */
	size_t text_len;
	enum script_role role;
	int64_t memory_limit;
	int64_t generation;
	struct policy_setup setup;
	const struct watch_globs *monitor_globs; /* NULL: the default */
	struct map *events;         /* name -> struct script_event */
	struct map *egress_sources; /* define_egress_source: name -> value */
	int64_t max_age_ms, max_uses, max_spare;
	bool print_to_stdout;
	bool validation_failed;

	/* Under lock. */
	pthread_mutex_t lock;
	pthread_cond_t work;   /* a call waits, or closing */
	pthread_cond_t timer;  /* the timer thread must look again */
	struct list calls;     /* waiting, oldest first */
	unsigned waiting;      /* how many that are */
	struct list states;    /* idle, most recently used first */
	int64_t spare;         /* how many those are */
	struct heap deadlines; /* of submitted calls */
	struct map *sources;   /* path -> struct source, of required modules */
	struct map *warned;    /* what was said once */
	unsigned base_threads, most_threads;
	struct script_tasks tasks;
	unsigned sessions; /* each may have a thread beyond most_threads */
	unsigned threads;  /* serving or idle, abandoned ones excluded */
	unsigned idle;
	unsigned alive; /* all threads that use this struct */
	bool closing;
};

struct script_policy *script_pool_new(const struct script_options *options);
void script_pool_start(struct script_policy *p);
/* Gives the call to a thread.  False: too many are abandoned. */
bool script_pool_put(struct script_policy *p, struct script_call *call)
    MUST_USE;
/* Waits until the call is done or its deadline is past; then it is expired. */
void script_pool_wait(struct script_policy *p, struct script_call *call);

/* A required module's text, read once per generation.  Lives as long as p. */
bool script_source(struct script_policy *p, const char *path, const char **text,
    size_t *len, struct err *err) MUST_USE;
/* True the first time that `what` is asked for. */
bool script_once(struct script_policy *p, const char *what) MUST_USE;

#endif
