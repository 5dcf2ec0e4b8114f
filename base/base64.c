/*
 * base64.c - RFC 4648, section 4
 */
#include "base/base64.h"

#include <stdint.h>

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, const void *p, size_t len)
{
	const unsigned char *in = p;
	char *to;
	size_t i;

	buf_reserve(out, (len + 2) / 3 * 4);
	to = out->data + out->len;
	for (i = 0; i + 2 < len; i += 3) {
		*to++ = alphabet[in[i] >> 2];
		*to++ = alphabet[(in[i] & 3) << 4 | in[i + 1] >> 4];
		*to++ = alphabet[(in[i + 1] & 15) << 2 | in[i + 2] >> 6];
		*to++ = alphabet[in[i + 2] & 63];
	}
	if (i < len) {
		bool two = i + 1 < len;
		unsigned char second = two ? in[i + 1] : 0;

		*to++ = alphabet[in[i] >> 2];
		*to++ = alphabet[(in[i] & 3) << 4 | second >> 4];
		*to++ = two ? alphabet[(second & 15) << 2] : '=';
		*to++ = '=';
	}
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

bool base64_decode(struct buf *out, const char *text, size_t len)
{
	uint32_t bits = 0;
	unsigned have = 0, padding = 0;

	buf_reserve(out, len / 4 * 3 + 3);
	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		int six;

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '=') {
			padding++;
			continue;
		}
		six = sextet(c);
		if (six < 0 || padding)
			return false;
		bits = bits << 6 | (uint32_t)six;
		if (++have < 4)
			continue;
		buf_addch(out, (char)(bits >> 16));
		buf_addch(out, (char)(bits >> 8));
		buf_addch(out, (char)bits);
		have = 0;
		bits = 0;
	}
	if (have == 0)
		return padding == 0;
	if (have == 1 || have + padding != 4)
		return false;
	bits <<= 6 * (4 - have);
	buf_addch(out, (char)(bits >> 16));
	if (have == 3)
		buf_addch(out, (char)(bits >> 8));
	return true;
}
