/*
 * smtp_proxy.h - asking a proxy for a connection, without any I/O
 *
 * HAProxy is told in one header where to go and as whom (PROXY protocol,
 * version 2) and never answers.  A SOCKS5 server (RFC 1928, 1929) is asked to
 * BIND the source address and then to CONNECT, and answers each.
 *
 * Threads: one at a time.
 */
#ifndef DELIVER_SMTP_PROXY_H
#define DELIVER_SMTP_PROXY_H

#include "deliver/deliver.h"

enum proxy_step {
	PROXY_MORE,   /* send out, then hear */
	PROXY_DONE,   /* send out; what comes now is the host's */
	PROXY_FAILED, /* `why`, and who is to blame */
};

enum proxy_stage {
	PROXY_METHOD,
	PROXY_LOGIN,
	PROXY_BIND,
	PROXY_CONNECT,
	PROXY_OVER,
};

struct proxy_talk {
	const struct proxy *proxy;
	struct ip_addr to;
	uint16_t port;
	enum proxy_stage stage;
	unsigned char in[262]; /* the reply that is coming; none is longer */
	size_t in_len;
	bool host_at_fault; /* after PROXY_FAILED */
	char why[160];
};

/* `proxy` outlives the talk. */
enum proxy_step proxy_talk_start(struct proxy_talk *t,
    const struct proxy *proxy, const struct candidate *to, struct buf *out);
/* *used < len only with PROXY_DONE. */
enum proxy_step proxy_talk_hear(struct proxy_talk *t, const char *data,
    size_t len, size_t *used, struct buf *out);

#endif
