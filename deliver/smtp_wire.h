/*
 * smtp_wire.h - one connection: bytes in, bytes out, in clear or in TLS
 *
 * In clear text the socket is read and written directly, because a drain spends
 * most of its time here; with TLS a bufferevent of net/tls.h takes the socket
 * over.  What is to be sent is appended to smtp_wire_out() and goes with
 * smtp_wire_flush(); callers keep the backlog below SMTP_BACKLOG_MOST,
 * or the connection is lost.
 *
 * Callbacks come from the loop only.  smtp_wire_close() may be called in any of
 * them, smtp_wire_free() in none.
 */
#ifndef DELIVER_SMTP_WIRE_H
#define DELIVER_SMTP_WIRE_H

#include "base/buf.h"
#include "base/ip.h"
#include "net/tls.h"

struct candidate;
struct event_base;
struct proxy;
struct smtp_wire;

struct smtp_wire_ops {
	void (*connected)(void *ctx);
	void (*bytes)(void *ctx, const char *data, size_t len);
	/* Some of a backlog that did not fit into the socket has gone. */
	void (*moved)(void *ctx);
	/* The handshake is over; why NULL: well. */
	void (*tls)(void *ctx, const char *why);
	/* Also when connecting failed.  The wire is closed. */
	void (*lost)(void *ctx, const char *why);
};

struct smtp_wire *smtp_wire_new(struct event_base *base,
    const struct smtp_wire_ops *ops, void *ctx) MUST_USE;
void smtp_wire_free(struct smtp_wire *wire);

/* From `source` (NULL: the kernel chooses) to the candidate, through `proxy`
 * (NULL: directly), which outlives the connection.  False: at once, a reason;
 * *unplumbed: the source is not an address of this machine. */
bool smtp_wire_connect(struct smtp_wire *wire, const struct candidate *to,
    const struct ip_addr *source, const struct proxy *proxy, bool *unplumbed,
    struct err *err) MUST_USE;
/* After lost() and before the next connection: the proxy did its part, and says
 * that the host did not. */
bool smtp_wire_host_at_fault(const struct smtp_wire *wire);
/* "10.0.0.1:4711", "" for a unix socket. */
void smtp_wire_local(const struct smtp_wire *wire, char out[ENDPOINT_TEXT]);
struct buf *smtp_wire_out(struct smtp_wire *wire);
void smtp_wire_flush(struct smtp_wire *wire);
size_t smtp_wire_backlog(const struct smtp_wire *wire); /* not yet sent */
/* `may_go_on`: when the handshake fails the socket is kept and the conversation
 * can be tried in clear text; otherwise the wire is closed then. */
bool smtp_wire_start_tls(struct smtp_wire *wire, struct tls_client *tls,
    const struct tls_request *request, bool may_go_on, struct err *err)
    MUST_USE;
/* After tls(why). */
enum tls_result smtp_wire_tls_result(const struct smtp_wire *wire);
/* After tls(NULL). */
void smtp_wire_tls_facts(const struct smtp_wire *wire, struct tls_facts *out);
void smtp_wire_close(struct smtp_wire *wire);

#endif
