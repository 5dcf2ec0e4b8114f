/*
 * policy_call.c - ask the policy for a configuration record
 */
#include "router/policy_call.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/script.h"
#include "queue/queue.h"
#include "router/record_memory.h"
#include "router/router.h"

#define POLICY_CALLS_MOST 64
#define DEADLINE_MS 10000

struct policy_call {
	struct loop_item item;
	struct list link; /* waits for its turn */
	struct router *r;
	struct script_policy *policy; /* the generation that it was asked of */
	struct script_call *call;
	const char *event;
	const struct param_set *set;
	int64_t queue;  /* 0: of none */
	bool suspected; /* a router died while this was asked, or near it */
	int mark;       /* of queue_attempt_begins() */
	policy_answer_fn *answer;
	void *ctx;
};

struct record_ref *record_ref(struct record_ref *ref)
{
	ref->refs++;
	return ref;
}

void record_unref(struct record_ref *ref)
{
	if (!ref || --ref->refs > 0)
		return;
	arena_unref(ref->arena);
	free(ref);
}

struct record_ref *record_builtin(const void *record)
{
	struct record_ref *ref = xcalloc(1, sizeof *ref);

	ref->refs = 1;
	ref->record = record;
	return ref;
}

static void start_waiting(struct router *r);

static bool keep_key(
    const struct value *v, struct record_ref **out, struct err *err)
{
	struct record_ref *ref;
	struct value *copy;

	if (v->type != VALUE_STRING)
		return err_set(err, ERR_CONFIG, "gave a %s, not text",
		    value_type_name(v->type));
	ref = xcalloc(1, sizeof *ref);
	ref->refs = 1;
	ref->arena = arena_new(v->len + 64);
	copy = ARENA_NEW(ref->arena, struct value);
	*copy = value_copy(ref->arena, v);
	ref->record = copy;
	*out = ref;
	return true;
}

/* The constructors mark what they return; a plain table is taken, too (D5). */
static bool parse(
    struct policy_call *pc, struct record_ref **out, struct err *err)
{
	const struct value *v = script_call_result(pc->call);
	int64_t generation = script_policy_generation(pc->policy);
	struct record_ref *ref;
	void *record;

	if (!pc->set)
		return keep_key(v, out, err);
	if (v->type != VALUE_MAP)
		return err_set(err, ERR_CONFIG, "returned a %s, not kumo.%s{}",
		    value_type_name(v->type), pc->set->name);
	if (v->kind && !str_eq(v->kind, pc->set->name))
		return err_set(err, ERR_CONFIG,
		    "returned kumo.%s{}, not "
		    "kumo.%s{}",
		    v->kind, pc->set->name);
	ref = record_memory_find(pc->r->records, generation, pc->set, v);
	if (ref) {
		*out = ref;
		return true;
	}
	ref = xcalloc(1, sizeof *ref);
	ref->refs = 1;
	ref->arena = arena_new(pc->set->record_size + 448);
	record = arena_alloc(ref->arena, pc->set->record_size);
	ref->record = record;
	if (!param_parse(pc->set, v, ref->arena, record, err)) {
		record_unref(ref);
		return false;
	}
	record_memory_keep(pc->r->records, generation, pc->set, v, ref);
	*out = ref;
	return true;
}

/* Without the event, which say_which() names with its arguments. */
static const char *error_text(const struct policy_call *pc)
{
	const char *text = script_call_error(pc->call);
	size_t len = strlen(pc->event);

	if (strncmp(text, pc->event, len) == 0 && text[len] == ':')
		text += len + 1;
	return text + strspn(text, " ");
}

/* One of many names that the event is asked about: which? */
static void say_which(struct policy_call *pc, struct err *err)
{
	const char *where = script_call_where(pc->call);
	struct buf title = BUF_INIT;

	script_call_title(pc->call, &title);
	/* An error says itself where it was raised. */
	if (where[0] && script_call_outcome(pc->call) != SCRIPT_ERROR)
		(void)err_prefix(err, "%s", where);
	(void)err_prefix(err, "%s", buf_str(&title));
	buf_release(&title);
}

