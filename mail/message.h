/*
 * message.h - one message as the policy sees it
 *
 * A batch on its way in, or a queued message on its way out: envelope,
 * metadata, content and the headers that were put in front of it.  The whole
 * message is prefix || content.  Content is shared until set_data or another
 * edit below the prefix gives this message bytes of its own.
 *
 * Threads: one at a time; handed over whole.  Reference counted because Lua may
 *          hold one.
 */
#ifndef MAIL_MESSAGE_H
#define MAIL_MESSAGE_H

#include <stdint.h>

#include "base/array.h"
#include "base/buf.h"
#include "mail/content.h"
#include "mail/envelope.h"
#include "mail/meta.h"

#define MESSAGE_ID_SIZE 33 /* 32 lower-case hex digits and NUL */

struct message {
	int refs;            /* atomic; message_ref, message_unref */
	struct arena *arena; /* envelope texts */
	char id[MESSAGE_ID_SIZE];
	struct envelope_sender sender;
	struct {
		struct envelope_recipient *items;
		size_t count, size;
	} recipients;
	struct meta *meta;
	struct buf prefix; /* header lines with CRLF, newest first */
	struct content *content;
	bool content_changed; /* bytes of its own, not those received */
	bool sender_changed, recipients_changed;
	int64_t created_ms; /* unix, milliseconds */
	int attempts;
	int64_t due_at;                 /* unix seconds; 0: now */
	const char *scheduling;         /* JSON, NULL: none */
	const char *reception_protocol; /* NULL: as the session that it came in
					   by; a literal, or in the arena */
};

/* A new id (UUID version 7, so it sorts by time), empty otherwise. */
struct message *message_new(void) MUST_USE;
struct message *message_ref(struct message *m);
void message_unref(struct message *m);
/* For one batch: sender, meta (copied), content and prefix (shared or copied),
 * a new id, no recipients. */
struct message *message_derive(const struct message *m) MUST_USE;
/* All of it, with its id; content is shared. */
struct message *message_copy(const struct message *m) MUST_USE;
void message_id_new(char out[MESSAGE_ID_SIZE]);
int64_t message_size(const struct message *m); /* prefix and content */
/* The whole message, at most `most` bytes: ERR_PERM beyond. */
bool message_data(const struct message *m, size_t most, struct buf *out,
    struct err *err) MUST_USE;
/* "Name: value CRLF" in front of everything. */
void message_prepend_header(
    struct message *m, const char *name, const char *value);
/* campaign:tenant@domain!routing_domain, or meta `queue` (policy 3.9).
 * ERR_PERM when one of the four meta values is not a string. */
bool message_queue_name(
    const struct message *m, struct buf *out, struct err *err) MUST_USE;

#endif
