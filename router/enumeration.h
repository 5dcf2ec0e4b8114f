/*
 * enumeration.h - what was queued when the router started, seen by the policy
 *
 * The event spool_message_enumerated is run for each such message when it is
 * first leased in this router's life (policy language, 17.2, D38): before its
 * delivery, not before the first delivery of others.  What the policy changed
 * (metadata, and with it the queue; when it is due; envelope, content) is
 * written back, without a record.  A handler that raises ends the router with
 * EX_CONFIG, the message untouched (4.3).
 *
 * Who has been seen is a bitmap in pages that are made when they are needed: a
 * million recipients with neighbouring ids are 125 KB.  Without a handler at
 * the start there is none, and nothing is asked.
 *
 * Recipients of one message that become due at different times are seen one by
 * one.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_ENUMERATION_H
#define ROUTER_ENUMERATION_H

#include "base/err.h"

struct enumerations;
struct ready_message;
struct router;

/* Looks up what is queued now; NULL with err: that is not possible. */
struct enumerations *enumerations_new(struct router *r, struct err *err)
    MUST_USE;
/* With nothing under way; NULL is fine. */
void enumerations_free(struct enumerations *e);
/* True: it was queued at the start, has not been seen, and now is with the
 * policy; scheduled_queue_enumerated() goes on with it. */
bool enumerations_take(struct enumerations *e, struct ready_message *rm)
    MUST_USE;
size_t enumerations_busy(const struct enumerations *e); /* messages */

#endif