static void answer(struct policy_call *pc)
{
	struct record_ref *ref = NULL;
	struct err err = {0};
	const struct script_reject *reject;

	switch (script_call_outcome(pc->call)) {
	case SCRIPT_NO_HANDLER:
		pc->answer(NULL, NULL, pc->ctx);
		return;
	case SCRIPT_VALUE:
		if (script_call_result(pc->call)->type == VALUE_NIL) {
			pc->answer(NULL, NULL, pc->ctx);
			return;
		}
		(void)parse(pc, &ref, &err);
		break;
	case SCRIPT_REJECTED:
		reject = script_call_reject(pc->call);
		(void)err_set(&err, ERR_CONFIG, "kumo.reject(%d, \"%s\")",
		    reject->code, reject->message ? reject->message : "");
		break;
	case SCRIPT_ERROR:
	case SCRIPT_EXPIRED:
		(void)err_set(&err, ERR_CONFIG, "%s", error_text(pc));
		break;
	}
	if (!ref) {
		say_which(pc, &err);
		diag_error("policy: %s", err.text);
	}
	pc->answer(ref, ref ? NULL : &err, pc->ctx);
}

static void run_answer(struct loop_item *item)
{
	struct policy_call *pc = CONTAINER_OF(item, struct policy_call, item);
	struct router *r = pc->r;

	r->policy_calls_out--;
	if (pc->suspected)
		r->suspect_calls_out--;
	answer(pc);
	if (pc->mark)
		queue_attempt_ends(r->queue, pc->mark);
	script_call_free(pc->call);
	script_policy_unref(pc->policy);
	free(pc);
	start_waiting(r);
}

static void on_lua_thread(struct script_call *call, void *ctx)
{
	struct policy_call *pc = ctx;

	loop_post(pc->r->loop, &pc->item);
}

/* NULL: nothing that may be asked now. */
static struct policy_call *next_call(struct router *r)
{
	struct list *pos, *tmp;

	if (r->policy_calls_out >= POLICY_CALLS_MOST)
		return NULL;
	LIST_EACH (pos, tmp, &r->policy_calls_waiting) {
		struct policy_call *pc =
		    LIST_ITEM(pos, struct policy_call, link);

		if (!pc->suspected || r->suspect_calls_out == 0)
			return pc;
	}
	return NULL;
}

static void start_waiting(struct router *r)
{
	struct policy_call *pc;

	while ((pc = next_call(r)) != NULL) {
		list_remove(&pc->link);
		r->policy_calls_out++;
		if (pc->suspected)
			r->suspect_calls_out++;
		if (pc->queue)
			pc->mark = queue_attempt_begins(r->queue, -pc->queue);
		script_call_submit(
		    pc->call, clock_now_ms() + DEADLINE_MS, on_lua_thread, pc);
	}
}

static void run_unhandled(struct loop_item *item)
{
	struct policy_call *pc = CONTAINER_OF(item, struct policy_call, item);

	pc->answer(NULL, NULL, pc->ctx);
	free(pc);
}

static void submit(struct policy_call *pc)
{
	struct router *r = pc->r;

	pc->item.run = run_answer;
	pc->policy = script_policy_ref(r->policy);
	pc->call = script_call_new(r->policy, pc->event);
	list_add_tail(&r->policy_calls_waiting, &pc->link);
}

void policy_ask_key(struct router *r, const struct value *source,
    policy_answer_fn *answer_fn, void *ctx)
{
	struct policy_call *pc = xcalloc(1, sizeof *pc);

	pc->r = r;
	pc->event = SCRIPT_KEY_SOURCE;
	pc->answer = answer_fn;
	pc->ctx = ctx;
	submit(pc);
	script_arg_value(pc->call, source);
	start_waiting(r);
}

void policy_ask(struct router *r, const char *event,
    const struct param_set *set, const char *const *args, size_t arg_count,
    int64_t queue, policy_answer_fn *answer_fn, void *ctx)
{
	struct policy_call *pc = xcalloc(1, sizeof *pc);

	pc->r = r;
	pc->event = event;
	pc->set = set;
	pc->answer = answer_fn;
	pc->ctx = ctx;
	if (!script_policy_handles(r->policy, event)) {
		pc->item.run = run_unhandled;
		loop_post(r->loop, &pc->item);
		return;
	}
	pc->queue = queue;
	pc->suspected = queue && queue_is_suspected(r->queue, queue);
	submit(pc);
	for (size_t i = 0; i < arg_count; i++)
		script_arg_string(pc->call, args[i]);
	start_waiting(r);
}
