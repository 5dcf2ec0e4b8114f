/*
 * queue_attempts.h - whose attempt is under way, for whoever comes after us
 *
 * A table in a file beside the database, `queue.db-attempts`, mapped into
 * memory: the router writes a recipient's id into it when its attempt really
 * begins and takes it out when that is over, which costs a store and no system
 * call.  The same with what prepares it, and with the scheduled queues (-id)
 * that the policy is asked about.  A router that starts after one that died
 * suspects those that stand there, and not all that were leased.
 *
 * Scheduled queues over which routers died are kept there with their number, as
 * long as no router stops cleanly and none settles mail of theirs.
 *
 * Nothing is synced: what a dead process has stored is seen by the next one,
 * and after a power cut (the boot id differs) nobody is suspected.
 *
 * Threads: any.
 */
#ifndef QUEUE_QUEUE_ATTEMPTS_H
#define QUEUE_QUEUE_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "queue/queue.h"

struct queue_attempts;

/* Of the database `path`.  NULL: the table cannot be had (no room, no
 * permission); err says why, and nothing is lost but the suspicion. */
struct queue_attempts *queue_attempts_open(const char *path, struct err *err)
    MUST_USE;
void queue_attempts_close(struct queue_attempts *attempts); /* NULL is fine */
/* What the last router left, ascending; valid until close. */
const int64_t *queue_attempts_left(
    const struct queue_attempts *attempts, size_t *count);
/* Nothing is under way.  What was left stays known. */
void queue_attempts_clear(struct queue_attempts *attempts, bool keep_blame);
/* Of what was left, these ids are counted: who comes after us if we do not get
 * to queue_attempts_clear() does not see them. */
void queue_attempts_counted(
    struct queue_attempts *attempts, int64_t from, int64_t to);
/* A mark for queue_attempts_end(); 0: no place is left, or NULL was given. */
int queue_attempts_begin(struct queue_attempts *attempts, int64_t id);
void queue_attempts_end(struct queue_attempts *attempts, int mark);
/* What it was at before. */
int64_t queue_attempts_at(
    struct queue_attempts *attempts, enum queue_hand hand, int64_t id);

/* One more router died over this scheduled queue: how many are they? */
int queue_attempts_blame(struct queue_attempts *attempts, int64_t queue);
int queue_attempts_crashes(
    const struct queue_attempts *attempts, int64_t queue);
/* Those that died over it were in no row. */
void queue_attempts_absolve(struct queue_attempts *attempts, int64_t queue);

#endif
