/*
 * smtp_engine.c - the client's side of SMTP and LMTP, without any I/O
 *
 *	BANNER -> EHLO [-> HELO] [-> STARTTLS -> HANDSHAKE -> EHLO] -> AUTH
 *	AUTH   -> [AUTH_PLAIN | AUTH_LOGIN -> AUTH_USER -> AUTH_PASSWORD] ->
 *READY READY  -> [RSET] -> MAIL -> RCPT ... -> DATA -> CONTENT -> DOT -> READY
 *	                                        DATA -> LONE_DOT -------> READY
 *	READY  -> QUIT -> CLOSED, and everything -> CLOSED when the peer goes
 *
 * A hear_*() function gets one reply and returns what the owner must do;
 * smtp_engine_enter() alone changes the stage, so one debug line per stage
 * retells any conversation.  Adding a stage means adding a row.
 *
 * Replies are counted: a reply that answers nothing, other than 421, means that
 * we no longer know which reply belongs to which command, and the connection is
 * dropped rather than a verdict given to the wrong recipient.
 *
 * `lost` ends up in the log record when the peer goes away.  Mind DOT: after
 * the final dot the peer may have taken the message, so the retry that we owe
 * the sender can make a duplicate (RFC 1047).
 *
 * See: smtp_transaction.c for the script of a message, smtp_auth.c for AUTH;
 *      RFC 5321, RFC 3207 (STARTTLS).
 */
#include "deliver/smtp_engine.h"

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "deliver/smtp_engine_private.h"

static smtp_hear_fn hear_banner, hear_ehlo, hear_helo, hear_starttls,
    hear_unasked, hear_quit;

#define LIMIT(name) offsetof(struct egress_path, name)
static const struct stage {
	const char *name, *lost;
	size_t limit; /* which struct duration of egress_path applies */
	smtp_hear_fn *hear;
} stages[STAGE_COUNT] = {
    [STAGE_BANNER] = {"banner", "before the greeting", LIMIT(banner_timeout),
	hear_banner},
    [STAGE_EHLO] = {"EHLO", "while greeting", LIMIT(ehlo_timeout), hear_ehlo},
    [STAGE_HELO] = {"HELO", "while greeting", LIMIT(ehlo_timeout), hear_helo},
    [STAGE_STARTTLS] = {"STARTTLS", "while asking for TLS",
	LIMIT(starttls_timeout), hear_starttls},
    [STAGE_HANDSHAKE] = {"TLS handshake", "during the TLS handshake",
	LIMIT(starttls_timeout), hear_unasked},
    [STAGE_AUTH_PLAIN] = {"AUTH", "while authenticating", LIMIT(auth_timeout),
	smtp_hear_auth_plain},
    [STAGE_AUTH_LOGIN] = {"AUTH", "while authenticating", LIMIT(auth_timeout),
	smtp_hear_auth_login},
    [STAGE_AUTH_USER] = {"AUTH", "while authenticating", LIMIT(auth_timeout),
	smtp_hear_auth_user},
    [STAGE_AUTH_PASSWORD] = {"AUTH", "while authenticating",
	LIMIT(auth_timeout), smtp_hear_auth_password},
    [STAGE_READY] = {"ready", "while idle", LIMIT(idle_timeout), hear_unasked},
    [STAGE_RSET] = {"RSET", "while sending RSET", LIMIT(rset_timeout),
	smtp_hear_rset},
    [STAGE_MAIL] = {"MAIL", "while sending MAIL FROM", LIMIT(mail_from_timeout),
	smtp_hear_mail},
    [STAGE_RCPT] = {"RCPT", "while sending RCPT TO", LIMIT(rcpt_to_timeout),
	smtp_hear_rcpt},
    [STAGE_DATA] = {"DATA", "while sending DATA", LIMIT(data_timeout),
	smtp_hear_data},
    [STAGE_CONTENT] = {"content", "while sending the message",
	LIMIT(data_timeout), smtp_hear_content},
    [STAGE_DOT] = {"end of data",
	"after the message was sent; it may arrive twice",
	LIMIT(data_dot_timeout), smtp_hear_dot},
    [STAGE_LONE_DOT] = {"empty data", "after all recipients were refused",
	LIMIT(data_dot_timeout), smtp_hear_lone_dot},
    /* A courtesy that is not worth waiting for. */
    [STAGE_QUIT] = {"QUIT", "while sending QUIT", LIMIT(rset_timeout),
	hear_quit},
    [STAGE_CLOSED] = {"closed", "after the end", LIMIT(rset_timeout),
	hear_quit},
};
#undef LIMIT

static int64_t stage_limit(const struct smtp_engine *e, enum smtp_stage stage)
{
	const struct duration *limit =
	    (const void *)((const char *)e->path + stages[stage].limit);

	return limit->ms;
}

