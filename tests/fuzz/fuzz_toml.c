/*
 * fuzz_toml.c - base/toml.h: what can be written reads as the same value
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/toml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct buf written = BUF_INIT;
	struct value v, again;
	struct err err = {0};

	if (!toml_parse(text, size, arena, &v, &err)) {
		FUZZ_CHECK(err.text[0]);
	} else if (toml_write(&written, &v, size & 1, NULL)) {
		FUZZ_CHECK(
		    toml_parse(written.data, written.len, arena, &again, NULL));
		FUZZ_CHECK(fuzz_has_nan(&v) || value_eq(&v, &again));
	}
	buf_release(&written);
	arena_unref(arena);
	free(text);
	return 0;
}
