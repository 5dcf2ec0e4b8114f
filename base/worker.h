/*
 * worker.h - threads that serve an inbox
 *
 * All signals are blocked in them; they are named for `ps -L` and gdb.
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include "base/inbox.h"

struct worker_pool;

typedef void worker_fn(struct inbox_item *item, void *ctx);

struct worker_pool *worker_pool_new(
    const char *name, unsigned threads, worker_fn *serve, void *ctx) MUST_USE;
void worker_pool_put(struct worker_pool *pool, struct inbox_item *item);
/* Serves what is already there, then ends the threads. */
void worker_pool_free(struct worker_pool *pool);

/* One thread with signals blocked and a name (15 bytes); panics when the system
 * has no thread to give. */
#include <pthread.h>
pthread_t worker_thread_start(
    const char *name, void *(*run)(void *), void *ctx);

#endif
