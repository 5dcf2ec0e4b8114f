/*
 * fuzz_limit.c - limits of policy/param.h (policy language, 3.4): 1 or more,
 * as a number or as text, and the same text again
 *
 * The input is the text; as JSON it is a number as well.
 */
#include "base/arena.h"
#include "base/json.h"
#include "policy/param_rows.h"
#include "tests/fuzz/fuzz.h"

struct fuzz_limit {
	uint64_t given[2];
	int64_t limit;
};

static const struct param_spec specs[] = {
    P_LIMIT(fuzz_limit, limit, .help = "What is fuzzed."),
};

static const struct param_set limits = {
    .name = "fuzz",
    .record_size = sizeof(struct fuzz_limit),
    .specs = specs,
    .count = COUNT(specs),
};

static bool parse(
    const struct value *v, struct arena *arena, int64_t *out, struct err *err)
{
	struct value_entry entry = {"limit", *v};
	struct value table = {.type = VALUE_MAP, .count = 1, .entries = &entry};
	struct fuzz_limit record;

	if (!param_parse(&limits, &table, arena, &record, err))
		return false;
	*out = record.limit;
	return true;
}

static void check(const struct value *v, struct arena *arena)
{
	struct value printed;
	struct err err = {0};
	int64_t n, again;
	char digits[32];

	if (v->type == VALUE_NIL)
		return;
	if (!parse(v, arena, &n, &err)) {
		FUZZ_CHECK(strstr(err.text, "limit: "));
		return;
	}
	FUZZ_CHECK(v->type == VALUE_STRING || v->type == VALUE_INT ||
		   v->type == VALUE_NUMBER);
	FUZZ_CHECK(n >= 1);
	(void)snprintf(digits, sizeof digits, "%lld", (long long)n);
	printed = value_string(arena, digits, strlen(digits));
	/* More digits than any number of text: only as a number. */
	if (n <= INT64_MAX / 10) {
		FUZZ_CHECK(parse(&printed, arena, &again, NULL));
		FUZZ_CHECK(again == n);
	}
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
