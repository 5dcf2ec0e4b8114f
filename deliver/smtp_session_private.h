/*
 * smtp_session_private.h - what smtp_session.c and smtp_jobs.c share
 *
 * smtp_session.c has the connection, its candidates and its end; smtp_jobs.c
 * the messages that go over it.  The functions of smtp_jobs.c never end the
 * session: they return what is to be done, as the engine does, and may call the
 * owner's next() and done().
 *
 * Threads: one at a time, the one of the session's loop.
 */
#ifndef DELIVER_SMTP_SESSION_PRIVATE_H
#define DELIVER_SMTP_SESSION_PRIVATE_H

#include "deliver/deliver.h"
#include "deliver/smtp_content.h"
#include "deliver/smtp_engine.h"
#include "deliver/smtp_route.h"
#include "deliver/smtp_wire.h"

/* A message on this connection. */
struct work {
	struct delivery_job *job; /* NULL: none */
	struct arena *texts;      /* ours, when the job brings no arena */
};

struct smtp_session {
	struct event_base *base;
	const struct delivery_plan *plan;
	const struct session_owner_ops *ops;
	void *owner;
	struct smtp_wire *wire;
	struct smtp_engine *engine;
	struct event *timer, *kick;
	int64_t timer_at; /* 0: not set */

	struct smtp_route route;
	int64_t connect_deadline; /* 0: connected, the engine has its own */
	struct session_facts facts;
	struct tls_facts *tls; /* NULL: no handshake yet */
	bool greeted;          /* some candidate was ready once */
	bool made_progress;    /* on this connection a job ended well */
	bool hurt;             /* and one did not, because of the connection */
	bool reached;     /* the host was, and not only a proxy before it */
	bool tls_counted; /* what became of TLS has been told */

	struct work now;
	struct delivery_job *ahead; /* fetched early, not begun */
	int64_t deliveries;         /* begun on this connection */
	bool idle, woken, quitting;

	struct smtp_content content;
	bool stop, abort, give_up; /* orders of the owner */
	bool ended;
	enum session_end end;
	struct smtp_reply end_reply;
	struct arena *end_texts;
};

/* smtp_jobs.c */

/* While a reply is awaited: the next job, if there is one and it may go over
 * this connection. */
void smtp_jobs_fetch_ahead(struct smtp_session *s);
/* READY: the next message, or QUIT, or idle. */
enum smtp_step smtp_jobs_next(struct smtp_session *s);
/* The job under way has its replies.  `more`: the peer has said more than that,
 * which is heard first. */
enum smtp_step smtp_jobs_done(struct smtp_session *s, bool more);

#endif
