/*
 * fuzz.h - what the fuzz targets share
 *
 * A target is one file with LLVMFuzzerTestOneInput(): it hands bytes to a
 * parser and holds what came out against what the parser's header promises.
 * With
 * --enable-fuzz it is a libFuzzer program (`make fuzz TIME=60`); else replay.c
 * is its main and runs it over tests/fuzz/corpus/NAME in `make check`.
 *
 * A finding becomes a file of the corpus, named after what was wrong.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Prints what is not so and aborts. */
#define FUZZ_CHECK(is_so)                                                      \
	((is_so) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #is_so))
static inline void fuzz_fail(const char *file, int line, const char *what)
{
	(void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

/* A copy with a NUL behind it and nothing else, so that ASan sees a byte read
 * too many; free() it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	FUZZ_CHECK(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* Is there anything in it that does not equal itself? */
static inline bool fuzz_has_nan(const struct value *v)
{
	if (v->type == VALUE_NUMBER)
		return v->n != v->n;
	for (size_t i = 0; i < v->count; i++)
		if (fuzz_has_nan(v->type == VALUE_LIST ? &v->items[i]
						       : &v->entries[i].value))
			return true;
	return false;
}

#endif
