/*
 * script_call.h - what a call consists of (internal to lua/)
 *
 * A call is shared by who made it and the Lua thread that runs it.  The thread
 * writes only `answer`, `meta` and `arena`; the maker reads them only once the
 * stage is CALL_DONE.  When the call expires first, the maker sees the outcome
 * and `expired_text`, and everything else stays the thread's.
 */
#ifndef LUA_SCRIPT_CALL_H
#define LUA_SCRIPT_CALL_H

#include <pthread.h>

#include "base/arena.h"
#include "base/heap.h"
#include "base/list.h"
#include "lua/script.h"

#define SCRIPT_MOST_ARGS 8

enum script_arg_type {
	ARG_VALUE,
	ARG_ADDRESS,
	ARG_META,
	ARG_MESSAGE,
	ARG_TIME_DELTA,
};

struct script_arg {
	enum script_arg_type type;
	struct value value; /* ARG_TIME_DELTA: milliseconds */
	struct address address;
};

enum script_call_stage {
	CALL_NEW,
	CALL_WAITING,
	CALL_RUNNING,
	CALL_DONE,
	CALL_EXPIRED
};

/* What the thread found out. */
struct script_answer {
	enum script_outcome outcome;
	struct value result;
	struct script_reject reject;
	const char *error; /* NULL: none */
	const char *where;
};

struct script_thread;
struct script_session;

enum script_step { STEP_EVENT, STEP_MAKE, STEP_METHOD, STEP_END };

struct script_call {
	int refs; /* atomic */
	struct script_policy *policy;
	struct arena *arena;
	const char *event;
	bool is_load; /* make the first state, run pre_init and init */
	bool is_task; /* ends with its generation (script_task.h) */
	struct script_arg args[SCRIPT_MOST_ARGS];
	size_t arg_count;
	struct meta *meta;
	struct message *message;
	struct message **batch; /* of a session's method; NULL: none */
	size_t batch_count;
	bool collects; /* script_collect() */
	struct message **injected;
	size_t injected_count;
	struct script_session *session; /* script_session.h; NULL: an event */
	enum script_step step;
	struct script_answer answer;

	/* Under the pool's lock. */
	enum script_call_stage stage;
	struct list link;
	struct heap_node timer;
	struct script_thread *thread;
	int64_t queued_at;
	int64_t deadline;
	pthread_cond_t done_cond;
	bool waited_for; /* somebody waits for done_cond */
	script_done_fn *done;
	void *done_ctx;
	char expired_text[200];
};

struct script_call *script_call_make(struct script_policy *p, const char *event)
    MUST_USE;
struct script_call *script_call_ref(struct script_call *call);
void script_call_unref(struct script_call *call);

/* On a Lua thread: runs the call in `state`, or in a new one when it is NULL.
 * Returns the state; the caller asks script_state_reusable. */
struct script_state;
struct script_state *script_call_serve(
    struct script_call *call, struct script_state *state, int64_t deadline);

#endif
