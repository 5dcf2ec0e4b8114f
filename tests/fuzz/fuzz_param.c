/*
 * fuzz_param.c - policy/param.h: what a record says reads as the same record
 *
 * The first byte picks the set, the rest is a table as JSON.
 */
#include "base/arena.h"
#include "base/json.h"
#include "policy/param.h"
#include "tests/fuzz/fuzz.h"

static void check_set(
    const struct param_set *set, const struct value *table, struct arena *arena)
{
	void *record = arena_alloc(arena, set->record_size);
	void *record_again = arena_alloc(arena, set->record_size);
	struct value v, again;
	struct err err = {0};

	if (!param_parse(set, table, arena, record, &err)) {
		FUZZ_CHECK(err.text[0]);
		return;
	}
	v = param_read_all(set, record, arena);
	if (!param_parse(set, &v, arena, record_again, &err)) {
		(void)fprintf(stderr, "%s\n", err.text);
		FUZZ_CHECK(!"what was printed parses");
	}
	again = param_read_all(set, record_again, arena);
	FUZZ_CHECK(value_eq(&v, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena;
	struct value table;
	char *text;

	if (!size)
		return 0;
	text = fuzz_text(data + 1, size - 1);
	arena = arena_new(0);
	if (json_parse(text, size - 1, arena, &table, NULL))
		check_set(
		    param_sets[(data[0] - (unsigned)'a') % param_set_count],
		    &table, arena);
	arena_unref(arena);
	free(text);
	return 0;
}
