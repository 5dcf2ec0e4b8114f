/*
 * serde_test.c - kumo.serde: JSON, TOML, YAML
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"json both ways",
	"return kumo.serde.json_encode(kumo.json_parse "
	"'{\"b\": [1, 2.5, null], \"a\": {}}')",
	"\"{\\\"a\\\":{},\\\"b\\\":[1,2.5]}\""},
    {"json with comments",
	"return kumo.serde.json_parse '{ // x\\n \"a\": \"//\", # y\\n /* "
	"*/ \"b\":1}'",
	"{\"a\":\"//\",\"b\":1}"},
    {"pretty json", "return kumo.serde.json_encode_pretty{b={1}, a={}}",
	"\"{\\n  \\\"a\\\": {},\\n  \\\"b\\\": [\\n    1\\n  ]\\n}\""},
    {"json of a function", "kumo.serde.json_encode{f=print}",
	"a function cannot be used"},
    {"json of infinity", "kumo.serde.json_encode(1/0)", "finite"},
    {"a missing json file", "kumo.serde.json_load '/nonexistent.json'",
	"/nonexistent.json"},
    {"not json", "kumo.serde.json_parse '{'", "json_parse: "},
    {"case 167: comments and null",
	"local t = kumo.serde.json_parse('{\"a\":1, /* c */ \"b\":null}') "
	"return {t.a, t.b == nil}",
	"[1,true]"},
    {"case 167: a list", "return kumo.serde.json_encode{1,2}", "\"[1,2]\""},
    {"case 167: a missing toml file",
	"kumo.serde.toml_load '/nonexistent.toml'", "/nonexistent.toml"},
    {"toml",
	"return kumo.serde.toml_parse 'a = 1\\n[b.\"x.y\"]\\n"
	"c = [true, 2.5, \"t\"]\\n[[d]]\\ne = 0x10\\n[[d]]\\n'",
	"{\"a\":1,\"b\":{\"x.y\":{\"c\":[true,2.5,\"t\"]}},"
	"\"d\":[{\"e\":16},{}]}"},
    {"toml dates", "return kumo.toml_parse 'd = 2026-11-21'",
	"{\"d\":{\"$__toml_private_datetime\":\"2026-11-21\"}}"},
    {"not toml", "kumo.toml_parse 'a = \\nb'", "toml_parse: line 1, column "},
    {"toml too deep",
	"kumo.toml_parse('a = ' .. ('['):rep(100) .. (']'):rep(100))", "deep"},
    {"toml written",
	"return kumo.serde.toml_encode{z = 1, a = 'x\"y', "
	"t = {['p.q'] = {n = 1.0}}, l = {{k = true}, {}}, e = {}}",
	"\"a = \\\"x\\\\\\\"y\\\"\\nz = 1\\n\\n[e]\\n\\n[[l]]\\nk = true\\n\\n"
	"[[l]]\\n\\n[t]\\n\\n[t.\\\"p.q\\\"]\\nn = 1.0\\n\""},
    {"toml read back",
	"local t = {a = {1, {b = {2}}, 'x\\n\\0y'}, ['k y'] = -1.5e300} "
	"local again = kumo.toml_parse(kumo.serde.toml_encode_pretty(t)) "
	"return kumo.json_encode(again) == kumo.json_encode(t)",
	"true"},
    {"toml of a list", "kumo.toml_encode{1}", "a TOML document is a table"},
    {"toml of an empty table", "return kumo.toml_encode{}", "\"\""},
    {"yaml",
	"return kumo.serde.yaml_parse 'a: 1\\nb: [x, 2.5, 0x1f]\\n"
	"c:\\n  - d: yes\\n    e: \"1\"\\n  - true\\n'",
	"{\"a\":1,\"b\":[\"x\",2.5,31],"
	"\"c\":[{\"d\":\"yes\",\"e\":\"1\"},true]}"},
    {"yaml aliases", "return kumo.serde.yaml_parse 'a: &x {b: 1}\\nc: *x'",
	"{\"a\":{\"b\":1},\"c\":{\"b\":1}}"},
    {"yaml that multiplies",
	"local t = 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]\\n' "
	"for i = 1, 9 do t = t .. ('a%d: &a%d [' .. "
	"(('*a%d,'):rep(10)):gsub('%%d', i - 1) .. ']\\n'):format(i, i) end "
	"kumo.serde.yaml_parse(t)",
	"more than a million values"},
    {"not yaml", "kumo.serde.yaml_parse 'a: [1'", "yaml_parse: line "},
    {"nothing", "return kumo.serde.yaml_parse '' == nil", "true"},
    {"yaml written",
	"return kumo.serde.yaml_encode{a = {1, {b = 'x', c = {}}, {2}}, "
	"d = 'no', e = 'plain', f = '1'}",
	"\"a:\\n  - 1\\n  - b: x\\n    c: {}\\n  - - 2\\nd: \\\"no\\\"\\n"
	"e: plain\\nf: \\\"1\\\"\\n\""},
    {"yaml read back",
	"local t = {a = {{b = {1, 2}}, 'x: y', '- z', '\\1', 1.5, false}} "
	"return kumo.json_encode(kumo.serde.yaml_parse("
	"kumo.serde.yaml_encode(t))) == kumo.json_encode(t)",
	"true"},
    {"a missing yaml file", "kumo.serde.yaml_load '/nonexistent.yaml'",
	"/nonexistent.yaml"},
    {"the old names",
	"return kumo.toml_load == kumo.serde.toml_load and "
	"kumo.json_load == kumo.serde.json_load",
	"true"},
};

EVAL_SUITE(serde, a_text_becomes_a_value_and_back)
