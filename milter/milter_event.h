/*
 * milter_event.h - asking the policy during an SMTP session
 *
 *	call = event_begin(s, "smtp_server_ehlo");
 *	if (call) {
 *		script_arg_...(call, ...);
 *		ok = event_run(s, call, deadline, &refusal);
 *		... script_call_result(call) ...
 *		script_call_free(call);
 *	}
 *
 * What the handler did to conn_meta is the session's afterwards.
 */
#ifndef MILTER_MILTER_EVENT_H
#define MILTER_MILTER_EVENT_H

#include "milter/milter_session.h"

/* The default deadline of an event before DATA. */
int64_t event_deadline(void);
/* NULL when the policy has no handler: nothing to ask. */
struct script_call *event_begin(struct session *s, const char *name) MUST_USE;
/* False: refused.  kumo.reject as it says, a Lua error 421 4.3.0, a deadline
 * 421 4.3.0, at end of message 451 4.4.5. */
bool event_run(struct session *s, struct script_call *call, const char *name,
    int64_t deadline, struct answer *refusal) MUST_USE;
/* The answer to an error that is the policy's; logged here. */
struct answer event_failed(
    struct session *s, const char *name, const char *what);

#endif
