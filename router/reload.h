/*
 * reload.h - a new generation of the policy, made aside and swapped in
 *
 * If it does not load the last good one keeps running, and `status` and the log
 * say so.  Where logs and the queue are needs a restart.
 *
 * Threads: the loop's; the policy is loaded on a thread of its own.
 */
#ifndef ROUTER_RELOAD_H
#define ROUTER_RELOAD_H

#include "base/attr.h"

struct reloader;
struct router;

struct reloader *reloader_new(struct router *r) MUST_USE;
void reloader_free(struct reloader *reloader);

/* done() is called on the loop, with "" or what is wrong. */
typedef void reload_done_fn(const char *error, void *ctx);
/* While one is under way another follows it. done may be NULL. */
void router_reload(struct router *r, reload_done_fn *done, void *ctx);

#endif
