/*
 * smtp_auth.c - AUTH before the first message, without any I/O
 *
 *	-> AUTH_PLAIN -------------------------------> READY
 *	-> AUTH_LOGIN -> AUTH_USER -> AUTH_PASSWORD -> READY
 *
 * A peer that does not take the password ends the conversation: the candidate
 * is no use.  The password must not come back in a text that is logged.
 *
 * See: smtp_engine.c for the stages; RFC 4954 (AUTH), RFC 4616 (PLAIN); policy
 *      language, 12.5.
 */
#include "base/base64.h"
#include "deliver/smtp_engine_private.h"

/* The certificate was held against the peer's name, or its TLSA records. */
static bool is_verified(const struct smtp_engine *e)
{
	return e->terms.tls == TLS_OPPORTUNISTIC ||
	       e->terms.tls == TLS_REQUIRED;
}

static void say_base64(
    struct smtp_engine *e, const char *before, const void *data, size_t len)
{
	buf_addstr(e->out, before);
	base64_encode(e->out, data, len);
	smtp_engine_say(e, "\r\n");
}

static void say_plain(struct smtp_engine *e)
{
	const char *password = e->terms.password ? e->terms.password : "";
	struct buf token = BUF_INIT;

	buf_addch(&token, '\0');
	buf_addstr(&token, e->terms.username);
	buf_addch(&token, '\0');
	buf_addstr(&token, password);
	say_base64(e, "AUTH PLAIN ", token.data, token.len);
	buf_release(&token);
}

static enum smtp_step authenticated(struct smtp_engine *e)
{
	smtp_engine_enter(e, STAGE_READY);
	return STEP_READY;
}

/* Before the first message, when the path has a user (policy language, 12.5).
 * A peer that names no mechanism at all is offered PLAIN: the operator knows
 * that it has one. */
enum smtp_step smtp_authenticate(struct smtp_engine *e)
{
	unsigned has = e->can.has;

	if (!e->terms.username)
		return authenticated(e);
	if (!e->tls_up && !e->path->allow_smtp_auth_plain_without_tls)
		return smtp_engine_unfit(e,
		    "AUTH is configured, but the connection has no TLS "
		    "(allow_smtp_auth_plain_without_tls)");
	if (e->tls_up && !is_verified(e) &&
	    !e->path->allow_smtp_auth_plain_without_valid_certificate)
		return smtp_engine_unfit(e,
		    "AUTH is configured, but the certificate is not verified "
		    "(allow_smtp_auth_plain_without_valid_certificate)");
	if ((has & SMTP_AUTH_PLAIN) || !(has & SMTP_AUTH)) {
		smtp_engine_enter(e, STAGE_AUTH_PLAIN);
		say_plain(e);
		return STEP_WAIT;
	}
	if (!(has & SMTP_AUTH_LOGIN))
		return smtp_engine_unfit(e,
		    "AUTH is configured, but the host offers neither PLAIN nor "
		    "LOGIN");
	smtp_engine_enter(e, STAGE_AUTH_LOGIN);
	smtp_engine_say(e, "AUTH LOGIN\r\n");
	return STEP_WAIT;
}

/* What it said goes to logs, so a peer must not put our password there. */
static enum smtp_step auth_refused(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	struct smtp_reply masked = *reply;
	const char *password = e->terms.password ? e->terms.password : "";
	struct buf encoded = BUF_INIT;

	base64_encode(&encoded, password, strlen(password));
	if (*password && (strstr(reply->text, password) ||
			     strstr(reply->text, buf_str(&encoded))))
		masked.text = "(the answer repeats the password)";
	/* The end of PLAIN's token depends on what stands before it. */
	if (*password && reply->code / 100 == 3)
		masked.text = "(a challenge that we have no answer to)";
	buf_release(&encoded);
	return smtp_engine_refused(e, &masked);
}

enum smtp_step smtp_hear_auth_plain(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	return reply->code == 235 ? authenticated(e) : auth_refused(e, reply);
}

enum smtp_step smtp_hear_auth_login(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	if (reply->code != 334)
		return auth_refused(e, reply);
	smtp_engine_enter(e, STAGE_AUTH_USER);
	say_base64(e, "", e->terms.username, strlen(e->terms.username));
	return STEP_WAIT;
}

enum smtp_step smtp_hear_auth_user(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	const char *password = e->terms.password ? e->terms.password : "";

	if (reply->code != 334)
		return auth_refused(e, reply);
	smtp_engine_enter(e, STAGE_AUTH_PASSWORD);
	say_base64(e, "", password, strlen(password));
	return STEP_WAIT;
}

enum smtp_step smtp_hear_auth_password(
    struct smtp_engine *e, const struct smtp_reply *reply)
{
	return reply->code == 235 ? authenticated(e) : auth_refused(e, reply);
}
