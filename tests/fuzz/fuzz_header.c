/*
 * fuzz_header.c - mail/header.h: fields lie in the block, one behind the other
 */
#include "base/arena.h"
#include "mail/header.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *block = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct header_field f;
	size_t pos = 0, end = 0;

	while (header_next(block, size, &pos, &f)) {
		FUZZ_CHECK(f.offset >= end);
		end = f.offset + f.len;
		FUZZ_CHECK(end <= size && pos >= end);
		FUZZ_CHECK(f.name >= block + f.offset);
		FUZZ_CHECK(f.name + f.name_len < block + end);
		FUZZ_CHECK(f.value > f.name + f.name_len - 1);
		FUZZ_CHECK(f.value + f.value_len <= block + end);
		(void)header_name_is(&f, "Subject");
		FUZZ_CHECK(header_decode(&f, arena));
	}
	arena_unref(arena);
	free(block);
	return 0;
}
