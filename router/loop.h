/*
 * loop.h - the router's one event loop, and how others reach it
 *
 * Everything that decides (queues, connections, limits) runs here, on one
 * thread and without locks.  Other threads hand in a loop_item; the loop calls
 * its run().  The loop itself never waits for a disk, SQLite, Lua or DNS.
 *
 * Ownership: a posted or deferred item belongs to the loop until run() is
 *	     called, then to run().
 * Threads:   loop_post any; the rest the loop's own.
 */
#ifndef ROUTER_LOOP_H
#define ROUTER_LOOP_H

#include <stdint.h>

#include "base/inbox.h"
#include "base/list.h"

struct event_base;
struct loop;

struct loop_item {
	struct inbox_item item; /* first: an inbox_item is cast back */
	void (*run)(struct loop_item *item);
};

/* Callbacks do not free what their caller is holding: they defer. */
struct loop_deferred {
	struct list link;
	void (*run)(struct loop_deferred *deferred);
};

struct loop_timer;

struct loop *loop_new(void) MUST_USE;
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
void loop_post(struct loop *loop, struct loop_item *item);
/* Run after the present callback; once, however often it is asked for. */
void loop_defer(struct loop *loop, struct loop_deferred *deferred);
/* Before the first loop_defer. */
void loop_deferred_init(
    struct loop_deferred *d, void (*run)(struct loop_deferred *));

/* One-shot; set again it moves.  Real time: a test that moves the clock uses
 * the command `tick`. */
struct loop_timer *loop_timer_new(
    struct loop *loop, void (*fn)(void *ctx), void *ctx) MUST_USE;
void loop_timer_set(struct loop_timer *timer, int64_t after_ms);
bool loop_timer_is_set(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Calls fn whenever fd is readable, until the loop is freed. */
void loop_watch(
    struct loop *loop, int fd, void (*fn)(int fd, void *ctx), void *ctx);

void loop_run(struct loop *loop);
void loop_exit(struct loop *loop);
/* After loop_run() has returned: what was posted since. */
void loop_run_posted(struct loop *loop);

#endif
