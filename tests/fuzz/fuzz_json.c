/*
 * fuzz_json.c - base/json.h: what is written reads as the same value
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct buf written = BUF_INIT;
	struct value v, again;
	struct err err = {0};

	if (json_parse(text, size, arena, &v, &err)) {
		json_write(&written, &v);
		FUZZ_CHECK(
		    json_parse(written.data, written.len, arena, &again, NULL));
		FUZZ_CHECK(value_eq(&v, &again));
	} else {
		FUZZ_CHECK(err.text[0]);
	}
	/* Any bytes become a string. */
	buf_reset(&written);
	buf_addch(&written, '[');
	json_write_string(&written, text, size);
	buf_addch(&written, ']');
	FUZZ_CHECK(json_parse(written.data, written.len, arena, &again, NULL));
	buf_release(&written);
	arena_unref(arena);
	free(text);
	return 0;
}
