/*
 * envelope.h - what the client said besides the content
 *
 * Kept from the first schema on, because it cannot be had later: BODY and
 * SMTPUTF8 (RFC 6152, 6531), RET and ENVID, NOTIFY and ORCPT (RFC 3461), AUTH
 * (RFC 4954).  Texts are as the client sent them (xtext not decoded); NULL when
 * it did not.
 */
#ifndef MAIL_ENVELOPE_H
#define MAIL_ENVELOPE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "mail/address.h"

struct envelope_sender {
	struct address address;
	const char *body; /* "7BIT", "8BITMIME" */
	bool smtputf8;
	const char *ret;   /* "FULL", "HDRS" */
	const char *envid; /* xtext */
	const char *auth;  /* xtext */
	int64_t size;      /* SIZE=; -1 when not given */
};

struct envelope_recipient {
	struct address address;
	const char *notify; /* "NEVER" or a list of SUCCESS,FAILURE,DELAY */
	const char *orcpt;  /* type;xtext */
};

/* args: ESMTP parameters as libmilter gives them ("BODY=8BITMIME"), NULL at the
 * end.  Unknown keywords are ignored (the MTA has accepted them); malformed
 * values of known ones are dropped. */
void envelope_sender_args(
    struct envelope_sender *s, char **args, struct arena *arena);
void envelope_recipient_args(
    struct envelope_recipient *r, char **args, struct arena *arena);

#endif
