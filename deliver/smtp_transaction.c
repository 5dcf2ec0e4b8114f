/*
 * smtp_transaction.c - one message in SMTP or LMTP, without any I/O
 *
 * A transaction is a script of commands with two positions, `sent` and
 * `answered`.  Without PIPELINING sent is at most one ahead; with it the script
 * goes out in one flight, and only the replies are taken one by one.  DATA ends
 * a flight (RFC 2920, 3.1).
 *
 *	position 0   RSET, when the connection was used before
 *	         1   MAIL
 *	         2.. RCPT, one for each of todo[]
 *	         n   DATA
 *
 * See: smtp_engine.c for the stages; RFC 5321, RFC 2920 (pipelining), RFC 2033
 *      (LMTP).
 */
#include "base/arena.h"
#include "base/array.h"
#include "base/diag.h"
#include "deliver/smtp_engine_private.h"

enum { POSITION_RSET, POSITION_MAIL, POSITION_RCPT };

/* ---- a transaction: speaking ---- */

static size_t data_position(const struct smtp_engine *e)
{
	return POSITION_RCPT + e->todo.count;
}

static void say_position(struct smtp_engine *e, size_t position)
{
	if (position == POSITION_RSET)
		buf_addstr(e->out, "RSET\r\n");
	else if (position == POSITION_MAIL)
		smtp_command_mail(e->out, &e->how, &e->job->sender);
	else if (position == data_position(e))
		buf_addstr(e->out, "DATA\r\n");
	else
		smtp_command_rcpt(e->out, &e->how,
		    &e->todo.items[position - POSITION_RCPT]->who);
	e->due++;
}

static enum smtp_stage stage_of(const struct smtp_engine *e, size_t position)
{
	return position == POSITION_RSET      ? STAGE_RSET
	       : position == POSITION_MAIL    ? STAGE_MAIL
	       : position == data_position(e) ? STAGE_DATA
					      : STAGE_RCPT;
}

static void speak(struct smtp_engine *e)
{
	size_t most = e->pipelined ? data_position(e) : e->answered;

	/* A peer that does not read what it is sent must not make us hold all
	 * of it: the rest of a long flight leaves when this part is answered.
	 */
	if (e->sent == e->answered)
		e->flight = 0;
	while (e->sent <= most && e->flight < SMTP_FLIGHT_MOST) {
		size_t before = e->out->len;

		say_position(e, e->sent++);
		e->flight += e->out->len - before;
	}
	smtp_engine_enter(e, stage_of(e, e->answered));
}

/* Back to READY: the job has its replies. */
static enum smtp_step done(struct smtp_engine *e, bool delivered)
{
	e->job = NULL;
	e->rset_due = !delivered || e->path->enable_rset;
	smtp_engine_enter(e, STAGE_READY);
	return STEP_DONE;
}

enum smtp_step smtp_engine_begin(
    struct smtp_engine *e, struct delivery_job *job, struct arena *arena)
{
	invariant(e->stage == STAGE_READY && !e->job);
	e->job = job;
	e->arena = arena;
	e->todo.count = 0;
	e->accepted = 0;
	e->lmtp_at = 0;
	e->mail_refused = false;
	e->said_here = 0;
	e->said = job->said ? job->said : &e->said_here;
	e->kept = (struct smtp_reply){0};
	for (size_t i = 0; i < job->count; i++)
		job->recipients[i].retry_at_once = false;
	smtp_command_plan(
	    &e->how, e->can, e->path->ignore_8bit_checks, job, arena);
	for (size_t i = 0; i < job->count; i++)
		if (!job->recipients[i].reply.code)
			*ARRAY_ADD(&e->todo) = &job->recipients[i];
	if (!e->todo.count) {
		/* Nothing was said, so nothing has to be undone. */
		e->job = NULL;
		return STEP_DONE;
	}
	e->pipelined =
	    e->path->enable_pipelining && (e->can.has & SMTP_PIPELINING);
	e->sent = e->answered = e->rset_due ? POSITION_RSET : POSITION_MAIL;
	speak(e);
	return STEP_WAIT;
}

/* ---- a transaction: listening ---- */

/* The next position, or the end when there is nothing left to hope for. */
static enum smtp_step next_position(struct smtp_engine *e)
{
	bool hopeless = e->mail_refused ||
			(!e->accepted && e->answered + 1 == data_position(e));

	e->answered++;
	/* In a flight DATA was sent already and its answer comes. */
	if (hopeless && e->sent <= e->answered)
		return done(e, false);
	speak(e);
	return STEP_WAIT;
}

