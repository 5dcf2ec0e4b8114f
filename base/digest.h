/*
 * digest.h - checksums of bytes, by name
 *
 * Names: sha1 sha224 sha256 sha384 sha512 sha3_224 sha3_256 sha3_384 sha3_512,
 * and crc32 (of IEEE 802.3, most significant byte first).
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/err.h"

#define DIGEST_MOST 64 /* bytes of the longest */

extern const char *const digest_names[];
extern const size_t digest_count;

struct digest_part {
	const void *p;
	size_t len;
};

/* Of the parts one after another; *len is what it wrote.  `key` not NULL: the
 * HMAC with that key (not of crc32). */
bool digest_compute(const char *name, const struct digest_part *key,
    const struct digest_part *parts, size_t count,
    unsigned char out[DIGEST_MOST], size_t *len, struct err *err) MUST_USE;

/* SHA-256 of what comes piece by piece. */
struct digest_sum;
struct digest_sum *digest_sum_new(void) MUST_USE;
void digest_sum_add(struct digest_sum *sum, const void *p, size_t len);
/* Ends it. */
void digest_sum_end(struct digest_sum *sum, unsigned char out[32]);

/* First thing in a program whose threads may outlive main(), such as those of
 * policies that never come back: exit(3) then leaves libcrypto to them. */
void digest_outlives_main(void);
/* Gives back what libcrypto keeps for this thread; before the thread ends. */
void digest_thread_end(void);

#endif
