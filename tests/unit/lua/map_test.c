/*
 * map_test.c - kumo.domain_map, cidr.make_map, regex_set_map
 */
#include "lua_test.h"

static const struct eval_case cases[] = {
    {"case 165: a wildcard",
	"local m = kumo.domain_map.new{['*.example.com']=1} return "
	"{m['a.example.com'], m['a.b.example.com'], m['example.com'] == nil}",
	"[1,1,true]"},
    {"case 165: a node hides it",
	"local m = kumo.domain_map.new{['*.example.com']=1, "
	"['x.y.example.com']=2} return {m['y.example.com'] == nil, "
	"m['x.y.example.com'], m['z.y.example.com'] == nil, "
	"m['z.example.com']}",
	"[true,2,true,1]"},
    {"the example of the language",
	"local m = kumo.domain_map.new() m['*.example.com'] = 'w' "
	"m['omg.wtf.woot.example.com'] = 'omg' return {m['woot.example.com'] "
	"== nil, m['wtf.woot.example.com'] == nil, m['x.woot.example.com'] == "
	"nil, m['omg.wtf.woot.example.com'], m['lemon.example.com']}",
	"[true,true,true,\"omg\",\"w\"]"},
    {"the star alone",
	"local m = kumo.domain_map.new{['*']=0, ['a.com']=1} return "
	"{m['b.org'], m['b.com'] == nil, m['com'] == nil, m['a.com']}",
	"[0,true,true,1]"},
    {"an exact key wins",
	"local m = kumo.domain_map.new{['*.a']=1, ['b.a']=2} return m['b.a']",
	"2"},
    {"removal uncovers",
	"local m = kumo.domain_map.new{['*.a']=1, ['c.b.a']=2} m['c.b.a'] = "
	"nil return m['b.a']",
	"1"},
    {"pairs and length",
	"local m, n = kumo.domain_map.new{['*.a']=1, b=2}, 0 for k, v in "
	"pairs(m) do m['z' .. v] = v n = n + 1 end return {n, #m}",
	"[2,4]"},
    {"functions as values",
	"local m = kumo.domain_map.new() m.a = print return m.a == print",
	"true"},
    {"from a memoized table",
	"local f = kumo.memoize(function() return {['*.a']={x=1}} end, "
	"{name='dm', ttl='1m', capacity=2}) return "
	"kumo.domain_map.new(f())['q.a'].x",
	"1"},
    {"memoized as a map",
	"local f = kumo.memoize(function() return "
	"{m=kumo.domain_map.new{['*.a']=1}} end, {name='dm2', ttl='1m', "
	"capacity=2}) f() return f().m['q.a']",
	"1"},
    {"as a value it is a table", "return kumo.domain_map.new{['*.a']={1}}",
	"{\"*.a\":[1]}"},
    {"an odd name",
	"local m = kumo.domain_map.new{['']=1} return {m[''], m['.'] == nil, "
	"m['a.'] == nil}",
	"[1,true,true]"},
    {"no name", "kumo.domain_map.new{[1]=1}", "a key must be a domain name"},
    {"no table", "kumo.domain_map.new 'x'", "table expected"},
    {"case 166: the longest prefix",
	"local m = kumo.cidr.make_map{['10.0.0.0/8']='w',['10.1.0.0/16']='n'} "
	"return {m['10.1.2.3:25'], m['10.2.2.3'], m['[10.1.0.1]'], "
	"m['[10.1.0.1]:9'], m['11.0.0.1'] == nil, m['nonsense'] == nil}",
	"[\"n\",\"w\",\"n\",\"n\",true,true]"},
    {"families",
	"local m = kumo.cidr.make_map{['::/0']=6,['0.0.0.0/0']=4} return "
	"{m['::1'], m['[::1]:25'], m['1.2.3.4'], m['::ffff:1.2.3.4']}",
	"[6,6,4,4]"},
    {"any",
	"local m = kumo.cidr.make_map{any=0,['10.0.0.0/8']=1} return "
	"{m['10.0.0.1'], m['11.0.0.1'], m['::1']}",
	"[1,0,0]"},
    {"assignment",
	"local m = kumo.cidr.make_map() m['[10.0.0.1]:25'] = 1 "
	"m['2001:db8::/32'] = 2 local was = m['10.0.0.1'] m['10.0.0.1'] = nil "
	"return {was, m['10.0.0.1'] == nil, m['2001:db8::5'], #m}",
	"[1,true,2,1]"},
    {"bits beyond the length", "kumo.cidr.make_map{['10.0.0.1/24']=1}",
	"did you mean 10.0.0.0/24"},
    {"memoized cidr map",
	"local f = kumo.memoize(function() return "
	"kumo.cidr.make_map{['10.0.0.0/8']={x=1}} end, {name='cm', ttl='1m', "
	"capacity=2}) f() return f()['10.9.9.9'].x",
	"1"},
    {"a map as a parameter",
	"return kumo.make_listener_domain{relay_to=true} and "
	"kumo.json_encode(kumo.cidr.make_map{['10.0.0.1/32']=1})",
	"{\\\"10.0.0.1\\\":1}"},
    {"a set",
	"local m = kumo.regex_set_map.new{['^a']=1, ['b$']=2} return {m['ax'], "
	"m['xb'], m['c'] == nil}",
	"[1,2,true]"},
    {"a bad set", "kumo.regex_set_map.new{['(']=1}",
	"regular expression at character"},
    {"sets do not change", "kumo.regex_set_map.new{a=1}.b = 2",
	"cannot be changed"},
};

EVAL_SUITE(map, a_map_finds_what_is_stored)
