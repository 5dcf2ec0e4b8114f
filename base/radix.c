/*
 * radix.c - bytes as text: hex, base32 and base64 in all their alphabets
 */
#include "base/radix.h"

#include "base/diag.h"

#include <ctype.h>

#include "base/str.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define STANDARD UPPER LOWER "0123456789+/"
#define URL UPPER LOWER "0123456789-_"
#define B32 UPPER "234567"
#define B32_HEX "0123456789ABCDEFGHIJKLMNOPQRSTUV"

const struct radix radixes[] = {
    {"hex", "0123456789abcdef", 4, .any_case = true},
    {"base32", B32, 5, .padded = true},
    {"base32_nopad", B32, 5},
    {"base32hex", B32_HEX, 5, .padded = true},
    {"base32hex_nopad", B32_HEX, 5},
    {"base64", STANDARD, 6, .padded = true},
    {"base64_nopad", STANDARD, 6},
    {"base64url", URL, 6, .padded = true},
    {"base64url_nopad", URL, 6},
};
const size_t radix_count = COUNT(radixes);

const struct radix *radix_find(const char *name)
{
	for (size_t i = 0; i < radix_count; i++)
		if (str_eq(radixes[i].name, name))
			return &radixes[i];
	return NULL;
}

/* Characters that together are whole bytes: 2, 8 or 4. */
static size_t group(const struct radix *radix)
{
	return radix->bits == 4 ? 2 : radix->bits == 5 ? 8 : 4;
}

void radix_encode(
    const struct radix *radix, struct buf *out, const void *p, size_t len)
{
	const unsigned char *bytes = p;
	unsigned held = 0, bits = 0, mask = (1u << radix->bits) - 1;
	size_t written = 0;

	invariant(radix->bits <= 6);
	buf_reserve(out, len * 8 / radix->bits + 8);
	for (size_t i = 0; i < len; i++) {
		held = held << 8 | bytes[i];
		for (bits += 8; bits >= radix->bits; written++) {
			bits -= radix->bits;
			buf_addch(out, radix->alphabet[held >> bits & mask]);
		}
		held &= (1u << bits) - 1;
	}
	if (bits > 0) {
		buf_addch(
		    out, radix->alphabet[held << (radix->bits - bits) & mask]);
		written++;
	}
	while (radix->padded && written++ % group(radix) != 0)
		buf_addch(out, '=');
}

/* -1: none of the alphabet. */
static int digit(const struct radix *radix, char c)
{
	const char *found;

	if (radix->any_case)
		c = (char)tolower((unsigned char)c);
	found = c ? strchr(radix->alphabet, c) : NULL;
	return found ? (int)(found - radix->alphabet) : -1;
}

bool radix_decode(
    const struct radix *radix, struct buf *out, const char *text, size_t len)
{
	unsigned held = 0, bits = 0;
	size_t digits = len;

	if (radix->padded) {
		if (len % group(radix) != 0)
			return false;
		while (digits > 0 && text[digits - 1] == '=')
			digits--;
		if (len - digits >= group(radix))
			return false;
	}
	for (size_t i = 0; i < digits; i++) {
		int d = digit(radix, text[i]);

		if (d < 0)
			return false;
		held = held << radix->bits | (unsigned)d;
		bits += radix->bits;
		if (bits >= 8) {
			bits -= 8;
			buf_addch(out, (char)(held >> bits));
			held &= (1u << bits) - 1;
		}
	}
	/* What is left is less than a character and all zero. */
	return bits < radix->bits && held == 0;
}
