/*
 * smtp_engine.h - the client's side of SMTP and LMTP, without any I/O
 *
 * Takes the bytes that the peer sent, appends what is to be sent to `out`, sets
 * the replies of a job's recipients, and says after each call what its owner
 * (smtp_session.h, or a test) has to do next.
 *
 *	start      -> hear ... -> [STEP_TLS -> tls -> hear ...] -> STEP_READY
 *	begin(job) -> hear ... -> STEP_CONTENT
 *	content_sent -> hear ... -> STEP_DONE
 *
 * `out` is written between calls by the owner, in order and completely.
 * `deadline` (clock_now_ms) is when the owner must call smtp_engine_timeout().
 * It moves when a whole reply came, never because of single bytes.
 *
 * Threads: one at a time.
 */
#ifndef DELIVER_SMTP_ENGINE_H
#define DELIVER_SMTP_ENGINE_H

#include "deliver/deliver.h"

enum smtp_step {
	STEP_WAIT,    /* send what is in out, then hear */
	STEP_TLS,     /* send out, shake hands, then smtp_engine_tls() */
	STEP_READY,   /* greeted: smtp_engine_begin() or _quit() */
	STEP_CONTENT, /* send the content up to the final dot, then
			 _content_sent() */
	STEP_DONE,   /* the job has all its replies; _usable() tells the rest */
	STEP_FAILED, /* no greeting: smtp_engine_failure() says why */
	STEP_CLOSED, /* nothing more to say: close */
};

struct smtp_engine;

/* `id` begins the debug lines.  All arguments outlive the engine. */
struct smtp_engine *smtp_engine_new(const struct egress_path *path,
    const char *ehlo_name, const char *id, struct buf *out) MUST_USE;
void smtp_engine_free(struct smtp_engine *e);

/* What holds for one connection, on top of the path. */
struct smtp_terms {
	enum tls_mode tls; /* what DANE, MTA-STS and experience made of it */
	bool tls_up;       /* hands were shaken before the banner */
	/* AUTH before the first message (RFC 4954); NULL: none. */
	const char *username, *password;
};

/* A new connection: everything from the one before is forgotten.  The strings
 * of the terms outlive the connection. */
void smtp_engine_start(struct smtp_engine *e, const struct smtp_terms *terms);

/* *used < len only together with another step than STEP_WAIT; after STEP_TLS
 * that is an attack (engine facts, 4) and after STEP_DONE the rest belongs into
 * the next call, before begin(). */
enum smtp_step smtp_engine_hear(
    struct smtp_engine *e, const char *data, size_t len, size_t *used);
/* The handshake is over; `why` NULL: well. */
enum smtp_step smtp_engine_tls(struct smtp_engine *e, const char *why);
/* STEP_DONE at once when nothing of it can be sent.  Texts of replies are in
 * `arena`. */
enum smtp_step smtp_engine_begin(
    struct smtp_engine *e, struct delivery_job *job, struct arena *arena);
/* The final dot is in out, too. */
enum smtp_step smtp_engine_content_sent(struct smtp_engine *e);
/* The content cannot be had.  The connection is of no more use. */
enum smtp_step smtp_engine_content_failed(
    struct smtp_engine *e, const char *why);
/* Some of the content has gone to the peer: the time for it begins anew. */
void smtp_engine_content_moves(struct smtp_engine *e);
void smtp_engine_quit(struct smtp_engine *e);
/* The connection is gone (TransientFailure 400) or was silent for too long
 * (421 4.4.2; 451 4.4.1 when the watchdog of the path was quicker). */
enum smtp_step smtp_engine_lost(struct smtp_engine *e, const char *why);
enum smtp_step smtp_engine_timeout(struct smtp_engine *e);

int64_t smtp_engine_deadline(const struct smtp_engine *e);
/* May begin() be called? Also after STEP_DONE. */
bool smtp_engine_usable(const struct smtp_engine *e);
/* STARTTLS or the handshake failed: why there is STEP_FAILED, or why what is
 * ready has no TLS. */
bool smtp_engine_tls_failed(const struct smtp_engine *e);
/* Then: no hands were shaken, because the host would not. */
bool smtp_engine_tls_refused(const struct smtp_engine *e);
/* The connection was lost or timed out within a job, and the peer cannot have
 * taken the message. */
bool smtp_engine_cut_short(const struct smtp_engine *e);
/* After STEP_FAILED, and why a connection became unusable; code 0: no reason.
 */
const struct smtp_reply *smtp_engine_failure(const struct smtp_engine *e);
/* "MAIL", "end of data", ... for messages. */
const char *smtp_engine_stage_name(const struct smtp_engine *e);

#endif
