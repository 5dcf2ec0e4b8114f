/*
 * fuzz_key_source.c - key sources of policy/param.h (policy language, 3.10):
 * one of three forms, and kept as it was written
 *
 * The input is the source as JSON; as text it is the name of a file.
 */
#include "base/arena.h"
#include "base/json.h"
#include "policy/param_rows.h"
#include "tests/fuzz/fuzz.h"

struct fuzz_key {
	uint64_t given[2];
	const struct value *key;
};

static const struct param_spec specs[] = {
    P_KEY_SOURCE(fuzz_key, key, .help = "What is fuzzed."),
};

static const struct param_set keys = {
    .name = "fuzz",
    .record_size = sizeof(struct fuzz_key),
    .specs = specs,
    .count = COUNT(specs),
};

static bool is_text(const struct value *map, const char *key)
{
	const struct value *v = value_get(map, key);

	return v && v->type == VALUE_STRING;
}

static void check_accepted(const struct value *v)
{
	if (v->type == VALUE_STRING) {
		FUZZ_CHECK(strlen(v->s) == v->len);
		return;
	}
	FUZZ_CHECK(v->type == VALUE_MAP);
	FUZZ_CHECK(is_text(v, "key_data") || is_text(v, "event_name"));
	VALUE_EACH (e, v)
		FUZZ_CHECK(strcmp(e->key, "key_data") == 0 ||
			   strcmp(e->key, "event_name") == 0 ||
			   strcmp(e->key, "event_args") == 0);
}

static void check(const struct value *v, struct arena *arena)
{
	struct value_entry entry = {"key", *v};
	struct value table = {.type = VALUE_MAP, .count = 1, .entries = &entry};
	struct fuzz_key record, record_again;
	struct value printed;
	struct err err = {0};

	if (v->type == VALUE_NIL)
		return;
	if (!param_parse(&keys, &table, arena, &record, &err)) {
		FUZZ_CHECK(strstr(err.text, "key: "));
		return;
	}
	check_accepted(record.key);
	FUZZ_CHECK(fuzz_has_nan(v) || value_eq(record.key, v));
	printed = param_read_all(&keys, &record, arena);
	FUZZ_CHECK(param_parse(&keys, &printed, arena, &record_again, NULL));
	FUZZ_CHECK(fuzz_has_nan(v) || value_eq(record_again.key, v));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct value v = value_string(arena, text, size);

	check(&v, arena);
	if (json_parse(text, size, arena, &v, NULL))
		check(&v, arena);
	arena_unref(arena);
	free(text);
	return 0;
}
