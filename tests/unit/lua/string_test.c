/*
 * string_test.c - kumo.string: plain text
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"replace", "return kumo.string.replace('a.b.c', '.', '%1')",
	"\"a%1b%1c\""},
    {"replace nothing", "return kumo.string.replace('ab', '', '-')",
	"\"-a-b-\""},
    {"replacen", "return kumo.string.replacen('a.b.c', '.', '', 1)",
	"\"ab.c\""},
    {"replacen none", "return kumo.string.replacen('a.b', '.', '', 0)",
	"\"a.b\""},
    {"split", "return kumo.string.split('a,b,,c', ',')",
	"[\"a\",\"b\",\"\",\"c\"]"},
    {"split at an end", "return kumo.string.split(',', ',')", "[\"\",\"\"]"},
    {"split by nothing", "kumo.string.split('a', '')", "empty separator"},
    {"splitn", "return kumo.string.splitn('a=b=c', 2, '=')", "[\"a\",\"b=c\"]"},
    {"rsplit", "return kumo.string.rsplit('a.b.c', '.')",
	"[\"c\",\"b\",\"a\"]"},
    {"rsplitn", "return kumo.string.rsplitn('a.b.c', 2, '.')",
	"[\"c\",\"a.b\"]"},
    {"words", "return kumo.string.split_whitespace(' a\\t b\\n\\u{3000}c ')",
	"[\"a\",\"b\",\"c\"]"},
    {"ascii words",
	"return #kumo.string.split_ascii_whitespace(' a\\u{3000}c d')", "2"},
    {"no words", "return next(kumo.string.split_whitespace '  ') == nil",
	"true"},
    {"trim", "return '<' .. kumo.string.trim(' \\t a b\\r\\n\\u{a0}') .. '>'",
	"\"<a b>\""},
    {"trim_start", "return '<' .. kumo.string.trim_start('  a ') .. '>'",
	"\"<a >\""},
    {"trim_end", "return '<' .. kumo.string.trim_end('  a ') .. '>'",
	"\"<  a>\""},
    {"trim all", "return kumo.string.trim '   ' == ''", "true"},
    {"starts_with",
	"return {kumo.string.starts_with('abc', 'ab'), "
	"kumo.string.starts_with('a', 'ab')}",
	"[true,false]"},
    {"ends_with",
	"return {kumo.string.ends_with('abc', 'bc'), "
	"kumo.string.ends_with('c', 'bc')}",
	"[true,false]"},
    {"wrap", "return kumo.string.wrap('aaa bbb ccc', 7)",
	"\"aaa bbb\\r\\n\\tccc\""},
    {"wrap a long word", "return kumo.string.wrap('abcdefgh', 3, 5)",
	"\"abcde\\r\\n\\tfgh\""},
    {"a template",
	"return kumo.string.eval_template('t', 'Hi {{ meta.who | upper }}', "
	"{meta={who='you'}})",
	"\"Hi YOU\""},
    {"a template whose name says how to escape",
	"return kumo.string.eval_template('t.html', "
	"'{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}"
	"{% endfor %}', {l={'<', 'b'}})",
	"\"&lt;, b\""},
    {"a template of another kind",
	"kumo.string.eval_template('t', '', {}, 'Handlebars')",
	"not supported yet"},
    {"later", "kumo.string.psl_domain 'a.example'",
	"kumo.string.psl_domain is not supported yet"},
};

EVAL_SUITE(string, plain_text_is_taken_apart)
