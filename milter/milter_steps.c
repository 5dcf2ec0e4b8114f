/*
 * milter_steps.c - the steps of a session, as the MTA is to answer them
 */
#include "milter/milter_steps.h"

#include "base/diag.h"
#include "milter/milter_event.h"
#include "milter/milter_record.h"

/* ---- refusals ---- */

/* smtp_server_rewrite_response may change code and text of a refusal. */
static void rewrite(struct session *s, struct answer *a, const char *command)
{
	static const char name[] = "smtp_server_rewrite_response";
	struct script_call *call = event_begin(s, name);
	struct answer ignored;
	struct buf text = BUF_INIT;
	char dsn[16];

	if (!call)
		return;
	smtp_reply_dsn(dsn, &a->reply);
	buf_addf(&text, "%s %s", dsn, a->reply.text);
	script_arg_value(
	    call, &(struct value){.type = VALUE_INT, .i = a->reply.code});
	script_arg_string(call, buf_str(&text));
	script_arg_string(call, command);
	script_arg_conn_meta(call, s->meta);
	/* An error keeps the original reply; it has been logged. */
	if (event_run(s, call, name, event_deadline(), &ignored))
		answer_apply_rewrite(
		    a, session_scratch(s), script_call_result(call));
	script_call_free(call);
	buf_release(&text);
}

/* Local submission is never refused before its end: the MTA would take it for
 * its own mistake and retry for ever. */
static struct answer refuse(
    struct session *s, struct answer a, const char *command, bool at_end)
{
	if (s->is_local_submission && !at_end) {
		if (s->held.kind != ANSWER_REFUSE) {
			s->held = a;
			s->held.reply = smtp_reply_copy(s->arena, &a.reply);
		}
		return answer_continue();
	}
	rewrite(s, &a, command);
	record_refusal(s, &a, command);
	if (a.poison)
		s->is_poisoned = true;
	return a;
}

/* Before the end of the message. */
static struct answer conclude(
    struct session *s, struct answer a, const char *command)
{
	invariant(a.kind == ANSWER_CONTINUE || a.kind == ANSWER_REFUSE);
	if (a.kind == ANSWER_CONTINUE)
		return a;
	return refuse(s, a, command, false);
}

/* D20: the policy wanted this connection closed. */
static struct answer turn_away(struct session *s, const char *command)
{
	return refuse(s,
	    answer_refuse(
		session_scratch(s), 421, "4.7.0", "closing the connection"),
	    command, true);
}

static const char *command_line(
    struct session *s, const char *verb, char **argv)
{
	struct buf line = BUF_INIT;
	const char *text;

	buf_addstr(&line, verb);
	for (size_t i = 0; argv[i]; i++)
		buf_addf(&line, "%s%s", i ? " " : "", argv[i]);
	text = arena_strdup(session_scratch(s), buf_str(&line));
	buf_release(&line);
	return text;
}

/* ---- the steps ---- */

struct answer step_connect(struct session *s, const char *hostname,
    const struct sockaddr *addr, const struct macros *macros)
{
	return conclude(s, session_connect(s, hostname, addr, macros), NULL);
}

struct answer step_helo(
    struct session *s, const char *domain, const struct macros *macros)
{
	const char *command;

	command = arena_printf(session_scratch(s), "EHLO %s", domain);
	if (s->is_poisoned)
		return turn_away(s, command);
	return conclude(s, session_helo(s, domain, macros), command);
}

struct answer step_mail(
    struct session *s, char **argv, const struct macros *macros)
{
	struct answer a;

	if (s->is_poisoned)
		return turn_away(s, command_line(s, "MAIL FROM:", argv));
	a = session_mail(s, argv, macros);
	if (a.kind == ANSWER_CONTINUE)
		return a;
	a = conclude(s, a, command_line(s, "MAIL FROM:", argv));
	/* The MTA sends no abort after it. */
	if (a.kind != ANSWER_CONTINUE)
		session_reset(s);
	return a;
}

struct answer step_rcpt(
    struct session *s, char **argv, const struct macros *macros)
{
	struct answer a;

	if (s->is_poisoned)
		return turn_away(s, command_line(s, "RCPT TO:", argv));
	a = session_rcpt(s, argv, macros);
	if (a.kind == ANSWER_CONTINUE)
		return a;
	return conclude(s, a, command_line(s, "RCPT TO:", argv));
}

struct answer step_data(struct session *s)
{
	if (s->is_poisoned)
		return turn_away(s, "DATA");
	return answer_continue();
}

struct answer step_end(struct session *s, const struct macros *macros,
    custody_progress_fn *progress, void *progress_ctx)
{
	struct answer a;

	if (s->is_poisoned)
		return turn_away(s, "DATA");
	a = session_end(s, macros, progress, progress_ctx);
	if (a.kind == ANSWER_CONTINUE)
		diag_panic("%s: no verdict at end of message", s->id);
	return a.kind == ANSWER_REFUSE ? refuse(s, a, "DATA", true) : a;
}

void step_done(struct session *s)
{
	s->held = answer_continue();
	session_reset(s);
}
