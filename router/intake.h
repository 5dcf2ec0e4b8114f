/*
 * intake.h - takes due mail from the queue, fairly and no more than fits
 *
 * Pages through the scheduled queues with due work (a rotating cursor, on the
 * reader thread), prepares those that it does not know yet, and leases from
 * those that are prepared in turns of a few hundred recipients (on the writer
 * thread).  A queue that is blocked is remembered and skipped, so that it never
 * stands in the way of others; a page of blocked queues is followed by the
 * next.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_INTAKE_H
#define ROUTER_INTAKE_H

#include "base/json.h"
#include "router/scheduled_queue.h"

struct intake;
struct queue_lease;
struct ready_message;
struct router;

struct intake *intake_new(struct router *r) MUST_USE;
void intake_free(struct intake *in);

/* Something was committed, or time has passed: look for due work. */
void intake_scan(struct intake *in);
/* Leases what may be leased now. */
void intake_pump(struct intake *in);
/* Once a second: forgets what was idle for long. */
void intake_tick(struct intake *in);

/* For scheduled_queue.c and ready_queue.c: */
void intake_set_state(
    struct intake *in, struct scheduled_queue *sq, enum sq_state state);
void intake_runnable(struct intake *in, struct scheduled_queue *sq);
void intake_unblock(struct intake *in, struct scheduled_queue *sq);
/* Those blocked queues that deliver to maildirs, and the one of new mail. */
void intake_unblock_maildirs(struct intake *in);
/* One recipient's row is settled (or gone); the last one frees rm. */
void intake_settled(struct intake *in, struct ready_message *rm);

/* What was leased otherwise (queue_lease_waiting), recipients of one message
 * from one queue: they count from now on. */
struct ready_message *intake_take(
    struct intake *in, const struct queue_lease *leases, size_t count) MUST_USE;

size_t intake_leased(const struct intake *in); /* recipients */
/* Leases that the writer thread is at. */
size_t intake_leasing(const struct intake *in);
/* Why no mail can be taken from the queue; NULL: it can. */
const char *intake_trouble(const struct intake *in);
void intake_status(const struct intake *in, struct json_object *o);

#endif
