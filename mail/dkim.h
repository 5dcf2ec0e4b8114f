/*
 * dkim.h - a DKIM-Signature for a message (RFC 6376, RFC 8463)
 *
 * The body is read once, in pieces.  Every instance of a named field is signed,
 * the last one first; with over_sign one more than there are, so that none can
 * be added; a name that stands in the list several times is signed at least as
 * often.
 */
#ifndef MAIL_DKIM_H
#define MAIL_DKIM_H

#include "base/sign.h"
#include "mail/message.h"

enum dkim_canon { DKIM_RELAXED, DKIM_SIMPLE };

struct dkim_signer {
	const char *domain, *selector;
	const char *const *headers; /* names; From is one of them */
	size_t header_count;
	enum dkim_canon header_canon, body_canon;
	bool over_sign;
	bool body_length;                  /* l= */
	bool reporting;                    /* r=y (RFC 6651) */
	int64_t expiration_seconds;        /* x=; 0: none */
	const char *atps, *atpsh;          /* RFC 6541; NULL: none */
	const char *agent_user_identifier; /* i=; NULL: none */
	const struct sign_key *key;
};

/* Can the texts stand in a signature?  ERR_CONFIG names the one that cannot. */
bool dkim_check(const struct dkim_signer *signer, struct err *err) MUST_USE;
/* Appends the value of the field, folded with CRLF and TAB.  ERR_PERM when the
 * message has no From field. */
bool dkim_sign(const struct dkim_signer *signer, const struct message *m,
    int64_t now, struct buf *out, struct err *err) MUST_USE;

/* For tests: the bytes that are hashed for this body. */
void dkim_canon_body(
    enum dkim_canon canon, const char *body, size_t len, struct buf *out);

#endif
