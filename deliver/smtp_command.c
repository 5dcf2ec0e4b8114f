/*
 * smtp_command.c - a message's envelope in the words that this peer understands
 *
 * What the client said at MAIL and RCPT was checked by the MTA and by us, but a
 * policy can change addresses, so nothing gets on the wire here that could end
 * a line or an argument early.
 */
#include "deliver/smtp_command.h"

#include "base/str.h"

/* ---- what can be said ---- */

/* No control characters: they would end the line. */
static bool is_sendable(const struct address *a)
{
	for (const char *p = a->email; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return false;
	return true;
}

static bool is_ascii(const char *s)
{
	return str_is_ascii(s, strlen(s));
}

/* An ESMTP value as the client gave it: no space, no control characters. */
static bool is_esmtp_value(const char *s)
{
	if (!s || !*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
			return false;
	return true;
}

static void refuse(struct delivery_recipient *r, struct smtp_reply reply)
{
	if (!r->reply.code && !r->retry_at_once)
		r->reply = reply;
}

static void refuse_all(struct delivery_job *job, struct smtp_reply reply)
{
	for (size_t i = 0; i < job->count; i++)
		refuse(&job->recipients[i], reply);
}

/* RFC 6531, 3.2 and 3.6.  Header bytes count only when the client declared an
 * internationalised message; otherwise they are 8-bit content, as ever. */
static void plan_utf8(struct smtp_phrasing *how, bool ignore,
    struct delivery_job *job, struct arena *arena)
{
	bool offered = how->can.has & SMTP_SMTPUTF8;
	bool in_header = job->sender.smtputf8 &&
			 (job->facts.header_has_8bit ||
			     !str_is_ascii(job->prefix, job->prefix_len));
	bool in_address = !is_ascii(job->sender.address.email);

	for (size_t i = 0; i < job->count; i++)
		if (!is_ascii(job->recipients[i].who.address.email))
			in_address = true;
	if (!in_address && !in_header)
		return;
	if (offered) {
		how->smtputf8 = true;
		return;
	}
	if (ignore)
		return;
	how->ascii_names = true;
	if (in_header || !is_ascii(job->sender.address.local)) {
		refuse_all(job,
		    smtp_reply_make(arena, 554, "5.6.7",
			"%s needs SMTPUTF8, which the peer does not offer",
			in_header ? "the header" : "the sender's address"));
		return;
	}
	for (size_t i = 0; i < job->count; i++)
		if (!is_ascii(job->recipients[i].who.address.local))
			refuse(&job->recipients[i],
			    smtp_reply_make(arena, 554, "5.6.7",
				"the recipient's address needs SMTPUTF8, which "
				"the peer does not offer"));
}

static void plan_addresses(struct delivery_job *job, struct arena *arena)
{
	if (!is_sendable(&job->sender.address))
		refuse_all(
		    job, smtp_reply_make(arena, 553, "5.1.7",
			     "the sender's address holds control characters"));
	for (size_t i = 0; i < job->count; i++)
		if (!is_sendable(&job->recipients[i].who.address))
			refuse(&job->recipients[i],
			    smtp_reply_make(arena, 553, "5.1.3",
				"the address holds control characters"));
}

void smtp_command_plan(struct smtp_phrasing *how, struct smtp_extensions can,
    bool ignore_8bit_checks, struct delivery_job *job, struct arena *arena)
{
	bool has_8bit =
	    job->facts.has_8bit || !str_is_ascii(job->prefix, job->prefix_len);

	*how = (struct smtp_phrasing){.can = can};
	how->size = job->facts.size + (int64_t)job->prefix_len;
	plan_addresses(job, arena);
	/* RFC 5321, 2.3.8.  To repair it here would break signatures. */
	if (job->facts.has_bare_cr_or_lf)
		refuse_all(
		    job, smtp_reply_make(arena, 554, "5.6.0",
			     "the message holds a CR or LF that stands alone"));
	if (can.size_most && how->size > can.size_most)
		refuse_all(job,
		    smtp_reply_make(arena, 552, "5.3.4",
			"the message of %lld bytes is larger than the %lld "
			"that the peer takes",
			(long long)how->size, (long long)can.size_most));
	how->eight_bit = has_8bit && (can.has & SMTP_8BITMIME);
	if (has_8bit && !how->eight_bit && !ignore_8bit_checks)
		refuse_all(job,
		    smtp_reply_make(arena, 554, "5.6.3",
			"the message has 8-bit content, and the peer does not "
			"offer 8BITMIME"));
	plan_utf8(how, ignore_8bit_checks, job, arena);
}

/* ---- saying it ---- */

static void add_address(
    struct buf *out, const struct smtp_phrasing *how, const struct address *a)
{
	buf_addch(out, '<');
	if (how->ascii_names && *a->domain) {
		buf_addstr(out, a->local);
		buf_addch(out, '@');
		buf_addstr(out, a->domain);
	} else {
		buf_addstr(out, a->email);
	}
	buf_addch(out, '>');
}

static void add_param(struct buf *out, const char *keyword, const char *value)
{
	if (!is_esmtp_value(value))
		return;
	buf_addch(out, ' ');
	buf_addstr(out, keyword);
	buf_addstr(out, value);
}

void smtp_command_mail(struct buf *out, const struct smtp_phrasing *how,
    const struct envelope_sender *sender)
{
	buf_addstr(out, "MAIL FROM:");
	add_address(out, how, &sender->address);
	if (how->can.has & SMTP_SIZE) {
		buf_addstr(out, " SIZE=");
		buf_addint(out, how->size);
	}
	if (how->eight_bit)
		buf_addstr(out, " BODY=8BITMIME");
	if (how->smtputf8)
		buf_addstr(out, " SMTPUTF8");
	if (how->can.has & SMTP_DSN) {
		add_param(out, "RET=", sender->ret);
		add_param(out, "ENVID=", sender->envid);
	}
	buf_add(out, "\r\n", 2);
}

void smtp_command_rcpt(struct buf *out, const struct smtp_phrasing *how,
    const struct envelope_recipient *rcpt)
{
	buf_addstr(out, "RCPT TO:");
	add_address(out, how, &rcpt->address);
	if (how->can.has & SMTP_DSN) {
		add_param(out, "NOTIFY=", rcpt->notify);
		add_param(out, "ORCPT=", rcpt->orcpt);
	}
	buf_add(out, "\r\n", 2);
}