/* A peer may keep back its replies until it has read a whole flight. */
static int64_t flight_limit(const struct smtp_engine *e)
{
	int64_t most = 0, limit;

	for (int stage = STAGE_RSET; stage <= STAGE_DATA; stage++) {
		limit = stage_limit(e, (enum smtp_stage)stage);
		if (limit > most)
			most = limit;
	}
	return most;
}

/* The watchdog bites only where something is waited for that matters. */
static void set_deadline(struct smtp_engine *e, int64_t limit)
{
	int64_t most = e->path->dispatcher_progress_watchdog_timeout.ms;

	e->watched = most > 0 && most < limit && e->stage != STAGE_READY &&
		     e->stage < STAGE_QUIT;
	e->deadline = clock_now_ms() + (e->watched ? most : limit);
}

void smtp_engine_enter(struct smtp_engine *e, enum smtp_stage next)
{
	bool in_flight =
	    e->pipelined && next >= STAGE_RSET && next <= STAGE_DATA;

	diag_debug(
	    "%s: %s -> %s", e->id, stages[e->stage].name, stages[next].name);
	e->stage = next;
	set_deadline(e, in_flight ? flight_limit(e) : stage_limit(e, next));
}

void smtp_engine_say(struct smtp_engine *e, const char *line)
{
	buf_addstr(e->out, line);
	e->due++;
}

/* ---- what is kept ---- */

/* No text takes more than this part of the room that is left: the first are
 * kept whole, and an endless number of them finds some. */
#define PART_OF_ROOM 16

static const char *keep_text(struct smtp_engine *e, const char *text)
{
	size_t len = strlen(text), room = SMTP_SAID_MOST - *e->said, most, step;
	size_t kept = 0;

	most = room / PART_OF_ROOM;
	if (len <= most) {
		*e->said += len;
		return arena_strndup(e->arena, text, len);
	}
	while (kept < len && (step = str_utf8_step(text + kept, len - kept)) &&
	       kept + step <= most)
		kept += step;
	*e->said += kept;
	return kept ? arena_printf(e->arena, "%.*s...", (int)kept, text)
		    : "...";
}

struct smtp_reply smtp_engine_keep(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	const char *text = e->kept.text;

	/* Servers say the same to many. */
	if (!text || !str_eq(text, reply->text))
		text = keep_text(e, reply->text);
	e->kept = *reply;
	e->kept.text = text;
	return e->kept;
}

/* ---- ends ---- */

void smtp_engine_answer_all(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	for (size_t i = 0; i < e->job->count; i++) {
		struct delivery_recipient *r = &e->job->recipients[i];

		if (!r->reply.code && !r->retry_at_once)
			r->reply = *reply;
	}
}

enum smtp_step smtp_engine_end(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	bool greeting = e->stage < STAGE_READY;

	if (e->stage == STAGE_CLOSED)
		return STEP_CLOSED;
	e->failure = smtp_reply_copy(e->greeting, reply);
	smtp_engine_enter(e, STAGE_CLOSED);
	if (greeting)
		return STEP_FAILED;
	if (!e->job)
		return STEP_CLOSED;
	smtp_engine_answer_all(e, reply);
	e->job = NULL;
	return STEP_DONE;
}

static struct arena *texts(struct smtp_engine *e)
{
	return e->job ? e->arena : e->greeting;
}

enum smtp_step smtp_engine_broken(struct smtp_engine *e, const char *why)
{
	struct smtp_reply reply = smtp_reply_make(texts(e), 400, NULL,
	    "connection dropped %s: %s", stages[e->stage].lost, why);

	return smtp_engine_end(e, &reply);
}

enum smtp_step smtp_engine_refused(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct buf line = BUF_INIT;
	struct smtp_reply why;

	smtp_reply_one_line(&line, reply);
	why = smtp_reply_make(e->greeting, 400, NULL, "%s: %s",
	    stages[e->stage].name, buf_str(&line));
	buf_release(&line);
	if (reply->code != 421)
		buf_addstr(e->out, "QUIT\r\n");
	return smtp_engine_end(e, &why);
}

enum smtp_step smtp_engine_unfit(struct smtp_engine *e, const char *why)
{
	struct smtp_reply reply =
	    smtp_reply_make(e->greeting, 400, NULL, "%s", why);

	buf_addstr(e->out, "QUIT\r\n");
	return smtp_engine_end(e, &reply);
}

/* ---- greeting ---- */

static void greet(struct smtp_engine *e, enum smtp_stage stage)
{
	e->can = (struct smtp_extensions){0};
	smtp_engine_enter(e, stage);
	buf_addstr(e->out, e->path->use_lmtp     ? "LHLO "
			   : stage == STAGE_HELO ? "HELO "
						 : "EHLO ");
	/* A policy wrote the name: nothing in it may end the line. */
	for (const char *p = e->ehlo_name; *p; p++)
		if ((unsigned char)*p > ' ' && *p != 0x7f)
			buf_addch(e->out, *p);
	smtp_engine_say(e, "\r\n");
}

