/*
 * script_services.h - what a policy asks of its process
 *
 * lua/ knows no queue: the daemon hands functions down at start.  Without them
 * (a check, a test, before the queue is open) what needs them raises.
 *
 * Threads: set and taken back by the daemon's main thread; called on Lua
 *          threads, which may wait until the deadline of their event.
 */
#ifndef LUA_SCRIPT_SERVICES_H
#define LUA_SCRIPT_SERVICES_H

#include "base/err.h"
#include "mail/message.h"
#include "mail/suppression.h"

struct script_services {
	/* Stores the message in its scheduled queue.  True: it is on disk.
	 * False: it is not, and never will be.  Gives up at the deadline
	 * (clock_now_ms), and soon after script_services_ending() is true,
	 * unless it is being written: then it waits for the end of that. */
	bool (*inject)(
	    void *ctx, struct message *m, int64_t deadline, struct err *err);
	/* Is the address, or its domain, on the suppression list
	 * (queue/queue_suppression.h)?  *out NULL: no.  False: it cannot be
	 * told now. */
	bool (*suppressed)(void *ctx, const struct address *address,
	    const char *tenant, int64_t deadline, struct arena *arena,
	    const struct suppression_entry **out, struct err *err);
	void *ctx;
};

/* NULL: takes them back, and waits until nobody is inside.  `services` stays
 * valid until then. */
void script_use_services(const struct script_services *services);
bool script_services_ending(void);
/* For bindings. */
bool script_inject(struct message *m, int64_t deadline, struct err *err)
    MUST_USE;
bool script_suppressed(const struct address *address, const char *tenant,
    int64_t deadline, struct arena *arena, const struct suppression_entry **out,
    struct err *err) MUST_USE;

#endif
