/*
 * control.h - the socket through which a running daemon is asked and told
 *
 * A unix stream socket, mode 0660, served by threads of its own: one line in
 * (a command and its arguments), one JSON object and a newline out.  At most
 * 4096 bytes in, 5 s for each way of a conversation.  `serve` runs on those
 * threads, on as many at a time as there are: what takes long must leave some
 * to the others.
 *
 * control_ask() is the client: the CLI's side.
 */
#ifndef BASE_CONTROL_H
#define BASE_CONTROL_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct control;

typedef void control_fn(const char *request, struct buf *reply, void *ctx);

#define CONTROL_THREADS_MOST 8

/* A stale socket file (nobody answers) is replaced; a live one is an error.
 * threads: conversations at a time, 1 to CONTROL_THREADS_MOST. */
struct control *control_start(const char *path, unsigned threads,
    control_fn *serve, void *ctx, struct err *err) MUST_USE;
/* Who answers on another thread than the socket's asks this, and answers
 * meanwhile, until it is true: nobody is asking any more, nor will be.  Waits
 * for at most wait_ms. */
bool control_is_quiet(struct control *control, int wait_ms) MUST_USE;
void control_stop(struct control *control);

/* ERR_TEMP when nobody answers.  timeout in ms. */
bool control_ask(const char *path, const char *request, int64_t timeout_ms,
    struct buf *reply, struct err *err) MUST_USE;

#endif
