/*
 * milter_hook.c - what the policy is asked about a session's records
 */
#include "milter/milter_hook.h"

#include "base/array.h"
#include "base/diag.h"
#include "logs/log_hook.h"
#include "logs/log_writer.h"
#include "queue/queue_writer.h"

bool hooks_needed(const struct session *s)
{
	return script_policy_setup(s->policy)->hook_count > 0;
}

/* False: no answer that counts; said why. */
static bool ask(struct session *s, struct script_call *call, int64_t deadline)
{
	switch (script_call_run(call, deadline)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		return true;
	case SCRIPT_REJECTED:
		diag_error("%s: policy: kumo.reject means nothing in an event "
			   "about log records",
		    s->id);
		return false;
	case SCRIPT_ERROR:
	case SCRIPT_EXPIRED:
		diag_error("%s: policy: %s", s->id, script_call_error(call));
		return false;
	}
	return false;
}

static bool said_yes(const struct script_call *call)
{
	const struct value *v = script_call_result(call);

	return v->type == VALUE_BOOL && v->b;
}

static void keep(
    struct hooked *h, const struct log_hook *hook, struct message *m)
{
	struct err err = {0};
	bool wanted;

	if (!log_hook_insertable(m, &wanted, &err))
		diag_error("%s: policy: log hook %s: not queued: %s", h->s->id,
		    hook->name, err.text);
	else if (wanted)
		*ARRAY_ADD(&h->messages) = message_ref(m);
}

static void ask_hook(struct hooked *h, const struct log_hook *hook,
    const struct log_record *record, const char *nodeid)
{
	struct message *m = log_hook_message(hook, record, nodeid);
	struct script_call *call =
	    script_call_new(h->s->policy, "should_enqueue_log_record");

	script_arg_message(call, m);
	script_arg_string(call, hook->name);
	if (ask(h->s, call, h->deadline) && said_yes(call))
		keep(h, hook, m);
	script_call_free(call);
	message_unref(m);
}

static void ask_disposition(struct hooked *h, const struct log_hook *hook,
    const struct log_record *record, const char *nodeid,
    const struct message *about)
{
	struct script_call *call = script_call_new(h->s->policy, hook->event);
	struct message *copy = message_copy(about);
	struct arena *arena = arena_new(4096);
	struct value table = log_hook_record(hook, record, nodeid, arena);
	struct message *const *injected;
	size_t count;

	script_arg_message(call, copy);
	message_unref(copy);
	script_arg_value(call, &table);
	script_collect(call);
	if (ask(h->s, call, h->deadline)) {
		injected = script_call_injected(call, &count);
		for (size_t i = 0; i < count; i++)
			keep(h, hook, injected[i]);
	}
	script_call_free(call);
	arena_unref(arena);
}

void hook_ask(struct hooked *h, const struct log_record *record,
    const struct message *about)
{
	const struct policy_setup *setup = script_policy_setup(h->s->policy);
	const char *nodeid = log_writer_nodeid(h->s->service->log);

	for (size_t i = 0; i < setup->hook_count; i++) {
		const struct log_hook *hook = setup->hooks[i];

		if (!log_hook_wants(hook, record))
			continue;
		if (!hook->event) {
			if (script_policy_handles(
				h->s->policy, "should_enqueue_log_record"))
				ask_hook(h, hook, record, nodeid);
		} else if (about &&
			   script_policy_handles(h->s->policy, hook->event)) {
			ask_disposition(h, hook, record, nodeid, about);
		}
	}
}

void hooked_commit(struct hooked *h)
{
	struct queue_intake intake = {
	    .messages = h->messages.items,
	    .count = h->messages.count,
	    .session_id = h->s->id,
	};
	struct custody *custody;
	struct err err = {0};

	if (intake.count == 0)
		return;
	custody = custody_begin(h->s->service->writer, &intake);
	if (custody_wait(custody, h->deadline, NULL, NULL, &err) !=
	    CUSTODY_COMMITTED)
		diag_error("%s: %zu messages of log hooks are lost: %s",
		    h->s->id, intake.count, err.text);
	custody_free(custody);
}

void hooked_release(struct hooked *h)
{
	for (size_t i = 0; i < h->messages.count; i++)
		message_unref(h->messages.items[i]);
	ARRAY_FREE(&h->messages);
}

bool hook_filter(struct session *s, const char *event,
    const struct message *about, int64_t deadline)
{
	struct script_call *call = script_call_new(s->policy, event);
	struct message *copy = message_copy(about);
	bool yes;

	script_arg_message(call, copy);
	message_unref(copy);
	yes = ask(s, call, deadline) && said_yes(call);
	script_call_free(call);
	return yes;
}
