/*
 * http.h - requests over HTTP and HTTPS, waiting for the answer
 *
 * libcurl does the work.  A client keeps its connections for the next request.
 * HTTP/1.1; certificates and names are verified with the authorities of the
 * system, or those of the file that SSL_CERT_FILE names.  GET and POST follow
 * up to ten redirections, never away from HTTP and never from HTTPS back to
 * HTTP; what was sent as Authorization goes to no other host.
 *
 * Nothing is unbounded: a request ends at its deadline, name resolution
 * included; the answer's header has at most HTTP_MOST_HEADER bytes, its body
 * `most_body`.
 *
 * Ownership: the response and its strings are in the arena given, but for the
 *            body, which is the caller's to release, also after a failure.
 * Threads:   a client serves one request at a time, on any thread.
 * Errors:    ERR_CONFIG when the request itself is wrong, ERR_TEMP when the
 *            other side is.  Texts name scheme and host only: the rest of a URL
 *            is often a secret.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define HTTP_MOST_HEADER (256 << 10)

struct http_client;

struct http_options {
	const char *user_agent;    /* NULL: penstock/VERSION */
	int64_t idle_ms;           /* unused connections are closed after it */
	bool accept_invalid_certs; /* verifies nothing */
	const char *ca_file;       /* NULL: as said above */
	bool verbose;              /* libcurl's remarks as debug lines */
};

struct http_client *http_client_new(
    const struct http_options *options, struct err *err) MUST_USE;
void http_client_free(struct http_client *client); /* NULL is fine */

struct http_header {
	const char *name, *value;
};

struct http_request {
	const char *method; /* "GET", "POST" or "PUT" */
	const char *url;
	const struct http_header *headers;
	size_t header_count;
	const void *body; /* NULL: none */
	size_t body_len;
	int64_t deadline; /* clock_now_ms */
	size_t most_body; /* of the answer */
	bool no_redirects;
	/* "host:port:address,address": where the URL's host is; NULL: found as
	 * the system does. */
	const char *resolve;
};

struct http_response {
	int status;
	bool untrusted;     /* no answer: its certificate was not good */
	const char *reason; /* as the server says it, may be "" */
	struct http_header *headers; /* in order; names in lower case */
	size_t header_count;
	struct buf body;
};

/* True: there was an answer, whatever its status. */
bool http_send(struct http_client *client, const struct http_request *request,
    struct arena *arena, struct http_response *response, struct err *err)
    MUST_USE;

/* `base` with the parameters, percent-encoded, appended to its query. */
bool http_build_url(const char *base, const struct http_header *params,
    size_t count, struct buf *out, struct err *err) MUST_USE;
/* name=value&..., as application/x-www-form-urlencoded. */
void http_form_encode(
    const struct http_header *fields, size_t count, struct buf *out);
/* May it be the name of a header field?  And its value? */
bool http_is_token(const char *s);
bool http_is_field_value(const char *s);

#endif
