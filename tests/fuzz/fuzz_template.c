/*
 * fuzz_template.c - policy/template.h: no name leaves its folder
 *
 * The template, and behind a NUL its variables as JSON.
 */
#include "base/arena.h"
#include "base/json.h"
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

/* JSON behind the first NUL, or what stands above. */
static struct value variables_of(
    const char *behind, size_t len, struct arena *arena)
{
	struct value v;

	if (len && json_parse(behind, len, arena, &v, NULL) &&
	    v.type == VALUE_MAP)
		return v;
	FUZZ_CHECK(json_parse(
	    variables_json, sizeof variables_json - 1, arena, &v, NULL));
	return v;
}

static void check_rendered(
    const struct template *t, const char *text, const struct value *variables)
{
	struct buf out = BUF_INIT, again = BUF_INIT;
	struct err err = {0};
	bool ok = template_render(t, variables, check_part, NULL, &out, &err);

	FUZZ_CHECK(ok || err.text[0]);
	FUZZ_CHECK(template_render(
		       t, variables, check_part, NULL, &again, NULL) == ok);
	FUZZ_CHECK(strcmp(buf_str(&out), buf_str(&again)) == 0);
	if (!strchr(text, '{'))
		FUZZ_CHECK(ok && strcmp(buf_str(&out), text) == 0);
	/* Without a check there is no refusal by one. */
	buf_reset(&again);
	if (ok)
		FUZZ_CHECK(
		    template_render(t, variables, NULL, NULL, &again, NULL));
	buf_release(&again);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	size_t len = strlen(text);
	struct arena *arena = arena_new(0);
	const struct template *t;
	struct value variables;
	struct err err = {0};

	variables = variables_of(
	    text + len + (len < size), size - len - (len < size), arena);
	t = template_compile(text, arena, &err);
	if (!t)
		FUZZ_CHECK(err.text[0]);
	else
		check_rendered(t, text, &variables);
	arena_unref(arena);
	free(text);
	return 0;
}