/* ---- TLS ---- */

static bool tls_required(const struct smtp_engine *e)
{
	return e->terms.tls == TLS_REQUIRED ||
	       e->terms.tls == TLS_REQUIRED_INSECURE;
}

/* Policy language, 12.6, the rows of "STARTTLS offered: no / yes". */
static enum smtp_step greeted(struct smtp_engine *e)
{
	if (e->tls_up || e->tls_given_up || e->terms.tls == TLS_DISABLED)
		return smtp_authenticate(e);
	if (e->can.has & SMTP_STARTTLS) {
		smtp_engine_enter(e, STAGE_STARTTLS);
		smtp_engine_say(e, "STARTTLS\r\n");
		return STEP_WAIT;
	}
	e->tls_refused = true;
	if (tls_required(e)) {
		e->tls_failed = true;
		return smtp_engine_unfit(
		    e, "TLS is required, STARTTLS is not offered");
	}
	return smtp_authenticate(e);
}

/* The greeting may be 421: the host is full, others may not be.  RFC 5321, 3.8.
 */
static enum smtp_step hear_banner(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	if (reply->code != 220)
		return smtp_engine_refused(e, reply);
	greet(e, STAGE_EHLO);
	return STEP_WAIT;
}

static enum smtp_step hear_ehlo(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	if (smtp_reply_ok(reply)) {
		e->can = smtp_extensions_parse(reply);
		return greeted(e);
	}
	/* An old server (RFC 5321, 3.2); after STARTTLS it cannot be one. */
	if (reply->code / 100 == 5 && !e->path->use_lmtp && !e->tls_up) {
		greet(e, STAGE_HELO);
		return STEP_WAIT;
	}
	return smtp_engine_refused(e, reply);
}

static enum smtp_step hear_helo(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	return smtp_reply_ok(reply) ? greeted(e)
				    : smtp_engine_refused(e, reply);
}

static enum smtp_step hear_starttls(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	if (reply->code == 220) {
		smtp_engine_enter(e, STAGE_HANDSHAKE);
		return STEP_TLS;
	}
	e->tls_refused = reply->code != 421;
	if (reply->code != 421 && e->terms.tls == TLS_OPPORTUNISTIC_INSECURE &&
	    !e->path->opportunistic_tls_reconnect_on_failed_handshake) {
		e->tls_given_up = e->tls_failed = true;
		greet(e, STAGE_EHLO);
		return STEP_WAIT;
	}
	/* 421 is about the host, not about TLS. */
	e->tls_failed = reply->code != 421;
	return smtp_engine_refused(e, reply);
}

enum smtp_step smtp_engine_tls(struct smtp_engine *e, const char *why)
{
	if (e->stage != STAGE_HANDSHAKE)
		return STEP_CLOSED;
	if (!why) {
		/* What was said before the handshake is void: RFC 3207, 4.2. */
		e->tls_up = true;
		greet(e, STAGE_EHLO);
		return STEP_WAIT;
	}
	if (e->terms.tls == TLS_OPPORTUNISTIC_INSECURE &&
	    !e->path->opportunistic_tls_reconnect_on_failed_handshake) {
		e->tls_given_up = e->tls_failed = true;
		greet(e, STAGE_EHLO);
		return STEP_WAIT;
	}
	e->tls_failed = true;
	return smtp_engine_broken(e, why);
}

static enum smtp_step hear_quit(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	(void)reply;
	if (e->stage != STAGE_CLOSED)
		smtp_engine_enter(e, STAGE_CLOSED);
	return STEP_CLOSED;
}

/* 421 while idle: the peer closes (RFC 5321, 3.8). */
static enum smtp_step hear_unasked(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	return smtp_engine_end(e, reply);
}

/* ---- public ---- */

struct smtp_engine *smtp_engine_new(const struct egress_path *path,
    const char *ehlo_name, const char *id, struct buf *out)
{
	struct smtp_engine *e = xcalloc(1, sizeof *e);

	e->path = path;
	e->ehlo_name = ehlo_name;
	e->id = id;
	e->out = out;
	e->stage = STAGE_CLOSED;
	return e;
}

void smtp_engine_free(struct smtp_engine *e)
{
	if (!e)
		return;
	smtp_reply_parser_free(e->parser);
	arena_unref(e->greeting);
	arena_unref(e->heard);
	ARRAY_FREE(&e->todo);
	free(e);
}

static void renew_heard(struct smtp_engine *e)
{
	arena_unref(e->heard);
	e->heard = arena_new(0);
}

