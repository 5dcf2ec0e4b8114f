/*
 * dns_name.c - domain names as the DNS sends them
 */
#include "net/dns_name.h"

#include <stdio.h>

#define NAME_MOST 255

static char lower(unsigned char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '.' && c != '\\';
}

const char *dns_name_text(struct arena *arena, const void *wire, size_t len)
{
	const unsigned char *p = wire;
	char text[NAME_MOST * 4 + 1];
	size_t at = 0, n = 0;

	if (len > NAME_MOST)
		return NULL;
	while (at < len && p[at]) {
		size_t label = p[at++];

		if (label > 63 || at + label >= len)
			return NULL;
		if (n)
			text[n++] = '.';
		for (; label; label--, at++) {
			if (is_plain(p[at]))
				text[n++] = lower(p[at]);
			else
				n += (size_t)snprintf(
				    text + n, sizeof text - n, "\\%03u", p[at]);
		}
	}
	if (at >= len)
		return NULL;
	return arena_strndup(arena, text, n);
}

const char *dns_type_name(enum dns_type type)
{
	switch (type) {
	case DNS_A:
		return "A";
	case DNS_PTR:
		return "PTR";
	case DNS_MX:
		return "MX";
	case DNS_TXT:
		return "TXT";
	case DNS_AAAA:
		return "AAAA";
	case DNS_CNAME:
		return "CNAME";
	case DNS_TLSA:
		return "TLSA";
	}
	return "?";
}
