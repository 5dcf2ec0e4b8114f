/*
 * milter_event.c - asking the policy during an SMTP session
 */
#include "milter/milter_event.h"

#include "base/clock.h"
#include "base/diag.h"

int64_t event_deadline(void)
{
	return clock_now_ms() + EVENT_LIMIT_MS;
}

struct script_call *event_begin(struct session *s, const char *name)
{
	if (!script_policy_handles(s->policy, name))
		return NULL;
	return script_call_new(s->policy, name);
}

/* The client learns nothing of the policy's text. */
static struct answer policy_error(struct session *s)
{
	return answer_refuse(
	    session_scratch(s), 421, "4.3.0", "local policy error");
}

struct answer event_failed(
    struct session *s, const char *name, const char *what)
{
	diag_error("%s: policy: %s: %s", s->id, name, what);
	return policy_error(s);
}

static struct answer event_expired(struct session *s, const char *what)
{
	atomic_fetch_add(&s->service->expired_events, 1);
	/* The text names the event. */
	diag_error("%s: policy: %s", s->id, what);
	if (s->at_end)
		return answer_refuse(session_scratch(s), 451, "4.4.5",
		    "timeout while deciding about the message");
	return answer_refuse(
	    session_scratch(s), 421, "4.3.0", "local policy timeout");
}

static void take_meta(struct session *s, struct script_call *call)
{
	struct meta *meta = script_call_take_meta(call);

	if (!meta)
		return;
	meta_free(s->meta);
	s->meta = meta;
}

bool event_run(struct session *s, struct script_call *call, const char *name,
    int64_t deadline, struct answer *refusal)
{
	switch (script_call_run(call, deadline)) {
	case SCRIPT_NO_HANDLER:
	case SCRIPT_VALUE:
		take_meta(s, call);
		return true;
	case SCRIPT_REJECTED:
		take_meta(s, call);
		*refusal = answer_from_policy(
		    session_scratch(s), script_call_reject(call));
		return false;
	case SCRIPT_ERROR:
		/* The text names the event. */
		diag_error("%s: policy: %s", s->id, script_call_error(call));
		*refusal = policy_error(s);
		return false;
	case SCRIPT_EXPIRED:
		*refusal = event_expired(s, script_call_error(call));
		return false;
	}
	diag_panic("%s: %s: unknown outcome", s->id, name);
}
