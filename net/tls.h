/*
 * tls.h - OpenSSL for outbound connections; its types stay in net/
 *
 * Socket mode (engine facts, 4): the bufferevent reads and writes the socket
 * itself, so the caller must have no bufferevent on it and must have read
 * nothing beyond the answer to STARTTLS.
 *
 * Threads: a client may be shared; a bufferevent is its loop's.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"

struct bufferevent;
struct event_base;
struct tls_client;

/* One per process: a context with the system's certificate authorities (or
 * `ca_file`), TLS 1.2 and later for verified, what OpenSSL allows for others.
 */
struct tls_client *tls_client_new(const char *ca_file, struct err *err)
    MUST_USE;
void tls_client_free(struct tls_client *client);

struct tls_facts {
	char cipher[64], version[16], subject[256];
	bool verified; /* the chain, and the name when one was given */
	char why[128]; /* why not verified */
};

/* Takes over the connected socket and begins the handshake; BEV_EVENT_CONNECTED
 * or _ERROR or _EOF follows.  `verify_name`: the host name or address that the
 * certificate must be for; NULL: not verified.  SNI is `sni`, NULL for none.
 * bufferevent_free() closes the socket.  On failure it is still the caller's.
 */
struct bufferevent *tls_client_start(struct tls_client *client,
    struct event_base *base, int fd, const char *verify_name, const char *sni,
    struct err *err) MUST_USE;
void tls_facts_of(struct bufferevent *bev, struct tls_facts *out);
/* After BEV_EVENT_ERROR or _EOF: what OpenSSL said, or the socket. */
void tls_error_of(struct bufferevent *bev, char *out, size_t size);

#endif
