/*
 * digest.c - checksums of bytes, by name; libcrypto does the work
 */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"

const char *const digest_names[] = {"crc32", "sha1", "sha224", "sha256",
    "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512"};
const size_t digest_count = COUNT(digest_names);

static void crc32(const struct digest_part *parts, size_t count,
    unsigned char out[DIGEST_MOST])
{
	uint32_t crc = UINT32_MAX;

	for (size_t n = 0; n < count; n++) {
		const unsigned char *p = parts[n].p;

		for (size_t i = 0; i < parts[n].len; i++) {
			crc ^= p[i];
			for (int bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
		}
	}
	crc = ~crc;
	for (int i = 0; i < 4; i++)
		out[i] = (unsigned char)(crc >> (24 - 8 * i));
}

/* Ours have "_" where libcrypto has "-". */
static bool library_name(char out[16], const char *name)
{
	char *dash;

	if (!str_copy(out, 16, name))
		return false;
	dash = strchr(out, '_');
	if (dash)
		*dash = '-';
	return true;
}

static bool plain(const char *name, const struct digest_part *parts,
    size_t count, unsigned char out[DIGEST_MOST], size_t *len)
{
	EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned written = 0;
	bool ok = md && ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1;

	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_DigestUpdate(ctx, parts[i].p, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, out, &written) == 1;
	*len = written;
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	return ok;
}

static bool keyed(char *name, const struct digest_part *key,
    const struct digest_part *parts, size_t count,
    unsigned char out[DIGEST_MOST], size_t *len)
{
	const OSSL_PARAM params[] = {
	    {"digest", OSSL_PARAM_UTF8_STRING, name, strlen(name), 0},
	    {NULL, 0, NULL, 0, 0},
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	bool ok = ctx && EVP_MAC_init(ctx, key->p, key->len, params) == 1;

	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_MAC_update(ctx, parts[i].p, parts[i].len) == 1;
	ok = ok && EVP_MAC_final(ctx, out, len, DIGEST_MOST) == 1;
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return ok;
}

bool digest_compute(const char *name, const struct digest_part *key,
    const struct digest_part *parts, size_t count,
    unsigned char out[DIGEST_MOST], size_t *len, struct err *err)
{
	char theirs[16];
	bool ok;

	if (str_eq(name, "crc32") && !key) {
		crc32(parts, count, out);
		*len = 4;
		return true;
	}
	ok = library_name(theirs, name) &&
	     (key ? keyed(theirs, key, parts, count, out, len)
		  : plain(theirs, parts, count, out, len));
	return ok || err_set(err, ERR_PERM, "%s is not available", name);
}

struct digest_sum {
	EVP_MD_CTX *ctx;
};

struct digest_sum *digest_sum_new(void)
{
	struct digest_sum *sum = xcalloc(1, sizeof *sum);

	sum->ctx = EVP_MD_CTX_new();
	invariant(
	    sum->ctx && EVP_DigestInit_ex2(sum->ctx, EVP_sha256(), NULL) == 1);
	return sum;
}

void digest_sum_add(struct digest_sum *sum, const void *p, size_t len)
{
	invariant(EVP_DigestUpdate(sum->ctx, p, len) == 1);
}

void digest_sum_end(struct digest_sum *sum, unsigned char out[32])
{
	unsigned len = 0;

	invariant(EVP_DigestFinal_ex(sum->ctx, out, &len) == 1 && len == 32);
	EVP_MD_CTX_free(sum->ctx);
	free(sum);
}

void digest_outlives_main(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

void digest_thread_end(void)
{
	OPENSSL_thread_stop();
}
