/*
 * message_load.h - leased messages as the policy sees them
 *
 * What custom_lua, queue events and log hooks are given: a struct message with
 * envelope, metadata, prefix and content.  Content that did not come with the
 * lease is read on a disk worker, into a file when it is large, so neither the
 * loop nor memory suffers from it.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_MESSAGE_LOAD_H
#define ROUTER_MESSAGE_LOAD_H

#include "base/err.h"
#include "mail/message.h"

struct delivery_recipient;
struct message_loader;
struct ready_message;
struct router;

struct message_loader *message_loader_new(struct router *r) MUST_USE;
void message_loader_free(struct message_loader *loader); /* NULL is fine */

/* Everything but the content, for these recipients of it. */
struct message *message_without_content(const struct ready_message *rm,
    const struct delivery_recipient *const *recipients, size_t count) MUST_USE;

/* messages[i] is rms[i] with all of its recipients, and the callee's to unref;
 * NULL with err: something cannot be read, and none of them is given.  Called
 * later, never from here.  The ready messages stay until then. */
typedef void message_loaded_fn(
    struct message **messages, const struct err *err, void *ctx);
void message_load(struct message_loader *loader,
    struct ready_message *const *rms, size_t count, message_loaded_fn *done,
    void *ctx);
/* The same for one message that was made without its content; the callee's
 * from then on. */
void message_complete_take(struct message_loader *loader, struct message *m,
    struct ready_message *rm, message_loaded_fn *done, void *ctx);

#endif