void smtp_engine_start(struct smtp_engine *e, const struct smtp_terms *terms)
{
	invariant(!e->job);
	smtp_reply_parser_free(e->parser);
	e->parser = smtp_reply_parser_new();
	arena_unref(e->greeting);
	e->greeting = arena_new(0);
	renew_heard(e);
	e->can = (struct smtp_extensions){0};
	e->terms = *terms;
	e->tls_up = terms->tls_up;
	e->tls_given_up = e->tls_failed = e->cut_short = false;
	e->tls_refused = false;
	e->out_of_turn = e->rset_due = e->pipelined = false;
	e->failure = (struct smtp_reply){0};
	e->due = 1; /* the banner */
	smtp_engine_enter(e, STAGE_BANNER);
}

/* One reply. */
static enum smtp_step hear(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	if (e->out_of_turn && reply->code != 421 && e->stage != STAGE_CONTENT &&
	    e->stage != STAGE_CLOSED)
		return smtp_engine_broken(e, "the peer spoke out of turn");
	e->out_of_turn = false;
	if (e->due)
		e->due--;
	return stages[e->stage].hear(e, reply);
}

enum smtp_step smtp_engine_hear(
    struct smtp_engine *e, const char *data, size_t len, size_t *used)
{
	/* What we say in here the peer cannot have answered yet. */
	size_t expected = e->due;
	enum smtp_step step = STEP_WAIT;
	struct smtp_reply reply;
	struct err err = {0};
	size_t n;

	*used = 0;
	while (*used < len && step == STEP_WAIT) {
		if (!expected)
			e->out_of_turn = true;
		if (arena_used(e->heard) > SMTP_HEARD_MOST)
			renew_heard(e);
		switch (smtp_reply_parse(e->parser, data + *used, len - *used,
		    &n, e->heard, &reply, &err)) {
		case SMTP_PARSE_MORE:
			*used = len;
			return STEP_WAIT;
		case SMTP_PARSE_BAD:
			*used = len;
			return smtp_engine_broken(e, err.text);
		case SMTP_PARSE_REPLY:
			break;
		}
		*used += n;
		if (expected)
			expected--;
		step = hear(e, &reply);
	}
	return step;
}

void smtp_engine_content_moves(struct smtp_engine *e)
{
	if (e->stage == STAGE_CONTENT || e->stage == STAGE_DOT)
		set_deadline(e, stage_limit(e, e->stage));
}

enum smtp_step smtp_engine_content_failed(
    struct smtp_engine *e, const char *why)
{
	struct smtp_reply reply = smtp_reply_make(
	    texts(e), 451, "4.3.0", "the message cannot be read: %s", why);

	return smtp_engine_end(e, &reply);
}

void smtp_engine_quit(struct smtp_engine *e)
{
	if (e->stage != STAGE_READY)
		return;
	smtp_engine_enter(e, STAGE_QUIT);
	smtp_engine_say(e, "QUIT\r\n");
}

/* A connection that ends in STARTTLS is a handshake that failed, too (12.6). */
static void note_end(struct smtp_engine *e)
{
	e->cut_short = e->job && e->stage < STAGE_DOT;
	if (e->stage == STAGE_STARTTLS || e->stage == STAGE_HANDSHAKE)
		e->tls_failed = true;
}

enum smtp_step smtp_engine_lost(struct smtp_engine *e, const char *why)
{
	note_end(e);
	return smtp_engine_broken(e, why);
}

enum smtp_step smtp_engine_timeout(struct smtp_engine *e)
{
	struct smtp_reply reply;

	if (e->watched)
		reply = smtp_reply_make(texts(e), 451, "4.4.1",
		    "no progress for %lld s %s: dropped by "
		    "dispatcher_progress_watchdog_timeout",
		    (long long)(e->path->dispatcher_progress_watchdog_timeout
				    .ms /
				1000),
		    stages[e->stage].lost);
	else
		reply = smtp_reply_make(texts(e), 421, "4.4.2", "timed out %s",
		    stages[e->stage].lost);
	note_end(e);
	return smtp_engine_end(e, &reply);
}

int64_t smtp_engine_deadline(const struct smtp_engine *e)
{
	return e->deadline;
}

bool smtp_engine_usable(const struct smtp_engine *e)
{
	return e->stage == STAGE_READY;
}

bool smtp_engine_cut_short(const struct smtp_engine *e)
{
	return e->cut_short;
}

bool smtp_engine_tls_failed(const struct smtp_engine *e)
{
	return e->tls_failed;
}

bool smtp_engine_tls_refused(const struct smtp_engine *e)
{
	return e->tls_refused;
}

const struct smtp_reply *smtp_engine_failure(const struct smtp_engine *e)
{
	return &e->failure;
}

const char *smtp_engine_stage_name(const struct smtp_engine *e)
{
	return stages[e->stage].name;
}
