/*
 * smtp_extensions.h - what the peer can, by its answer to EHLO (RFC
 * 5321, 4.1.1.1)
 */
#ifndef DELIVER_SMTP_EXTENSIONS_H
#define DELIVER_SMTP_EXTENSIONS_H

#include <stdint.h>

#include "mail/smtp_reply.h"

enum smtp_extension {
	SMTP_PIPELINING = 1,
	SMTP_8BITMIME = 2,
	SMTP_SMTPUTF8 = 4,
	SMTP_SIZE = 8,
	SMTP_DSN = 16,
	SMTP_STARTTLS = 32,
	SMTP_AUTH = 64,
	SMTP_AUTH_PLAIN = 128,
	SMTP_AUTH_LOGIN = 256,
};

struct smtp_extensions {
	unsigned has;      /* enum smtp_extension */
	int64_t size_most; /* SIZE's limit; 0: none is known */
};

/* The first line names the peer and is skipped; unknown keywords too. */
struct smtp_extensions smtp_extensions_parse(const struct smtp_reply *reply);

#endif