enum smtp_step smtp_hear_rset(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply why;

	if (smtp_reply_ok(reply))
		return next_position(e);
	/* Of no meaning for the message: never a 5yz. */
	why = smtp_reply_make(e->arena, reply->code == 421 ? 421 : 400, NULL,
	    "RSET was refused: %s", reply->text);
	why.command = "RSET";
	return smtp_engine_end(e, &why);
}

static const char *command_text(
    struct smtp_engine *e, const char *verb, const struct address *address)
{
	return arena_printf(e->arena, "%s:<%s>", verb, address->email);
}

enum smtp_step smtp_hear_mail(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply named;

	if (!smtp_reply_ok(reply)) {
		named = smtp_engine_keep(e, reply);
		named.command =
		    command_text(e, "MAIL FROM", &e->job->sender.address);
		if (reply->code == 421)
			return smtp_engine_end(e, &named);
		smtp_engine_answer_all(e, &named);
		e->mail_refused = true;
	}
	return next_position(e);
}

/* RFC 5321, 4.5.3.1.10: the peer has enough for one transaction.  Not so for
 * the first, or we would ask the same for ever. */
static bool too_many(
    const struct smtp_engine *e, const struct smtp_reply *reply)
{
	if (e->answered == POSITION_RCPT ||
	    (reply->code != 452 && reply->code != 552))
		return false;
	return !smtp_reply_has_enhanced(reply) ||
	       (reply->enhanced[1] == 5 && reply->enhanced[2] == 3);
}

enum smtp_step smtp_hear_rcpt(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct delivery_recipient *r =
	    e->todo.items[e->answered - POSITION_RCPT];
	struct smtp_reply named;

	/* MAIL's reply has decided; what follows is an echo of it. */
	if (e->mail_refused)
		return next_position(e);
	if (smtp_reply_ok(reply)) {
		e->accepted++;
	} else if (too_many(e, reply)) {
		r->retry_at_once = true;
	} else {
		named = smtp_engine_keep(e, reply);
		named.command = command_text(e, "RCPT TO", &r->who.address);
		if (reply->code == 421)
			return smtp_engine_end(e, &named);
		r->reply = named;
	}
	return next_position(e);
}

enum smtp_step smtp_hear_data(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply named;

	if (reply->code / 100 == 3) {
		if (e->accepted && !e->mail_refused) {
			smtp_engine_enter(e, STAGE_CONTENT);
			return STEP_CONTENT;
		}
		/* RFC 2920, 3.1: nobody is to get it, but it wants a message.
		 * Whatever becomes of an empty one is of no interest. */
		smtp_engine_enter(e, STAGE_LONE_DOT);
		smtp_engine_say(e, ".\r\n");
		return STEP_WAIT;
	}
	if (smtp_reply_ok(reply))
		return smtp_engine_broken(
		    e, "DATA was answered as if it were the end");
	named = smtp_engine_keep(e, reply);
	named.command = "DATA";
	if (reply->code == 421)
		return smtp_engine_end(e, &named);
	smtp_engine_answer_all(e, &named);
	return done(e, false);
}

enum smtp_step smtp_engine_content_sent(struct smtp_engine *e)
{
	if (e->stage != STAGE_CONTENT)
		return STEP_CLOSED;
	smtp_engine_enter(e, STAGE_DOT);
	e->due += e->path->use_lmtp ? e->accepted : 1;
	return STEP_WAIT;
}

/* A reply before the final dot: a refusal ends the conversation, because the
 * peer would take the rest of the content for commands. */
enum smtp_step smtp_hear_content(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply named;

	if (reply->code < 400)
		return smtp_engine_broken(
		    e, "a reply to content that was not complete");
	named = smtp_engine_keep(e, reply);
	named.command = ".";
	return smtp_engine_end(e, &named);
}

/* LMTP: one reply for each recipient that was accepted, in their order. */
static enum smtp_step hear_dot_lmtp(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	for (; e->lmtp_at < e->todo.count; e->lmtp_at++) {
		struct delivery_recipient *r = e->todo.items[e->lmtp_at];

		if (!r->reply.code && !r->retry_at_once) {
			r->reply = *reply;
			break;
		}
	}
	if (--e->accepted) {
		smtp_engine_enter(e, STAGE_DOT);
		return STEP_WAIT;
	}
	return done(e, true);
}

enum smtp_step smtp_hear_dot(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply named = smtp_engine_keep(e, reply);

	named.command = ".";
	if (reply->code == 421)
		return smtp_engine_end(e, &named);
	if (e->path->use_lmtp)
		return hear_dot_lmtp(e, &named);
	smtp_engine_answer_all(e, &named);
	return done(e, smtp_reply_ok(reply));
}

enum smtp_step smtp_hear_lone_dot(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply kept;

	if (reply->code != 421)
		return done(e, false);
	kept = smtp_engine_keep(e, reply);
	return smtp_engine_end(e, &kept);
}
