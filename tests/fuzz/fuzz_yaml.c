/*
 * fuzz_yaml.c - base/yaml.h: what is written reads as the same value
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/yaml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct buf written = BUF_INIT;
	struct value v, again;
	struct err err = {0};

	if (yaml_parse(text, size, arena, &v, &err)) {
		yaml_write(&written, &v);
		FUZZ_CHECK(
		    yaml_parse(written.data, written.len, arena, &again, NULL));
		FUZZ_CHECK(fuzz_has_nan(&v) || value_eq(&v, &again));
	} else {
		FUZZ_CHECK(err.text[0]);
	}
	buf_release(&written);
	arena_unref(arena);
	free(text);
	return 0;
}
