/*
 * trace_key.c - a trace header that only we can have written
 *
 * What is signed: a name for what it is, then each text with its length in
 * front of it, so that no two things are signed alike.
 */
#include "mail/trace_key.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/attr.h"
#include "base/digest.h"
#include "base/str.h"
#include "base/xalloc.h"

#define KEY_BYTES (TRACE_KEY_DIGITS / 2)
#define MAC_BYTES 16
#define PURPOSE "penstock trace header 1"
#define VEIL "penstock trace header 1, veil"

struct trace_key {
	unsigned char bytes[KEY_BYTES];
	char name[TRACE_KEY_NAME_SIZE];
};

struct trace_keys {
	struct trace_key items[TRACE_KEYS_MOST];
	size_t count;
};

static const struct trace_keys *_Atomic in_use;

void trace_keys_use(const struct trace_keys *keys)
{
	atomic_store(&in_use, keys);
}

static void to_hex(char *out, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static bool from_hex(const char *p, size_t len, unsigned char *out, size_t most)
{
	if (len != 2 * most)
		return false;
	for (size_t i = 0; i < most; i++) {
		int high = hex_digit(p[2 * i]), low = hex_digit(p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* ---- files of keys ---- */

static bool add_key(
    struct trace_keys *keys, const char *p, size_t len, struct err *err)
{
	unsigned char sum[DIGEST_MOST];
	struct trace_key *key = &keys->items[keys->count];
	const struct digest_part part = {key->bytes, KEY_BYTES};
	size_t sum_len;

	if (keys->count == TRACE_KEYS_MOST)
		return err_set(
		    err, ERR_CONFIG, "more than %d keys", TRACE_KEYS_MOST);
	if (!from_hex(p, len, key->bytes, KEY_BYTES))
		return err_set(err, ERR_CONFIG, "a key is %d hex digits",
		    TRACE_KEY_DIGITS);
	if (!digest_compute("sha256", NULL, &part, 1, sum, &sum_len, err))
		return false;
	to_hex(key->name, sum, (TRACE_KEY_NAME_SIZE - 1) / 2);
	keys->count++;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

struct trace_keys *trace_keys_parse(
    const char *text, size_t len, struct err *err)
{
	struct trace_keys *keys = xcalloc(1, sizeof *keys);
	const char *end = text + len;

	for (int line = 1; text < end; line++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		const char *next = stop ? stop + 1 : end;

		if (!stop)
			stop = end;
		while (text < stop && is_blank(*text))
			text++;
		while (stop > text && is_blank(stop[-1]))
			stop--;
		if (text < stop && *text != '#' &&
		    !add_key(keys, text, (size_t)(stop - text), err)) {
			err_prefix(err, "line %d", line);
			goto bad;
		}
		text = next;
	}
	if (keys->count > 0)
		return keys;
	err_set(err, ERR_CONFIG, "there is no key in it");
bad:
	trace_keys_free(keys);
	return NULL;
}

void trace_keys_free(struct trace_keys *keys)
{
	if (keys)
		explicit_bzero(keys, sizeof *keys);
	free(keys);
}

void trace_keys_write(struct buf *out, const char *key)
{
	buf_addf(out,
	    "# Signs the trace headers of penstock; penstock-queue(5), HISTORY "
	    "OF MAIL."
	    "\n# The first key signs, all of them verify.\n%s\n",
	    key);
}

/* ---- signatures ---- */

static void add_text(struct buf *out, const char *text)
{
	buf_addf(out, "%zu:%s,", strlen(text), text);
}

static bool compute(const struct trace_key *key,
    const struct trace_signed *what, char mac[TRACE_MAC_SIZE])
{
	const struct digest_part secret = {key->bytes, KEY_BYTES};
	unsigned char sum[DIGEST_MOST];
	struct buf text = BUF_INIT;
	struct digest_part part;
	size_t len;
	bool ok;

	add_text(&text, PURPOSE);
	add_text(&text, what->id);
	add_text(&text, what->queue);
	buf_addf(&text, "%lld,%zu,", (long long)what->at, what->count);
	for (size_t i = 0; i < what->count; i++)
		add_text(&text, what->recipients[i]);
	part = (struct digest_part){text.data, text.len};
	ok = digest_compute("sha256", &secret, &part, 1, sum, &len, NULL);
	if (ok)
		to_hex(mac, sum, MAC_BYTES);
	buf_release(&text);
	return ok;
}

bool trace_sign(const struct trace_signed *what, char key[TRACE_KEY_NAME_SIZE],
    char mac[TRACE_MAC_SIZE])
{
	const struct trace_keys *current = atomic_load(&in_use);

	if (!current)
		return false;
	memcpy(key, current->items[0].name, TRACE_KEY_NAME_SIZE);
	return compute(&current->items[0], what, mac);
}

static bool is_same(const char *a, const char *b, size_t len)
{
	unsigned differs = 0;

	for (size_t i = 0; i < len; i++)
		differs |= (unsigned)(unsigned char)a[i] ^ (unsigned char)b[i];
	return differs == 0;
}

static const struct trace_key *key_named(const char *name)
{
	const struct trace_keys *current = atomic_load(&in_use);

	for (size_t i = 0; current && i < current->count; i++)
		if (str_eq(current->items[i].name, name))
			return &current->items[i];
	return NULL;
}

bool trace_verify(
    const struct trace_signed *what, const char *key, const char *mac)
{
	const struct trace_key *k = key_named(key);
	char right[TRACE_MAC_SIZE];

	return k && strlen(mac) == TRACE_MAC_SIZE - 1 &&
	       compute(k, what, right) &&
	       is_same(right, mac, TRACE_MAC_SIZE - 1);
}

/* ---- veils ---- */

/* A stream of HMACs, one for each 32 bytes (counter mode), is added. */
bool trace_veil(const struct trace_signed *what, const char *key,
    const char *in, size_t len, struct buf *out)
{
	const struct trace_key *k = key_named(key);
	struct digest_part secret, part;
	unsigned char stream[DIGEST_MOST];
	struct buf text = BUF_INIT;
	size_t width = 0;
	bool ok = k != NULL;

	if (k)
		secret = (struct digest_part){k->bytes, KEY_BYTES};
	for (size_t i = 0; ok && i < len; i++) {
		if (i % KEY_BYTES == 0) {
			buf_reset(&text);
			add_text(&text, VEIL);
			add_text(&text, what->id);
			buf_addf(&text, "%lld,%zu,", (long long)what->at, i);
			part = (struct digest_part){text.data, text.len};
			ok = digest_compute(
			    "sha256", &secret, &part, 1, stream, &width, NULL);
		}
		if (ok)
			buf_addch(out, (char)(stream[i % KEY_BYTES] ^
					      (unsigned char)in[i]));
	}
	buf_release(&text);
	return ok;
}
