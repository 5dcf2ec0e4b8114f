/*
 * script.h - the policy: loaded, asked, thrown away
 *
 * A script_policy is one generation of the policy: a pool of Lua states made
 * from one reading of the policy file, the threads that events run on, and what
 * the policy declared (policy/setup.h).  A reload is a new one; calls that run
 * keep the old one alive.
 *
 * Events never run on the caller's thread.  The caller waits with a deadline;
 * at expiry it has its answer (SCRIPT_EXPIRED) and the state with its thread is
 * abandoned (engine facts, 3).  Arguments are copied into the call and results
 * copied out, so that an abandoned thread shares nothing with its caller.
 *
 * What the constructors of the result are is checked here: after SCRIPT_VALUE
 * the result of get_listener_domain, get_queue_config, get_egress_* parses with
 * its param_set (or is nil where the event allows nil).  The result of
 * smtp_server_rewrite_response is a list of two, that of smtp_server_ehlo says
 * whether something was returned.  Results of events that only notify are not
 * read.
 *
 * Threads: all functions, any thread; a call belongs to one thread at a time.
 */
#ifndef LUA_SCRIPT_H
#define LUA_SCRIPT_H

#include "base/err.h"
#include "base/value.h"
#include "mail/message.h"
#include "mail/meta.h"
#include "policy/setup.h"

enum script_role { SCRIPT_MILTER, SCRIPT_ROUTER, SCRIPT_CHECK };

struct script_options {
	const char *path;
	enum script_role role;
	const char *share_dir;    /* for package.path; NULL: the built-in one */
	unsigned threads;         /* 0: 2 per core, at least 4 */
	int64_t memory_limit;     /* bytes per state; 0: 64 MiB */
	int64_t init_deadline_ms; /* for load, pre_init and init; 0: 60 s */
};

struct buf;
struct script_policy;

/* Loads, runs pre_init and init; in SCRIPT_CHECK validate_config too, and then
 * kumo.validation_failed() makes it fail.  Errors name file and line. */
bool script_policy_load(struct script_policy **out,
    const struct script_options *options, struct err *err) MUST_USE;
struct script_policy *script_policy_ref(struct script_policy *p);
void script_policy_unref(struct script_policy *p);
const struct policy_setup *script_policy_setup(const struct script_policy *p);
bool script_policy_handles(const struct script_policy *p, const char *event);
/* 1 for the first, counted per process. */
int64_t script_policy_generation(const struct script_policy *p);
/* Threads left behind by expired events, of all generations. */
unsigned script_abandoned(void);
/* As many as are allowed (8) for a minute: drain and exit 75. */
bool script_is_stuck(void);
/* Policies must not open this file nor those that SQLite puts beside it (the
 * queue's: any descriptor that is closed
 * drops SQLite's locks).  Before the first script_policy_load. */
void script_protect_file(const char *path);
/* The server that kumo.dns asks, "ADDRESS@PORT", unless the policy names one;
 * NULL: as resolv.conf says.  Before the first script_policy_load. */
void script_use_forwarder(const char *forwarder);
/* Calls `reload` from a thread of its own when files of the policy that was
 * loaded last change, and from Lua threads for kumo.bump_config_epoch(); it
 * must only hand on (raise SIGUSR1).  period_ms 0: 10 s. */
typedef void script_reload_fn(void *ctx);
void script_watch_start(script_reload_fn *reload, void *ctx, int64_t period_ms);
void script_watch_stop(void);
/* For daemons that reload on SIGUSR1. */
void script_reload_by_signal(void *ctx);
/* At the end of the process, after the last unref, or a load that failed: waits
 * until the threads are gone, abandoned ones excepted, since none may run while
 * exit(3) takes libcrypto apart.  False: not within wait_ms. */
bool script_shutdown(int64_t wait_ms);

/* kumo.spawn_task (script_task.h).  Start: this generation is in use.  End: it
 * is not any more; before the unref, or its tasks keep it for ever. */
