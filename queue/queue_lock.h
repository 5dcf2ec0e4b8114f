/*
 * queue_lock.h - who may write the queue now, and who has it open
 *
 * One small file beside the database, `queue.db-writer`, with OFD locks
 * (fcntl(2): they belong to the open file description, so threads with opens
 * of their own exclude each other, and closing another descriptor of the same
 * file drops nothing).  What its bytes mean:
 *
 *	0	turnstile	taken before the writer lock, given back after:
 *				who has just released the writer lock queues
 *				behind who waits
 *	1	writer		held for the length of a write transaction or
 *				a checkpoint
 *	16	router		held by the one router, for life
 *	32	present		shared by every program that may write; held
 *				alone by who recovers or migrates the file
 *
 * The file's content is two numbers: the generation of the database file's
 * open state, and the generation that was poisoned by a failed sync.
 *
 * Threads: a struct queue_lock is one thread's at a time.
 */
#ifndef QUEUE_QUEUE_LOCK_H
#define QUEUE_QUEUE_LOCK_H

#include <stdint.h>

#include "base/err.h"

struct queue_lock {
	int fd; /* an open of its own; -1: closed */
	bool held;
};

enum queue_lock_byte {
	QUEUE_LOCK_TURNSTILE = 0,
	QUEUE_LOCK_WRITER = 1,
	QUEUE_LOCK_ROUTER = 16,
	QUEUE_LOCK_PRESENT = 32,
};

enum queue_lock_result { LOCK_TAKEN, LOCK_BUSY, LOCK_FAILED };

/* The lock file of database `path`; made when it is not there: 0660, and owned
 * as `path` is when we are root. */
bool queue_lock_open(struct queue_lock *lock, const char *path, struct err *err)
    MUST_USE;
void queue_lock_close(struct queue_lock *lock); /* gives everything back */

/* The writer lock, through the turnstile.  Waits until `deadline`
 * (clock_now_ms), LOCK_BUSY then. */
enum queue_lock_result queue_lock_take(
    struct queue_lock *lock, int64_t deadline, struct err *err) MUST_USE;
void queue_lock_give(struct queue_lock *lock);
/* Does the calling thread hold a writer lock? */
bool queue_lock_held_here(void);

/* One of the other bytes, without waiting: alone or shared. */
enum queue_lock_result queue_lock_byte(struct queue_lock *lock,
    enum queue_lock_byte byte, bool alone, struct err *err) MUST_USE;
void queue_lock_byte_give(struct queue_lock *lock, enum queue_lock_byte byte);
/* Does somebody else hold it? */
bool queue_lock_byte_taken(
    const struct queue_lock *lock, enum queue_lock_byte byte);

struct queue_generation {
	int64_t current;  /* moves on with each recovery after poison */
	int64_t poisoned; /* equal to current: somebody's sync failed */
};
bool queue_lock_read(const struct queue_lock *lock,
    struct queue_generation *out, struct err *err) MUST_USE;
bool queue_lock_write(const struct queue_lock *lock,
    const struct queue_generation *generation, struct err *err) MUST_USE;

#endif
