/* json_test.c - base/json.h */
#include "tests/unit/base/base_test.h"

#include <math.h>

#include "base/arena.h"
#include "base/json.h"

static const struct {
	const char *in, *out; /* out NULL: refused */
} texts[] = {
    {"null", "null"},
    {" true ", "true"},
    {"9223372036854775807", "9223372036854775807"},
    {"-1", "-1"},
    {"9223372036854775808", NULL},
    {"1.5", "1.5"},
    {"5.0", "5.0"},
    {"0.1", "0.1"},
    {"1e300", "1e+300"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"\"a\\u0000b\\u001f\"", "\"a\\u0000b\\u001f\""},
    {"\"\\u00e4\\/\"", "\"\xc3\xa4/\""},
    {"\"\\\"\\\\\\b\\f\\n\\r\\t\"", "\"\\\"\\\\\\b\\f\\n\\r\\t\""},
    {"[]", "[]"},
    {"{ }", "{}"},
    {"[1, [2, {\"b\": 1, \"a\": 2}]]", "[1,[2,{\"b\":1,\"a\":2}]]"},
    {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
    {"", NULL},
    {"{", NULL},
    {"[1,]", NULL},
    {"1 2", NULL},
    {"\"\xff\"", NULL},
    {"\"\x01\"", NULL},
};

START_TEST(reads_and_writes)
{
	struct arena *arena = arena_new(0);
	struct buf out = BUF_INIT;
	struct err err = {0};
	struct value v;
	bool ok =
	    json_parse(texts[_i].in, strlen(texts[_i].in), arena, &v, &err);

	ck_assert_msg(ok == !!texts[_i].out, "%s: %s", texts[_i].in, err.text);
	if (ok) {
		json_write(&out, &v);
		ck_assert_str_eq(buf_str(&out), texts[_i].out);
	} else {
		ck_assert_int_eq(strncmp(err.text, "invalid JSON", 12), 0);
	}
	buf_release(&out);
	arena_unref(arena);
}
END_TEST

START_TEST(depth_is_limited)
{
	struct arena *arena = arena_new(0);
	char text[201];
	struct err err = {0};
	struct value v;

	for (size_t depth = 64; depth <= 65; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		ck_assert(json_parse(text, 2 * depth, arena, &v, &err) ==
			  (depth == 64));
	}
	ck_assert_str_eq(err.text, "JSON is nested more than 64 levels deep");
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *in, *out;
} strings[] = {
    {"plain text", "\"plain text\""},
    {"", "\"\""},
    {"a\xff"
     "b",
	"\"a\xef\xbf\xbd"
	"b\""},
    {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
    {"\x7f\x1b", "\"\\u007f\\u001b\""},
    {"\xe2\x82\xac", "\"\xe2\x82\xac\""},
};

START_TEST(any_bytes_become_json)
{
	struct buf out = BUF_INIT;

	json_write_string(&out, strings[_i].in, strlen(strings[_i].in));
	ck_assert_str_eq(buf_str(&out), strings[_i].out);
	buf_release(&out);
}
END_TEST

START_TEST(objects_are_built_by_hand)
{
	struct value list = {.type = VALUE_LIST};
	struct value nan_value = {.type = VALUE_NUMBER, .n = NAN};
	struct buf out = BUF_INIT;
	struct json_object o;

	json_open(&o, &out);
	json_add_string(&o, "s", "x");
	json_add_string(&o, "n", NULL);
	json_add_int(&o, "i", -5);
	json_add_bool(&o, "b", true);
	json_add_value(&o, "l", &list);
	json_add_value(&o, "nan", &nan_value);
	json_add_raw(&o, "r", "{}", 2);
	json_close(&o);
	ck_assert_str_eq(buf_str(&out),
	    "{\"s\":\"x\",\"n\":null,\"i\":-5,\"b\":true,\"l\":[],\"nan\":null,"
	    "\"r\":{}}");
	buf_release(&out);
}
END_TEST

TCase *json_tests(void)
{
	TCase *tc = tcase_create("json");

	tcase_add_loop_test(tc, reads_and_writes, 0, COUNT(texts));
	tcase_add_test(tc, depth_is_limited);
	tcase_add_loop_test(tc, any_bytes_become_json, 0, COUNT(strings));
	tcase_add_test(tc, objects_are_built_by_hand);
	return tc;
}
