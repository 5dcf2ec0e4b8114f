/*
 * trace_header.h - Received and the supplemental header (policy language, 7.4)
 */
#ifndef MAIL_TRACE_HEADER_H
#define MAIL_TRACE_HEADER_H

#include "mail/message.h"
#include "mail/trace_key.h"

struct received_facts {
	const char *helo;      /* NULL: "unspecified" */
	const char *client_ip; /* NULL: "unknown" */
	const char *hostname, *local_ip;
	bool authenticated;
	const char *tls_version, *tls_cipher; /* NULL: no TLS */
	int64_t unix_seconds;
};

/* Prepends Received; `for` only when there is one recipient (D33). */
void trace_prepend_received(struct message *m, const struct received_facts *f);
/* Prepends `header_name`: base64 of JSON, folded at 75 with CRLF TAB; signed
 * when there are keys (trace_key.h). */
void trace_prepend_supplemental(struct message *m, const char *header_name,
    const char *const *include_meta_names, size_t count,
    bool include_recipients);
/* Looks through the X- headers of `headers` (a header block) for one that
 * decodes; NULL when there is none.  The marker and what we have signed are
 * left out. */
const struct value *trace_decode(
    const char *headers, size_t len, struct arena *arena);

/* What a trace header of ours says of its message. */
struct trace_claim {
	struct trace_signed says; /* id NULL: it does not say, or no such id */
	bool verified;            /* and nobody else can have written it */
};

/* The first one that verifies, else the first that decodes, of the first
 * TRACE_CLAIMS_MOST that do.  False: none does. */
#define TRACE_CLAIMS_MOST 16
bool trace_find_claim(const char *headers, size_t len, struct arena *arena,
    struct trace_claim *out) MUST_USE;

#endif
