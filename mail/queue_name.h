/*
 * queue_name.h - campaign:tenant@domain!routing_domain (policy language, 3.9)
 *
 * Parsing splits at the first '@', the left part at the first ':', the right
 * part at the first '!'.  Note "c:@d": tenant is "", not NULL.
 */
#ifndef MAIL_QUEUE_NAME_H
#define MAIL_QUEUE_NAME_H

#include "base/arena.h"
#include "base/buf.h"

struct queue_name {
	const char *campaign, *tenant; /* NULL: absent */
	const char *domain;
	const char *routing_domain; /* NULL: absent */
};

/* New mail that waits for smtp_server_message_deferred_inject (policy language,
 * 17.3); no event is asked how to treat it. */
#define QUEUE_NAME_DEFERRED "deferred_smtp_inject.kumomta.internal"

/* domain is lower-cased; NULL and "" parts are absent when composing.  Parts
 * that hold separators may come back otherwise: message_queue_name() refuses
 * them. */
void queue_name_compose(struct buf *out, const struct queue_name *parts);
struct queue_name queue_name_parse(const char *text, struct arena *arena);

#endif
