/*
 * script_call.c - arguments in, answers out
 */
#include "lua/script_call.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/xalloc.h"
#include "lua/script_event.h"
#include "lua/script_pool.h"
#include "lua/script_session.h"
#include "lua/script_session_private.h"
#include "lua/script_state.h"

/* No deadline is later than this, so that sums of times do not overflow. */
#define TITLE_ARG_MOST 100
#define LATEST_MS (10LL * 365 * 86400 * 1000)

struct script_call *script_call_make(struct script_policy *p, const char *event)
{
	struct script_call *call = xcalloc(1, sizeof *call);
	pthread_condattr_t attr;

	call->refs = 1;
	call->policy = script_policy_ref(p);
	call->arena = arena_new(0);
	call->event = arena_strdup(call->arena, event);
	call->answer.outcome = SCRIPT_NO_HANDLER;
	call->answer.where = "";
	list_init(&call->link);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&call->done_cond, &attr);
	pthread_condattr_destroy(&attr);
	return call;
}

struct script_call *script_call_ref(struct script_call *call)
{
	__atomic_add_fetch(&call->refs, 1, __ATOMIC_RELAXED);
	return call;
}

void script_call_unref(struct script_call *call)
{
	if (!call || __atomic_sub_fetch(&call->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (call->message)
		message_unref(call->message);
	for (size_t i = 0; i < call->batch_count; i++)
		message_unref(call->batch[i]);
	for (size_t i = 0; i < call->injected_count; i++)
		message_unref(call->injected[i]);
	free(call->injected);
	script_session_unref(call->session);
	meta_free(call->meta);
	arena_unref(call->arena);
	pthread_cond_destroy(&call->done_cond);
	script_policy_unref(call->policy);
	free(call);
}

struct script_call *script_call_new(struct script_policy *p, const char *event)
{
	return script_call_make(p, event);
}

void script_call_free(struct script_call *call)
{
	script_call_unref(call);
}

/* ---- arguments ---- */

static struct script_arg *add_arg(
    struct script_call *call, enum script_arg_type type)
{
	struct script_arg *arg = &call->args[call->arg_count++];

	invariant(call->arg_count <= SCRIPT_MOST_ARGS);
	arg->type = type;
	return arg;
}

void script_arg_nil(struct script_call *call)
{
	(void)add_arg(call, ARG_VALUE);
}

void script_arg_string(struct script_call *call, const char *s)
{
	struct script_arg *arg = add_arg(call, ARG_VALUE);

	if (s)
		arg->value = value_string(call->arena, s, strlen(s));
}

void script_arg_value(struct script_call *call, const struct value *v)
{
	add_arg(call, ARG_VALUE)->value = value_copy(call->arena, v);
}

void script_arg_address(struct script_call *call, const struct address *a)
{
	struct script_arg *arg = add_arg(call, ARG_ADDRESS);

	arg->address.local = arena_strdup(call->arena, a->local);
	arg->address.user = arena_strdup(call->arena, a->user);
	arg->address.domain = arena_strdup(call->arena, a->domain);
	arg->address.email = arena_strdup(call->arena, a->email);
}

void script_arg_time_delta(struct script_call *call, int64_t ms)
{
	add_arg(call, ARG_TIME_DELTA)->value =
	    (struct value){.type = VALUE_INT, .i = ms};
}

void script_arg_conn_meta(struct script_call *call, const struct meta *meta)
{
	invariant(!call->meta);
	(void)add_arg(call, ARG_META);
	call->meta = meta_copy(meta);
}

void script_arg_message(struct script_call *call, struct message *m)
{
	invariant(!call->message);
	(void)add_arg(call, ARG_MESSAGE);
	call->message = message_ref(m);
}

/* ---- running ---- */

/* Nothing to hand over; the answer is the one set here. */
static bool answered_at_once(struct script_call *call)
{
	struct script_policy *p = call->policy;

	invariant(call->stage == CALL_NEW);
	if (!call->is_load && call->step <= STEP_MAKE &&
	    !script_policy_handles(p, call->event)) {
		script_event_without_handler(call);
		call->stage = CALL_DONE;
		return true;
	}
	return false;
}

static void set_deadline(struct script_call *call, int64_t deadline)
{
	int64_t latest = clock_now_ms() + LATEST_MS;

	call->deadline = deadline < latest ? deadline : latest;
}

static void refuse(struct script_call *call)
{
	call->stage = CALL_EXPIRED;
	snprintf(call->expired_text, sizeof call->expired_text,
	    "%s: not run: %u events are stuck beyond their time limit",
	    call->event, script_abandoned());
}

enum script_outcome script_call_run(struct script_call *call, int64_t deadline)
{
	if (!answered_at_once(call)) {
		set_deadline(call, deadline);
		if (script_pool_put(call->policy, call))
			script_pool_wait(call->policy, call);
		else
			refuse(call);
	}
	return script_call_outcome(call);
}

void script_call_submit(
    struct script_call *call, int64_t deadline, script_done_fn *done, void *ctx)
{
	/* Whoever gets the call in `done` may free it before we are back. */
	struct script_policy *p = script_policy_ref(call->policy);

	if (answered_at_once(call)) {
		done(call, ctx);
	} else {
		set_deadline(call, deadline);
		call->done = done;
		call->done_ctx = ctx;
		if (!script_pool_put(p, call)) {
			refuse(call);
			done(call, ctx);
		}
	}
	script_policy_unref(p);
}

struct script_state *script_call_serve(
    struct script_call *call, struct script_state *state, int64_t deadline)
{
	struct script_answer *answer = &call->answer;
	struct err err = {0};

	if (!state) {
		state = script_state_new(
		    call->policy, call->is_load, deadline, &err);
		if (!state) {
			answer->outcome = err.class == ERR_TEMP ? SCRIPT_EXPIRED
								: SCRIPT_ERROR;
			answer->error = arena_strdup(call->arena, err.text);
			return NULL;
		}
	}
	state->deadline = deadline;
	state->over = call->is_task ? &call->policy->tasks.over : NULL;
	state->uses++;
	state->call = call;
	if (call->is_load)
		script_load_run(state, call);
	else
		script_event_run(state, call);
	state->call = NULL;
	/* Whatever it says: too late is too late. */
	if (script_over(state) && answer->outcome != SCRIPT_EXPIRED) {
		answer->outcome = SCRIPT_EXPIRED;
		if (!answer->error)
			answer->error = arena_printf(call->arena,
			    "%s: %s: over its time limit", call->event,
			    answer->where);
	}
	return state;
}

/* ---- what it injects ---- */

void script_collect(struct script_call *call)
{
	call->collects = true;
}

struct message *const *script_call_injected(
    const struct script_call *call, size_t *count)
{
	enum script_outcome outcome = script_call_outcome(call);

	*count = outcome == SCRIPT_VALUE || outcome == SCRIPT_NO_HANDLER
		     ? call->injected_count
		     : 0;
	return call->injected;
}

/* ---- answers ---- */

enum script_outcome script_call_outcome(const struct script_call *call)
{
	return call->stage == CALL_DONE ? call->answer.outcome : SCRIPT_EXPIRED;
}

const struct value *script_call_result(const struct script_call *call)
{
	static const struct value nil;

	return script_call_outcome(call) == SCRIPT_VALUE ? &call->answer.result
							 : &nil;
}

const struct script_reject *script_call_reject(const struct script_call *call)
{
	return script_call_outcome(call) == SCRIPT_REJECTED
		   ? &call->answer.reject
		   : NULL;
}

const char *script_call_error(const struct script_call *call)
{
	if (call->stage != CALL_DONE)
		return call->expired_text;
	return call->answer.error ? call->answer.error : "";
}

static bool is_nil(const struct script_arg *arg)
{
	return arg->type == ARG_VALUE && arg->value.type == VALUE_NIL;
}

static void add_title(struct buf *out, const struct script_arg *arg)
{
	char quoted[TITLE_ARG_MOST];
	const struct value *v = &arg->value;

	if (is_nil(arg))
		buf_addstr(out, "nil");
	else if (arg->type != ARG_VALUE || v->type != VALUE_STRING)
		buf_addstr(out, "...");
	else
		buf_addf(out, "\"%s\"",
		    diag_quote(quoted, sizeof quoted, v->s, v->len));
}

void script_call_title(const struct script_call *call, struct buf *out)
{
	size_t count = call->arg_count;

	while (count > 0 && is_nil(&call->args[count - 1]))
		count--;
	buf_addf(out, "%s(", call->event);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_addstr(out, ", ");
		add_title(out, &call->args[i]);
	}
	buf_addch(out, ')');
}

const char *script_call_where(const struct script_call *call)
{
	return call->stage == CALL_DONE ? call->answer.where : "";
}

struct meta *script_call_take_meta(struct script_call *call)
{
	struct meta *meta = call->meta;

	if (script_call_outcome(call) == SCRIPT_EXPIRED)
		return NULL;
	call->meta = NULL;
	return meta;
}
