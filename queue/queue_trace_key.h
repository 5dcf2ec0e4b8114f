/*
 * queue_trace_key.h - the file of keys beside the queue (mail/trace_key.h)
 *
 * QUEUE-trace-key is made at the first start of a daemon: one new key, mode
 * 0600.  Hosts that send for each other have the same file: it is copied.  It
 * is never changed by us.
 */
#ifndef QUEUE_QUEUE_TRACE_KEY_H
#define QUEUE_QUEUE_TRACE_KEY_H

#include "mail/trace_key.h"

#define QUEUE_TRACE_KEY_SUFFIX "-trace-key"

/* `path` is the queue's.  ERR_CONFIG when the file cannot be used, or others
 * than its owner and group may read it, or it is of neither root, us nor the
 * queue's owner. */
struct trace_keys *queue_trace_keys(const char *path, struct err *err) MUST_USE;
/* The same, and from now on they are what this process signs with. */
bool queue_trace_keys_use(const char *queue, struct err *err) MUST_USE;

#endif
