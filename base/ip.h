/*
 * ip.h - addresses and endpoints
 *
 * An IPv4-mapped IPv6 address is turned into IPv4 when it is made, so the rest
 * of the program meets only one spelling.
 */
#ifndef BASE_IP_H
#define BASE_IP_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct ip_addr {
	int family;              /* AF_INET, AF_INET6; 0: none */
	unsigned char bytes[16]; /* network order; 4 used for AF_INET */
};

#define IP_TEXT 46       /* room for an address */
#define ENDPOINT_TEXT 56 /* room for [address]:port */

/* Strict: no leading zeros, no short forms, no zone. */
bool ip_parse(const char *text, struct ip_addr *out);
char *ip_print(char out[IP_TEXT], const struct ip_addr *ip);
bool ip_eq(const struct ip_addr *a, const struct ip_addr *b);
bool ip_is_loopback(const struct ip_addr *ip);
bool ip_is_any(const struct ip_addr *ip); /* 0.0.0.0 or :: */
/* false: neither IPv4 nor IPv6. port may be NULL. */
bool ip_from_sockaddr(
    const struct sockaddr *sa, struct ip_addr *out, uint16_t *port);
socklen_t ip_to_sockaddr(
    const struct ip_addr *ip, uint16_t port, struct sockaddr_storage *out);
/* "10.0.0.1:25", "[2001:db8::1]:25" */
char *ip_port_print(
    char out[ENDPOINT_TEXT], const struct ip_addr *ip, int port);
/* The reverse; port is required.  IPv6 needs brackets. */
bool ip_port_parse(const char *text, struct ip_addr *ip, uint16_t *port);

/* IP:port, [v6]:port, name:port, or an absolute unix path (policy 3.8). */
struct endpoint {
	const char *path;  /* not NULL: a unix socket, and the rest is unset */
	const char *host;  /* as written, without brackets */
	struct ip_addr ip; /* family 0: host is a name, resolve it */
	uint16_t port;
};

struct arena;
bool endpoint_parse(const char *text, struct arena *arena, struct endpoint *out,
    struct err *err) MUST_USE;

#endif
