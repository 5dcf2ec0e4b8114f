/*
 * body.h - the bytes of a message for a connection, chunk by chunk
 *
 * From memory when the lease brought them, else from the queue reader thread,
 * one chunk at a time and within a budget that all connections share: those
 * that find it used up wait their turn, so that no number of large messages
 * makes the router large.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_BODY_H
#define ROUTER_BODY_H

#include "deliver/deliver.h"

struct arena;
struct ready_message;
struct router;

/* In `arena`; nothing to release.  `rm` outlives it. */
struct body_source *body_new(
    struct router *r, struct ready_message *rm, struct arena *arena) MUST_USE;

#endif
