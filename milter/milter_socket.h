/*
 * milter_socket.h - where the MTA finds us
 *
 *	SPEC = ("unix:" / "local:") PATH / PATH
 *	     / "inet:" PORT "@" HOST	; libmilter's order
 *	     / "inet:" HOST ":" PORT	; Postfix's order
 *	     / "inet6:" PORT "@" HOST / "inet6:" HOST ":" PORT
 *	PATH = "/" ...
 *	HOST = IPv4 / "[" IPv6 "]" / IPv6 / "localhost"
 *
 * libmilter never validates: given Postfix's order it binds another address
 * and another port than those written.  So we read the text, and libmilter
 * gets only what we wrote ourselves.  Names and bare ports are refused: what
 * gets bound must be what stands there.
 */
#ifndef MILTER_MILTER_SOCKET_H
#define MILTER_MILTER_SOCKET_H

#include <sys/types.h>

#include "base/err.h"
#include "base/ip.h"

struct milter_socket {
	char path[108]; /* "": inet */
	struct ip_addr ip;
	uint16_t port;
	char spec[160]; /* for smfi_setconn */
};

bool milter_socket_parse(
    const char *text, struct milter_socket *out, struct err *err) MUST_USE;
/* "0660": 3 or 4 octal digits. */
bool milter_socket_mode(const char *text, mode_t *out, struct err *err)
    MUST_USE;
/* Before libmilter binds.  A socket that nobody serves any more is removed;
 * one that somebody serves, or a file of another sort, is an error. */
bool milter_socket_clear(const struct milter_socket *s, struct err *err)
    MUST_USE;
/* After libmilter could not bind, which it tells to syslog only: the reason. */
const char *milter_socket_why_not(const struct milter_socket *s);
/* After it has bound, as the user who bound it.  group NULL: unchanged. */
bool milter_socket_permit(const struct milter_socket *s, mode_t mode,
    const char *group, struct err *err) MUST_USE;
/* At the end; failing is not worth a word. */
void milter_socket_remove(const struct milter_socket *s);

#endif
