/*
 * inject.h - messages that the policy puts into the queue
 *
 * kumo.inject_message waits on its Lua thread: the loop hands the message to
 * the queue writer, which commits it, synced.  As with custody, only what is
 * still waiting may be given up.
 *
 * Threads: inject_message on Lua threads; the rest is the loop's.
 */
#ifndef ROUTER_INJECT_H
#define ROUTER_INJECT_H

#include <stdint.h>

#include "base/err.h"

struct message;
struct router;

/* struct script_services, inject; ctx is the router. */
bool inject_message(void *router, struct message *m, int64_t deadline,
    struct err *err) MUST_USE;

#endif
