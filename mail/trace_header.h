/*
 * trace_header.h - Received and the supplemental header (policy language, 7.4)
 */
#ifndef MAIL_TRACE_HEADER_H
#define MAIL_TRACE_HEADER_H

#include "mail/message.h"

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
/* Prepends `header_name`: base64 of JSON, folded at 75 with CRLF TAB. */
void trace_prepend_supplemental(struct message *m, const char *header_name,
    const char *const *include_meta_names, size_t count,
    bool include_recipients);
/* Looks through the X- headers of `headers` (a header block) for one that
 * decodes; NULL when there is none.  The marker is left out. */
const struct value *trace_decode(
    const char *headers, size_t len, struct arena *arena);

#endif
