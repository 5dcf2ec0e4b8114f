/*
 * sign.h - a private key, and what it signs; libcrypto does the work
 *
 * Keys are read from PEM (PKCS#8, or PKCS#1 for RSA) or DER; those of Ed25519
 * also from their 32 bytes.  RSA signs with SHA-256 and PKCS#1 1.5 padding (RFC
 * 8017); Ed25519 signs what it is given (RFC 8032).
 *
 * Ownership: counted.
 * Threads:   any number may sign with the same key.
 */
#ifndef BASE_SIGN_H
#define BASE_SIGN_H

#include "base/buf.h"
#include "base/err.h"

#define SIGN_LEAST_RSA_BITS 1024 /* RFC 8301: less is not believed */

enum sign_kind { SIGN_RSA, SIGN_ED25519 };

struct sign_key;

/* ERR_CONFIG when it is no such key, encrypted, or too short. */
struct sign_key *sign_key_read(enum sign_kind kind, const void *bytes,
    size_t len, struct err *err) MUST_USE;
struct sign_key *sign_key_ref(struct sign_key *key);
void sign_key_unref(struct sign_key *key); /* NULL is fine */
enum sign_kind sign_key_kind(const struct sign_key *key);
/* Appends the signature of the bytes. */
bool sign_key_sign(const struct sign_key *key, const void *p, size_t len,
    struct buf *out, struct err *err) MUST_USE;

#endif
