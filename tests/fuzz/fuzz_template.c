/*
 * fuzz_template.c - policy/template.h, policy/rate.h: no name leaves its folder
 */
#include "base/arena.h"
#include "base/json.h"
#include "policy/rate.h"
#include "policy/template.h"
#include "tests/fuzz/fuzz.h"

static const char variables_json[] =
    "{\"user\":\"a/b\",\"domain_part\":\"b.test\",\"dots\":\"..\",\"n\":7,"
    "\"list\":[1,\"x\"],\"map\":{\"k\":\"v\",\"none\":null},\"empty\":\"\"}";

static bool check_part(const char *expression, const char *result, size_t len,
    void *ctx, struct err *err)
{
	(void)ctx;
	if (!template_check_file_name(expression, result, len, NULL, err))
		return false;
	FUZZ_CHECK(len && !memchr(result, '/', len));
	FUZZ_CHECK(!(len == 2 && memcmp(result, "..", 2) == 0));
	return true;
}

static void check_rate(const char *text)
{
	struct rate rate, again;
	char printed[96];

	if (!rate_parse(text, &rate, NULL))
		return;
	FUZZ_CHECK(rate.limit >= 0 && rate.period_ms > 0);
	(void)rate_print(printed, &rate);
	FUZZ_CHECK(rate_parse(printed, &again, NULL));
	FUZZ_CHECK(again.limit == rate.limit);
	FUZZ_CHECK(again.period_ms == rate.period_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	const struct template *t;
	struct buf out = BUF_INIT;
	struct value variables;
	struct err err = {0};

	FUZZ_CHECK(json_parse(variables_json, sizeof variables_json - 1, arena,
	    &variables, NULL));
	t = template_compile(text, arena, &err);
	if (!t)
		FUZZ_CHECK(err.text[0]);
	else if (!template_render(t, &variables, check_part, NULL, &out, &err))
		FUZZ_CHECK(err.text[0]);
	check_rate(text);
	buf_release(&out);
	arena_unref(arena);
	free(text);
	return 0;
}
