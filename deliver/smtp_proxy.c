/*
 * smtp_proxy.c - asking a proxy for a connection, without any I/O
 *
 *	METHOD -> [LOGIN] -> [BIND] -> CONNECT -> OVER
 *
 *	request = 5 command 0 type address port
 *	reply   = 5 code 0 type address port
 *
 * A BIND that is followed by CONNECT on the same connection is how the proxies
 * of this policy language choose the source; a plain SOCKS5 server knows only
 * CONNECT, so a source of 0.0.0.0 or :: leaves BIND out.
 *
 * See: RFC 1928; RFC 1929 (user and password); the PROXY protocol of HAProxy,
 *      section 2.2.
 */
#include "deliver/smtp_proxy.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"

enum { SOCKS = 5, LOGIN_VERSION = 1 };
enum { METHOD_NONE = 0, METHOD_LOGIN = 2, METHOD_REFUSED = 0xff };
enum { COMMAND_CONNECT = 1, COMMAND_BIND = 2 };
enum { TYPE_V4 = 1, TYPE_NAME = 3, TYPE_V6 = 4 };

static const char *const replies[] = {"done", "general failure",
    "not allowed by its rules", "network unreachable", "host unreachable",
    "connection refused", "TTL expired", "command not supported",
    "address type not supported"};

static size_t address_size(const struct ip_addr *ip)
{
	return ip->family == AF_INET ? 4 : 16;
}

static void add_port(struct buf *out, uint16_t port)
{
	buf_addch(out, (char)(port >> 8));
	buf_addch(out, (char)(port & 0xff));
}

static enum proxy_step failed(struct proxy_talk *t, const char *what)
{
	(void)snprintf(t->why, sizeof t->why, "%s", what);
	return PROXY_FAILED;
}

/* ---- PROXY, version 2 ---- */

static enum proxy_step say_header(struct proxy_talk *t, struct buf *out)
{
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
	size_t size = address_size(&t->to);

	/* Both addresses are of one family: smtp_route.c saw to it. */
	buf_add(out, signature, 12);
	buf_addch(out, 0x21); /* version 2, PROXY */
	buf_addch(out, t->to.family == AF_INET ? 0x11 : 0x21);
	add_port(out, (uint16_t)(2 * size + 4));
	buf_add(out, t->proxy->source.bytes, size);
	buf_add(out, t->to.bytes, size);
	add_port(out, 0);
	add_port(out, t->port);
	t->stage = PROXY_OVER;
	return PROXY_DONE;
}

/* ---- SOCKS5 ---- */

static void say_request(
    struct buf *out, int command, const struct ip_addr *ip, uint16_t port)
{
	buf_addch(out, SOCKS);
	buf_addch(out, (char)command);
	buf_addch(out, 0);
	buf_addch(out, ip->family == AF_INET ? TYPE_V4 : TYPE_V6);
	buf_add(out, ip->bytes, address_size(ip));
	add_port(out, port);
}

static enum proxy_step say_bind(struct proxy_talk *t, struct buf *out)
{
	if (ip_is_any(&t->proxy->source)) {
		say_request(out, COMMAND_CONNECT, &t->to, t->port);
		t->stage = PROXY_CONNECT;
	} else {
		say_request(out, COMMAND_BIND, &t->proxy->source, 0);
		t->stage = PROXY_BIND;
	}
	return PROXY_MORE;
}

static void add_short(struct buf *out, const char *text)
{
	buf_addch(out, (char)strlen(text));
	buf_addstr(out, text);
}

static enum proxy_step hear_method(struct proxy_talk *t, struct buf *out)
{
	const struct proxy *p = t->proxy;

	if (t->in[0] != SOCKS)
		return failed(t, "it does not speak SOCKS5");
	if (t->in[1] == METHOD_NONE)
		return say_bind(t, out);
	if (t->in[1] != METHOD_LOGIN || !p->username)
		return failed(t, t->in[1] == METHOD_REFUSED && p->username
				     ? "it wants another login than ours"
				     : "it wants a login");
	buf_addch(out, LOGIN_VERSION);
	add_short(out, p->username);
	add_short(out, p->password ? p->password : "");
	t->stage = PROXY_LOGIN;
	return PROXY_MORE;
}

static enum proxy_step hear_login(struct proxy_talk *t, struct buf *out)
{
	if (t->in[1] != 0)
		return failed(t, "it refused our login");
	return say_bind(t, out);
}

/* A refused BIND, and a CONNECT that its rules forbid, are about us; a host
 * that is down is not. */
static enum proxy_step hear_reply(struct proxy_talk *t, struct buf *out)
{
	unsigned char code = t->in[1];
	bool binding = t->stage == PROXY_BIND;

	if (t->in[0] != SOCKS)
		return failed(t, "it does not speak SOCKS5");
	if (code != 0) {
		t->host_at_fault = !binding && code >= 3 && code <= 6;
		(void)snprintf(t->why, sizeof t->why, "%s was refused: %s",
		    binding ? "the source address" : "the connection",
		    code < COUNT(replies) ? replies[code] : "unknown code");
		return PROXY_FAILED;
	}
	if (!binding) {
		t->stage = PROXY_OVER;
		return PROXY_DONE;
	}
	say_request(out, COMMAND_CONNECT, &t->to, t->port);
	t->stage = PROXY_CONNECT;
	return PROXY_MORE;
}

/* How long the reply is that is coming, as far as it can be known; 0: it is no
 * reply. */
static size_t wanted(const struct proxy_talk *t)
{
	if (t->stage == PROXY_METHOD || t->stage == PROXY_LOGIN)
		return 2;
	if (t->in_len < 2)
		return 2;
	/* A refusal may be cut short: its code is all that counts. */
	if (t->in[0] != SOCKS || t->in[1] != 0)
		return 2;
	if (t->in_len < 5)
		return 5;
	switch (t->in[3]) {
	case TYPE_V4:
		return 10;
	case TYPE_V6:
		return 22;
	case TYPE_NAME:
		return 7 + (size_t)t->in[4];
	default:
		return 0;
	}
}

static enum proxy_step hear(struct proxy_talk *t, struct buf *out)
{
	t->in_len = 0;
	switch (t->stage) {
	case PROXY_METHOD:
		return hear_method(t, out);
	case PROXY_LOGIN:
		return hear_login(t, out);
	default:
		return hear_reply(t, out);
	}
}

enum proxy_step proxy_talk_hear(struct proxy_talk *t, const char *data,
    size_t len, size_t *used, struct buf *out)
{
	enum proxy_step step = PROXY_MORE;

	*used = 0;
	while (*used < len && step == PROXY_MORE) {
		size_t want = wanted(t);

		if (want == 0)
			return failed(t, "its reply names no address");
		t->in[t->in_len++] = (unsigned char)data[(*used)++];
		if (t->in_len >= wanted(t) && wanted(t) > 0)
			step = hear(t, out);
	}
	return step;
}

enum proxy_step proxy_talk_start(struct proxy_talk *t,
    const struct proxy *proxy, const struct candidate *to, struct buf *out)
{
	*t =
	    (struct proxy_talk){.proxy = proxy, .to = to->ip, .port = to->port};
	if (proxy->kind == PROXY_HAPROXY)
		return say_header(t, out);
	buf_addch(out, SOCKS);
	buf_addch(out, proxy->username ? 2 : 1);
	buf_addch(out, METHOD_NONE);
	if (proxy->username)
		buf_addch(out, METHOD_LOGIN);
	return PROXY_MORE;
}