void script_tasks_start(struct script_policy *p);
void script_tasks_end(struct script_policy *p);
/* An event without arguments or an answer, such as shutdown_logging: waits, and
 * logs what goes wrong. */
void script_notify(
    struct script_policy *p, const char *event, int64_t limit_ms);

/* ---- one call of an event ---- */

enum script_outcome {
	SCRIPT_NO_HANDLER, /* nobody registered, or no handler returned a value
			    */
	SCRIPT_VALUE,      /* result is set (VALUE_NIL when nil was returned) */
	SCRIPT_REJECTED,   /* kumo.reject or kumo.disconnect */
	SCRIPT_ERROR,      /* raised, or returned what does not fit the event */
	SCRIPT_EXPIRED,    /* over its deadline, or too many abandoned */
};

/* DISCONNECT_IF_421 is what kumo.reject means: only a 421 closes. */
enum script_disconnect {
	DISCONNECT_NO,
	DISCONNECT_FORCE,
	DISCONNECT_FOLLOW_421,
	DISCONNECT_IF_421,
};

struct script_reject {
	int code; /* as given, any number */
	const char *message;
	enum script_disconnect mode;
};

struct script_call;

struct script_call *script_call_new(struct script_policy *p, const char *event)
    MUST_USE;
/* Not an event of the policy: with a key source as argument (policy language,
 * 3.10) the result is its bytes. */
#define SCRIPT_KEY_SOURCE "key source"
void script_call_free(struct script_call *call);
/* Arguments in order.  Values are copied. */
void script_arg_nil(struct script_call *call);
void script_arg_string(struct script_call *call, const char *s); /* NULL: nil */
void script_arg_value(struct script_call *call, const struct value *v);
void script_arg_address(struct script_call *call, const struct address *a);
/* A TimeDelta (policy language, 16). */
void script_arg_time_delta(struct script_call *call, int64_t ms);
/* conn_meta: the call works on a copy; after SCRIPT_NO_HANDLER, _VALUE or
 * _REJECTED, script_call_take_meta gives it back, with what the handler set. */
void script_arg_conn_meta(struct script_call *call, const struct meta *meta);
/* The call takes a reference of its own and may change the message in place.
 * After SCRIPT_EXPIRED the caller must not touch it again, only unref it. */
void script_arg_message(struct script_call *call, struct message *m);

/* What the handler gives to kumo.inject_message is kept for whoever asked, to
 * be inserted together with something else. */
void script_collect(struct script_call *call);
/* After SCRIPT_VALUE and SCRIPT_NO_HANDLER; they live as long as the call. */
struct message *const *script_call_injected(
    const struct script_call *call, size_t *count);

/* Runs on a Lua thread, waits here until done or the deadline (clock_now_ms).
 */
enum script_outcome script_call_run(struct script_call *call, int64_t deadline);
/* Runs on a Lua thread; done is called there (at expiry on the pool's timer
 * thread; on the caller's, before this returns, when there is nothing to run)
 * and must only hand on (inbox_put).  Exactly once. */
typedef void script_done_fn(struct script_call *call, void *ctx);
void script_call_submit(struct script_call *call, int64_t deadline,
    script_done_fn *done, void *ctx);
enum script_outcome script_call_outcome(const struct script_call *call);
/* Live as long as the call. */
const struct value *script_call_result(const struct script_call *call);
const struct script_reject *script_call_reject(const struct script_call *call);
/* "event: file:line: what" after SCRIPT_ERROR and SCRIPT_EXPIRED, else "".  Not
 * logged here: the caller knows which session it is about. */
const char *script_call_error(const struct script_call *call);
/* The call as a person would write it, `get_egress_source("ip-1")`: arguments
 * that are text, cut short; "..." for others, none for nil at the end. */
void script_call_title(const struct script_call *call, struct buf *out);
/* Where the handler that answered stands: "policy.lua:12"; "" when nobody. */
const char *script_call_where(const struct script_call *call);
/* The caller owns the result; NULL when no conn_meta was given, and after
 * SCRIPT_EXPIRED. */
struct meta *script_call_take_meta(struct script_call *call);

#endif
