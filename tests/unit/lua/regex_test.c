/*
 * regex_test.c - kumo.regex
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"is_match",
	"local r = kumo.regex.compile '^a+$' return {r:is_match 'aaa', "
	"r:is_match 'b'}",
	"[true,false]"},
    {"find",
	"local r = kumo.regex.compile '\\\\d+' return {r:find 'a12b3', r:find "
	"'x' == nil}",
	"[\"12\",true]"},
    {"find_all", "return kumo.regex.compile('\\\\d+'):find_all 'a12b3'",
	"[\"12\",\"3\"]"},
    {"empty matches", "return #kumo.regex.compile('x*'):find_all 'aé'", "3"},
    {"captures",
	"local c = "
	"kumo.regex.compile('(?P<user>\\\\w+)@(?<host>\\\\w+)(!)?'):captures "
	"'to me@here' return {c[0], c[1], c.user, c.host, c[3] == nil}",
	"[\"me@here\",\"me\",\"me\",\"here\",true]"},
    {"no captures", "return kumo.regex.compile('x'):captures 'y' == nil",
	"true"},
    {"look-around",
	"return kumo.regex.compile('(?<=a)b(?!c)'):find_all 'abc abd b'",
	"[\"b\"]"},
    {"replace",
	"return kumo.regex.compile('(\\\\w)(\\\\w)'):replace('ab cd', "
	"'${2}$1$$$9')",
	"\"ba$ cd\""},
    {"replace_all",
	"return kumo.regex.compile('(?<x>\\\\w)\\\\w'):replace_all('ab cd', "
	"'<$x>')",
	"\"<a> <c>\""},
    {"split", "return kumo.regex.compile('\\\\s*,\\\\s*'):split 'a , b,c'",
	"[\"a\",\"b\",\"c\"]"},
    {"escape",
	"return kumo.regex.compile('^' .. kumo.regex.escape('a.b*[c]') .. "
	"'$'):is_match 'a.b*[c]'",
	"true"},
    {"bytes that are no text",
	"return kumo.regex.compile('b'):is_match('\\xff\\xfeb')", "true"},
    {"a bad one", "kumo.regex.compile '(a'",
	"regular expression at character 3"},
    {"too much work",
	"return kumo.regex.compile('^(a+)+$'):is_match(('a'):rep(200) .. 'b')",
	"match limit exceeded"},
    {"as a module", "return require 'regex' == kumo.regex", "true"},
};

EVAL_SUITE(regex, an_expression_matches_in_bounded_time)
