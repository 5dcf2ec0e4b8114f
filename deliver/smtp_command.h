/*
 * smtp_command.h - a message's envelope in the words that this peer understands
 *
 * Decides before anything is sent what cannot be said to this peer (8-bit
 * content without 8BITMIME, too large, ...) and writes the commands for the
 * rest.  Policy language, 12.7.
 */
#ifndef DELIVER_SMTP_COMMAND_H
#define DELIVER_SMTP_COMMAND_H

#include "deliver/deliver.h"
#include "deliver/smtp_extensions.h"

struct smtp_phrasing {
	struct smtp_extensions can;
	bool smtputf8;    /* say SMTPUTF8, addresses as written */
	bool ascii_names; /* domains as A-labels */
	bool eight_bit;   /* say BODY=8BITMIME */
	int64_t size;     /* prefix and content */
};

/* Looks at the whole message.  Recipients that cannot be told to this peer get
 * their reply here (554 5.6.3, 554 5.6.7, 552 5.3.4, ...); the others are left
 * alone.  Texts of replies are in `arena`. */
void smtp_command_plan(struct smtp_phrasing *how, struct smtp_extensions can,
    bool ignore_8bit_checks, struct delivery_job *job, struct arena *arena);

/* One line with its CRLF. */
void smtp_command_mail(struct buf *out, const struct smtp_phrasing *how,
    const struct envelope_sender *sender);
void smtp_command_rcpt(struct buf *out, const struct smtp_phrasing *how,
    const struct envelope_recipient *rcpt);

#endif
