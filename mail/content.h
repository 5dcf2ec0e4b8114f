/*
 * content.h - the bytes of a message, wherever they are
 *
 * Made once by a content_builder, then immutable and shared by reference
 * count.  Small content stays in memory; from `spill_at` bytes on it goes to an
 * unlinked file.  While bytes pass, the builder notes what delivery needs to
 * know, so nobody scans them again.
 *
 * Lines end in CRLF, no dot-stuffing; header block, empty line, body.
 *
 * Threads: immutable once finished; ref/unref any thread.
 */
#ifndef MAIL_CONTENT_H
#define MAIL_CONTENT_H

#include <stdint.h>

#include "base/err.h"

struct content;
struct content_builder;

struct content_facts {
	int64_t size;
	int64_t header_size; /* up to and with the empty line; size if none */
	bool has_8bit;
	bool header_has_8bit;
	bool has_bare_cr_or_lf;
	bool has_nul;
	int64_t longest_line; /* without CRLF */
	int received_headers; /* RFC 5321, 6.3: for loops */
};

struct content_builder *content_builder_new(
    const char *spill_dir, int64_t spill_at) MUST_USE;
/* ERR_TEMP when the disk refuses. */
bool content_builder_add(struct content_builder *b, const void *p, size_t len,
    struct err *err) MUST_USE;
int64_t content_builder_size(const struct content_builder *b);
/* Ends the builder in any case. */
struct content *content_builder_finish(
    struct content_builder *b, struct err *err) MUST_USE;
void content_builder_free(struct content_builder *b);

struct content *content_from_bytes(const void *p, size_t len) MUST_USE;
struct content *content_ref(struct content *c);
void content_unref(struct content *c);
const struct content_facts *content_facts(const struct content *c);
/* Copies `len` bytes from `offset`; both must lie inside. */
bool content_read(const struct content *c, int64_t offset, void *out,
    size_t len, struct err *err) MUST_USE;
/* Not NULL when all bytes are in memory. */
const void *content_bytes(const struct content *c);

#endif
