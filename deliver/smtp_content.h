/*
 * smtp_content.h - a message's bytes onto a wire, a chunk at a time
 *
 * Prefix and body, dot-stuffed, with at most two chunks in memory, however
 * slowly the peer reads.  The final
 * dot is added only when exactly as many bytes came as the job promises.
 */
#ifndef DELIVER_SMTP_CONTENT_H
#define DELIVER_SMTP_CONTENT_H

#include "deliver/deliver.h"
#include "deliver/smtp_wire.h"
#include "mail/dot_stuffing.h"

enum smtp_content_state {
	CONTENT_WAIT, /* for the wire, or for resume() */
	CONTENT_ALL,  /* the final dot is in the wire's buffer */
	CONTENT_BAD,  /* the bytes are not to be had */
};

struct smtp_content {
	struct smtp_wire *wire;
	void (*resume)(void *ctx); /* a chunk came later: pump again */
	void *ctx;
	const struct delivery_job *job; /* NULL: nothing under way */
	struct dot_stuffing stuffing;
	size_t prefix_at;   /* of the prefix, what was written */
	int64_t chunk, got; /* the next chunk; bytes so far */
	bool asking, in_get, bad;
};

void smtp_content_start(struct smtp_content *c, const struct delivery_job *job);
enum smtp_content_state smtp_content_pump(struct smtp_content *c);
/* Is there something to pump when the wire has moved? */
bool smtp_content_blocked(const struct smtp_content *c);
void smtp_content_stop(struct smtp_content *c); /* any time */

#endif
