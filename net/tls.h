/*
 * tls.h - OpenSSL for outbound connections; its types stay in net/
 *
 * Socket mode (engine facts, 4): the bufferevent reads and writes the socket
 * itself, so the caller must have no bufferevent on it and must have read
 * nothing beyond the answer to STARTTLS.
 *
 * Threads: a client may be shared; a bufferevent is its loop's; a profile is
 *	    counted by one thread.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdint.h>

#include "base/err.h"
#include "net/tls_result.h"

struct bufferevent;
struct event_base;
struct tls_client;
struct tls_profile;
struct tlsa_set; /* net/tlsa.h */

/* A peer's certificates, as they are sent; more of them fail the handshake. */
#define TLS_CHAIN_MOST ((size_t)32 * 1024)

/* One per process: a context with the system's certificate authorities, which
 * are read when the first connection wants TLS (or `ca_file`, read at once);
 * TLS 1.2 and later for verified, what OpenSSL allows for others. */
struct tls_client *tls_client_new(const char *ca_file, struct err *err)
    MUST_USE;
void tls_client_free(struct tls_client *client);

/* What a policy sets besides: certificates as PEM (len 0: none), strings as
 * OpenSSL understands them (NULL: its defaults). */
struct tls_pem {
	const char *data;
	size_t len;
};
struct tls_profile_options {
	struct tls_pem certificate, private_key; /* both or none */
	struct tls_pem authorities;              /* instead of the client's */
	const char *cipher_list, *cipher_suites;
	const char *options; /* "NO_TICKET|NO_TLSV1_2" */
};
/* Errors name the key of make_egress_path that is wrong. */
struct tls_profile *tls_profile_new(
    const struct tls_profile_options *options, struct err *err) MUST_USE;
struct tls_profile *tls_profile_ref(struct tls_profile *p);
void tls_profile_unref(struct tls_profile *p); /* NULL is fine */

struct tls_facts {
	char cipher[64], version[16], subject[256];
	bool verified;          /* the chain, and the name when one was given */
	char why[128];          /* why not verified */
	enum tls_result result; /* of holding it against what was asked for */
};

/* How hands are to be shaken. */
struct tls_request {
	/* The host name or address that the certificate must be for; NULL: not
	 * verified. */
	const char *verify_name;
	/* It is held against verify_name, and taken all the same: the facts
	 * say what came of it. */
	bool report_only;
	const char *sni;                   /* NULL: none */
	const struct tls_profile *profile; /* NULL: nothing special */
	/* DANE: these records instead of the authorities (RFC 7672).  The
	 * base's name is verify_name and sni; `next_hop` (NULL: none) may also
	 * stand in a certificate that a trust anchor of theirs has signed. */
	const struct tlsa_set *tlsa;
	const char *next_hop;
};

/* Takes over the connected socket and begins the handshake; BEV_EVENT_CONNECTED
 * or _ERROR or _EOF follows.  bufferevent_free() closes the socket.  On failure
 * it is still the caller's. */
struct bufferevent *tls_client_start(struct tls_client *client,
    struct event_base *base, int fd, const struct tls_request *request,
    struct err *err) MUST_USE;
void tls_facts_of(struct bufferevent *bev, struct tls_facts *out);
/* After BEV_EVENT_ERROR or _EOF: what OpenSSL said, or the socket; and what a
 * handshake that ended so is called. */
enum tls_result tls_error_of(struct bufferevent *bev, char *out, size_t size);

#endif
