/*
 * requeue.h - requeue_message: what the policy says before a message goes back
 *
 * Asked before a message that was taken out of its scheduled queue goes back,
 * after a temporary failure or for a throttle (policy language, 10.7).  The
 * policy may change the message, send it to another scheduled queue or give it
 * up.  For another queue the limits of that queue are asked for, too, because
 * expiry is judged by them.  Errors of the policy are logged and change
 * nothing.
 *
 * Threads: the loop's.
 */
#ifndef ROUTER_REQUEUE_H
#define ROUTER_REQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/smtp_reply.h"

struct delivery_recipient;
struct message;
struct queue_config;
struct ready_message;
struct router;
struct script_policy;
struct script_reject;

enum requeue_kind {
	REQUEUE_AS_IT_WAS,
	REQUEUE_CHANGED,   /* metadata or schedule; the queue is the same */
	REQUEUE_ELSEWHERE, /* another queue: due now, an attempt more */
	REQUEUE_REJECTED,
};

struct requeue_question {
	struct ready_message *rm;
	/* Of rm, whom it is about; NULL: all. */
	struct delivery_recipient *recipients;
	size_t count;
	/* Loaded already, and taken; NULL: it is loaded. */
	struct message *message;
	struct smtp_reply reply; /* why; lives as long as rm */
	/* insert_context; NULL: no more. */
	const char *reasons[2];
	bool counts;      /* attempts go up */
	int64_t delay_ms; /* -1: not known yet */
};

struct requeue_answer {
	enum requeue_kind kind;
	struct message *message; /* CHANGED, ELSEWHERE: the callee's */
	const char *queue;       /* of ELSEWHERE */
	/* Limits of that queue; NULL: they cannot be had, or it is `null`. */
	const struct queue_config *config;
	const struct script_reject *reject;
};

/* The answer lives until done() returns. */
typedef void requeue_done_fn(const struct requeue_answer *answer, void *ctx);

bool requeue_is_handled(const struct script_policy *policy);
/* `policy` is the generation to ask.  done() is called later, never from here;
 * rm stays until then. */
void requeue_ask(struct router *r, struct script_policy *policy,
    const struct requeue_question *question, requeue_done_fn *done, void *ctx);

#endif
