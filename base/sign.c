/*
 * sign.c - a private key, and what it signs; libcrypto does the work
 */
#include "base/sign.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/str.h"
#include "base/xalloc.h"

struct sign_key {
	int refs; /* atomic */
	enum sign_kind kind;
	EVP_PKEY *pkey;
};

/* An encrypted key: there is nobody to ask. */
static int no_password(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

static EVP_PKEY *read_pem(const void *bytes, size_t len)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)len);
	EVP_PKEY *pkey = NULL;

	if (bio)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	BIO_free(bio);
	return pkey;
}

static EVP_PKEY *read_any(enum sign_kind kind, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	if (len > INT32_MAX)
		return NULL;
	if (kind == SIGN_ED25519 && len == 32)
		return EVP_PKEY_new_raw_private_key(
		    EVP_PKEY_ED25519, NULL, p, len);
	if (memmem(bytes, len, "-----BEGIN", 10))
		return read_pem(bytes, len);
	return d2i_AutoPrivateKey(NULL, &p, (long)len);
}

struct sign_key *sign_key_read(
    enum sign_kind kind, const void *bytes, size_t len, struct err *err)
{
	const char *name = kind == SIGN_RSA ? "RSA" : "Ed25519";
	EVP_PKEY *pkey = read_any(kind, bytes, len);
	struct sign_key *key;

	if (!pkey) {
		(void)err_set(err, ERR_CONFIG,
		    "not a private key in PEM or DER, or an encrypted one");
		return NULL;
	}
	if (EVP_PKEY_get_base_id(pkey) !=
	    (kind == SIGN_RSA ? EVP_PKEY_RSA : EVP_PKEY_ED25519)) {
		(void)err_set(err, ERR_CONFIG, "not a private key of %s", name);
		EVP_PKEY_free(pkey);
		return NULL;
	}
	if (kind == SIGN_RSA && EVP_PKEY_get_bits(pkey) < SIGN_LEAST_RSA_BITS) {
		(void)err_set(err, ERR_CONFIG,
		    "a key of %d bits is too short: %d at least",
		    EVP_PKEY_get_bits(pkey), SIGN_LEAST_RSA_BITS);
		EVP_PKEY_free(pkey);
		return NULL;
	}
	key = xcalloc(1, sizeof *key);
	key->refs = 1;
	key->kind = kind;
	key->pkey = pkey;
	return key;
}

struct sign_key *sign_key_ref(struct sign_key *key)
{
	__atomic_add_fetch(&key->refs, 1, __ATOMIC_RELAXED);
	return key;
}

void sign_key_unref(struct sign_key *key)
{
	if (!key || __atomic_sub_fetch(&key->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum sign_kind sign_key_kind(const struct sign_key *key)
{
	return key->kind;
}

bool sign_key_sign(const struct sign_key *key, const void *p, size_t len,
    struct buf *out, struct err *err)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const char *digest = key->kind == SIGN_RSA ? "SHA256" : NULL;
	size_t size = 0;
	bool ok;

	ok = ctx &&
	     EVP_DigestSignInit_ex(
		 ctx, NULL, digest, NULL, NULL, key->pkey, NULL) == 1 &&
	     EVP_DigestSign(ctx, NULL, &size, p, len) == 1;
	if (ok) {
		buf_reserve(out, size);
		ok = EVP_DigestSign(ctx, (unsigned char *)out->data + out->len,
			 &size, p, len) == 1;
	}
	if (ok)
		out->len += size;
	EVP_MD_CTX_free(ctx);
	return ok || err_set(err, ERR_TEMP, "libcrypto does not sign");
}
