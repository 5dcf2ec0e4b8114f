/*
 * trace_key.h - a trace header that only we can have written
 *
 * The supplemental header of what we send says which message it is; whoever
 * reports about the message sends it back, and so can anybody who writes a
 * report of his own.  What is said under the member "penstock" of the header is
 * therefore signed:
 *
 *	"penstock": {"id": 32 hex digits, "queue": scheduled queue, veiled,
 *		     "time": unix seconds, "key": 8 hex digits,
 *		     "mac": 32 hex digits}
 *
 * The queue's name holds the tenant and the campaign, which are nobody's
 * business out there: it is in Base64, and read with the key only.
 *
 * mac is HMAC-SHA256 over all of them and the recipients that the header names,
 * cut to 128 bits (RFC 2104, 5); key says with which key, and is public.
 *
 * A file of keys has one a line, 64 hex digits; empty lines and lines that
 * begin with # do not count.  The first one signs, all of them verify.
 *
 * Threads: keys that were put to use stay; any number of threads.
 */
#ifndef MAIL_TRACE_KEY_H
#define MAIL_TRACE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TRACE_KEYS_MOST 16
#define TRACE_KEY_NAME_SIZE 9
#define TRACE_MAC_SIZE 33

struct trace_keys;

/* ERR_CONFIG names the line.  The text must hold at least one key. */
struct trace_keys *trace_keys_parse(
    const char *text, size_t len, struct err *err) MUST_USE;
void trace_keys_free(struct trace_keys *keys);
/* A file with this key, TRACE_KEY_DIGITS hex digits. */
#define TRACE_KEY_DIGITS 64
void trace_keys_write(struct buf *out, const char *key);
/* What this process signs and verifies with from now on; NULL, as at first:
 * nothing is signed, nothing verifies. */
void trace_keys_use(const struct trace_keys *keys);

/* What a signature vouches for. */
struct trace_signed {
	const char *id, *queue;
	int64_t at; /* unix seconds */
	const char *const *recipients;
	size_t count;
};

/* False: there are no keys. */
bool trace_sign(const struct trace_signed *what, char key[TRACE_KEY_NAME_SIZE],
    char mac[TRACE_MAC_SIZE]) MUST_USE;
/* In a time that tells nothing of the right one. */
bool trace_verify(
    const struct trace_signed *what, const char *key, const char *mac) MUST_USE;
/* Adds to out the bytes of a name that is read with this key only, or from such
 * bytes the name; it belongs to this id and time, of which no two names are
 * veiled.  False: there is no such key. */
bool trace_veil(const struct trace_signed *what, const char *key,
    const char *in, size_t len, struct buf *out) MUST_USE;

#endif
