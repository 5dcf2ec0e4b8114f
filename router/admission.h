/*
 * admission.h - may a due message go on to delivery?
 *
 * The event throttle_insert_ready_queue is asked about each message that was
 * leased, before its source is chosen (policy language, 10.6).  A message whose
 * due time the policy moved into the future waits for that, with a Delayed
 * record and its attempts unchanged (D27); one that it put into another
 * scheduled queue goes there; all others go on.  Some tens are asked about at a
 * time, the rest wait here: should one of them kill the router, few others are
 * suspected.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_ADMISSION_H
#define ROUTER_ADMISSION_H

#include "base/attr.h"

struct admissions;
struct ready_message;
struct router;

struct admissions *admissions_new(struct router *r) MUST_USE;
void admissions_free(struct admissions *a);
/* Does the policy in use want to be asked? */
bool admissions_needed(const struct router *r);
size_t admissions_busy(const struct admissions *a); /* messages */
void admissions_put(struct admissions *a, struct ready_message *rm);

#endif
