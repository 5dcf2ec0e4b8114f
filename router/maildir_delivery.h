/*
 * maildir_delivery.h - messages of scheduled queues that end in a maildir
 *
 * The path is a template, expanded for each recipient on a disk worker, which
 * also writes: neither the loop nor other protocols wait for a slow disk.  No
 * pool, source or path is asked for (policy language, 13).
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_MAILDIR_DELIVERY_H
#define ROUTER_MAILDIR_DELIVERY_H

#include "base/attr.h"

struct maildirs;
struct ready_message;
struct router;
struct scheduled_queue;

struct maildirs *maildirs_new(struct router *r) MUST_USE;
/* Waits for what is being written. */
void maildirs_free(struct maildirs *m);
/* Messages that may be leased for this queue now. */
size_t maildirs_room(
    const struct maildirs *m, const struct scheduled_queue *sq);
void maildirs_put(struct maildirs *m, struct ready_message *rm);
size_t maildirs_busy(const struct maildirs *m); /* messages */

#endif
