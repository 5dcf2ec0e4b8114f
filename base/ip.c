/*
 * ip.c - addresses and endpoints
 */
#include "base/ip.h"

#include <arpa/inet.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/str.h"

static const unsigned char mapped_prefix[12] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v6(struct ip_addr *out, const unsigned char bytes[16])
{
	*out = (struct ip_addr){0};
	if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
		out->family = AF_INET;
		memcpy(out->bytes, bytes + 12, 4);
	} else {
		out->family = AF_INET6;
		memcpy(out->bytes, bytes, 16);
	}
}

bool ip_parse(const char *text, struct ip_addr *out)
{
	unsigned char bytes[16];

	/* inet_pton(3) is as strict as we want to be. */
	if (inet_pton(AF_INET, text, bytes) == 1) {
		*out = (struct ip_addr){.family = AF_INET};
		memcpy(out->bytes, bytes, 4);
		return true;
	}
	if (inet_pton(AF_INET6, text, bytes) == 1) {
		set_v6(out, bytes);
		return true;
	}
	return false;
}

char *ip_print(char out[IP_TEXT], const struct ip_addr *ip)
{
	if (!ip->family || !inet_ntop(ip->family, ip->bytes, out, IP_TEXT))
		out[0] = '\0';
	return out;
}

static size_t ip_size(const struct ip_addr *ip)
{
	return ip->family == AF_INET ? 4 : 16;
}

bool ip_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->family == b->family &&
	       (!a->family || memcmp(a->bytes, b->bytes, ip_size(a)) == 0);
}

bool ip_is_loopback(const struct ip_addr *ip)
{
	static const unsigned char one[16] = {[15] = 1};

	if (ip->family == AF_INET)
		return ip->bytes[0] == 127;
	return ip->family == AF_INET6 && memcmp(ip->bytes, one, 16) == 0;
}

bool ip_is_any(const struct ip_addr *ip)
{
	static const unsigned char zero[16];

	return ip->family && memcmp(ip->bytes, zero, ip_size(ip)) == 0;
}

bool ip_from_sockaddr(
    const struct sockaddr *sa, struct ip_addr *out, uint16_t *port)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof in);
		*out = (struct ip_addr){.family = AF_INET};
		memcpy(out->bytes, &in.sin_addr, 4);
		if (port)
			*port = ntohs(in.sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof in6);
		set_v6(out, in6.sin6_addr.s6_addr);
		if (port)
			*port = ntohs(in6.sin6_port);
		return true;
	}
	*out = (struct ip_addr){0};
	return false;
}

socklen_t ip_to_sockaddr(
    const struct ip_addr *ip, uint16_t port, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof *out);
	if (ip->family == AF_INET) {
		struct sockaddr_in in = {
		    .sin_family = AF_INET, .sin_port = htons(port)};

		memcpy(&in.sin_addr, ip->bytes, 4);
		memcpy(out, &in, sizeof in);
		return sizeof in;
	}
	if (ip->family == AF_INET6) {
		struct sockaddr_in6 in6 = {
		    .sin6_family = AF_INET6, .sin6_port = htons(port)};

		memcpy(&in6.sin6_addr, ip->bytes, 16);
		memcpy(out, &in6, sizeof in6);
		return sizeof in6;
	}
	return 0;
}

char *ip_port_print(char out[ENDPOINT_TEXT], const struct ip_addr *ip, int port)
{
	char text[IP_TEXT];

	(void)snprintf(out, ENDPOINT_TEXT,
	    ip->family == AF_INET6 ? "[%s]:%d" : "%s:%d", ip_print(text, ip),
	    port & 0xffff);
	return out;
}

/* Splits at the last colon: host (brackets taken off, `*bracketed`) and port.
 * false: it has not that form. */
static bool split_port(
    const char *text, char *host, size_t size, bool *bracketed, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	const char *begin = text, *end = colon;
	int64_t n;

	if (!colon || colon[1] < '0' || colon[1] > '9' ||
	    !str_to_int(colon + 1, &n) || n > 65535)
		return false;
	*bracketed = *text == '[';
	if (*bracketed) {
		if (end - begin < 2 || end[-1] != ']')
			return false;
		begin++;
		end--;
	}
	if (begin == end || (size_t)(end - begin) >= size)
		return false;
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	*port = (uint16_t)n;
	return true;
}

bool ip_port_parse(const char *text, struct ip_addr *ip, uint16_t *port)
{
	char host[IP_TEXT];
	bool bracketed;

	if (!split_port(text, host, sizeof host, &bracketed, port) ||
	    !ip_parse(host, ip))
		return false;
	return bracketed == (strchr(host, ':') != NULL);
}

static bool is_host_name(const char *host)
{
	size_t label = 0;

	for (const char *p = host; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') ||
			     (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';

		if (*p == '.' ? label == 0 : !plain)
			return false;
		label = *p == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return *host != '\0';
}

/* "10.0.0" or "1.2.3.400": a mistyped address, not a name. */
static bool is_all_numeric(const char *host)
{
	return strspn(host, "0123456789.") == strlen(host);
}

bool endpoint_parse(const char *text, struct arena *arena, struct endpoint *out,
    struct err *err)
{
	char host[256], quoted[80];
	bool bracketed;

	*out = (struct endpoint){0};
	if (*text == '/') {
		out->path = arena_strdup(arena, text);
		return true;
	}
	if (split_port(text, host, sizeof host, &bracketed, &out->port) &&
	    out->port != 0) {
		bool is_ip = ip_parse(host, &out->ip);

		out->host = arena_strdup(arena, host);
		if (is_ip && bracketed == (strchr(host, ':') != NULL))
			return true;
		if (!is_ip && !bracketed && is_host_name(host) &&
		    !is_all_numeric(host))
			return true;
	}
	*out = (struct endpoint){0};
	return err_set(err, ERR_CONFIG,
	    "invalid endpoint \"%s\": expected ADDRESS:PORT, [IPV6]:PORT, "
	    "NAME:PORT or /PATH",
	    diag_quote(quoted, sizeof quoted, text, strlen(text)));
}
