#include "policy/template.h"

#include "policy_test.h"
#include "test_values.h"

static const char variables[] =
    "{\"local_part\": \"Ann\", \"domain_part\": \"d.example\","
    " \"tenant\": null, \"n\": 5, \"pi\": 3.5, \"yes\": true,"
    " \"list\": [\"a\", \"b\"], \"key\": \"x-y\", \"u\": \"\\u00e4b\","
    " \"meta\": {\"tenant\": \"t1\", \"x-y\": \"z\", \"deep\": {\"er\": 1}}}";

static const struct {
	const char *template;
	const char *want; /* after "!": words of the error */
} cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"/m/{{domain_part}}/{{local_part}}", "/m/d.example/Ann"}, /* case 147 */
    {"/m/{{ domain_part }}/{{ local_part }}", "/m/d.example/Ann"},
    {"{{ meta.tenant }}", "t1"},
    {"{{ meta['x-y'] }}", "z"},
    {"{{ meta[\"x-y\"] }}", "z"},
    {"{{ meta[key] }}", "z"},
    {"{{ meta.deep.er }}", "1"},
    {"{{ list[1] }}", "b"},
    {"{{ list[7] }}", ""},
    {"{{ n }} {{ pi }} {{ yes }}", "5 3.5 true"},
    {"{{ 'it''s' }}", "!expected }}"},
    {"{{ 'it\\'s' }}", "it's"},
    {"{{ \"a\\nb\" }}", "a\nb"},
    {"{{ 42 }}", "42"},
    {"a{# no #}b", "ab"},
    {"{ not one }", "{ not one }"},
    {"50% {x} {", "50% {x} {"},
    {"{{ tenant }}", ""},
    {"{{ nobody }}", ""},
    {"{{ meta.nobody }}", ""},
    {"{{ nobody.at.home }}", "!a lookup in something that is not defined"},
    {"{{ local_part | lower }}", "ann"},
    {"{{ local_part|upper }}", "ANN"},
    {"{{ '  x ' | trim }}|", "x|"},
    {"{{ tenant | default('none') }}", "none"},
    {"{{ tenant | default(local_part) | lower }}", "ann"},
    {"{{ local_part | default('none') }}", "Ann"},
    {"{{ domain_part | replace('.', '_') }}", "d_example"},
    {"{{ 'aaa' | replace('a', 'aa') }}", "aaaaaa"},
    {"{{ 'a' | replace('', 'x') }}", "!nothing to look for"},
    {"{{ list | tojson }}", "[\"a\",\"b\"]"},
    {"{{ local_part | tojson }}", "\"Ann\""},
    {"{{ tenant | tojson }}", "null"},
    {"{{ list | length }}", "2"},
    {"{{ u | length }}", "2"},
    {"{{ n | length }}", "!length: a"},
    {"{{ local_part", "!expected }}"},
    {"{{ }}", "!expected a name"},
    {"{{ a b }}", "!expected }}"},
    {"{{ a. }}", "!expected a name after the dot"},
    {"{{ a[ }}", "!expected a name, a string or a number"},
    {"{{ a['x }}", "!a string does not end"},
    {"{{ 1.2.3 }}", "!not a number"},
    {"{{ a | nosuch }}", "!line 1, column 8: no such filter"},
    {"{{ a | default }}", "!too few arguments"},
    {"{{ a | lower(1) }}", "!too many arguments"},
    {"{{ a | replace('x', 'y', 'z') }}", "!too many arguments"},
    {"{# open", "!a comment does not end"},
    /* if */
    {"{% if yes %}a{% endif %}", "a"},
    {"{% if nobody %}a{% endif %}", ""},
    {"{% if nobody %}a{% else %}b{% endif %}", "b"},
    {"{% if n == 4 %}a{% elif n == 5 %}b{% else %}c{% endif %}", "b"},
    {"{% if n == 3 %}a{% elif n == 4 %}b{% else %}c{% endif %}", "c"},
    {"{% if '' or 0 or false or none %}a{% else %}b{% endif %}", "b"},
    {"{% if list and meta and 'x' and 1 and 0.5 %}a{% endif %}", "a"},
    {"{% if n == 5 %}{% if yes %}a{% endif %}{% endif %}b", "ab"},
    {"{% if x %}", "!expected {% endif %}, of the statement in line 1"},
    {"a\n{% if x %}\n{% endfor %}", "!line 3, column 4: expected {% endif %}"},
    {"{% if %}{% endif %}", "!expected a name, a string or a number"},
    {"{% if x }}{% endif %}", "!expected %}"},
    {"a{% endif %}", "!endif does not belong here"},
    {"{% else %}", "!else does not belong here"},
    {"{% if x %}{% else %}{% elif y %}{% endif %}", "!expected {% endif %}"},
    /* for */
    {"{% for x in list %}{{ x }},{% endfor %}", "a,b,"},
    {"{% for x in list %}{{ x }}{% if not loop.last %}, {% endif %}"
     "{% endfor %}",
	"a, b"},
    {"{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.length }}"
     "{{ loop.first }}{{ loop.last }};{% endfor %}",
	"102truefalse;212falsetrue;"},
    {"{% for x in list %}{{ loop.revindex }}{{ loop.revindex0 }}{% endfor %}",
	"2110"},
    {"{% for x in nobody %}a{% else %}none{% endfor %}", "none"},
    {"{% for k, v in meta.deep %}{{ k }}={{ v }}{% endfor %}", "er=1"},
    {"{% for k, v in meta.deep | items %}{{ k }}={{ v }}{% endfor %}", "er=1"},
    {"{% for k in meta %}{{ k }} {% endfor %}", "tenant x-y deep "},
    {"{% for c in u %}{{ c }}.{% endfor %}", "\xc3\xa4.b."},
    {"{% for a, b in list %}{% endfor %}", "!expected a map or pairs"},
    {"a\n\n{% for x in n %}{% endfor %}",
	"!line 3: n: expected a list, a map or a string, not a"},
    {"{% for x in list %}{% for y in list %}{{ x }}{{ y }} {% endfor %}"
     "{% endfor %}",
	"aa ab ba bb "},
    {"{% for x in list %}{% endfor %}{{ x }}{{ loop }}", ""},
    {"{% for in list %}", "!expected the name of a variable"},
    {"{% for x list %}", "!expected in"},
    {"{% for x in list %}", "!expected {% endfor %}"},
    /* set */
    {"{% set a = n %}{{ a }}", "5"},
    {"{% set n = 'x' ~ n %}{{ n }}", "x5"},
    {"{% if yes %}{% set a = 1 %}{% endif %}{{ a }}", "1"},
    {"{% set a = 1 %}{% for x in list %}{% set a = 2 %}{% endfor %}{{ a }}",
	"1"},
    {"{% set a %}", "!expected ="},
    {"{% set if = 1 %}", "!expected the name of a variable"},
    /* operators */
    {"{{ 1 == 1.0 }} {{ 'a' == 'b' }} {{ n != 5 }}", "true false false"},
    {"{{ 1 < 2 }}{{ 2 <= 2 }}{{ 1 > 2 }}{{ 2.5 >= 2 }}", "truetruefalsetrue"},
    {"{{ 'a' < 'b' }}{{ 'ab' < 'a' }}", "truefalse"},
    {"{{ 'a' < 1 }}", "!expected two numbers or two strings to compare"},
    {"{{ nobody == none }}", "true"},
    {"{{ not yes }} {{ not not yes }}", "false true"},
    {"{{ tenant or 'x' }} {{ n and 'y' }}", "x y"},
    {"{{ false and nobody.at.home }}", "false"},
    {"{{ yes or no and no }}", "true"},
    {"{{ (yes or no) and nobody }}", ""},
    {"{{ 'a' in list }}{{ 'c' in list }}{{ 'c' not in list }}",
	"truefalsetrue"},
    {"{{ 'nn' in local_part }}{{ 'tenant' in meta }}{{ 1 in nobody }}",
	"truetruefalse"},
    {"{{ domain_part in ['a.example', 'd.example'] }}", "true"},
    {"{{ 1 in n }}", "!expected a list, a map or a string behind in"},
    {"{{ 'a' not list }}", "!expected in after not"},
    {"{{ local_part ~ '@' ~ domain_part | upper }}", "Ann@D.EXAMPLE"},
    {"{{ 'n' ~ n ~ nobody }}", "n5"},
    {"{{ -5 < 0 }}{{ list[-1] }}", "trueb"},
    {"{{ n is defined }}{{ nobody is not defined }}{{ n is number }}",
	"truetruetrue"},
    {"{{ n is nonsense }}", "!no such test"},
    {"{{ [list] }}", "!expected a string, a number or a boolean in a list"},
    {"{{ [1, 'a'] }} {{ [] }}", "[1,\"a\"] []"},
    /* white space */
    {"a {{- n -}} b", "a5b"},
    {"a {%- if yes -%} b {%- endif -%} c", "abc"},
    {"a {#- no -#} b", "ab"},
    {"a \n{{- n }} b", "a5 b"},
    {"{{ n - }}", "!expected }}"},
    /* filters */
    {"{{ list | join(', ') }}{{ list | join }}", "a, bab"},
    {"{{ list | first }}{{ list | last }}{{ nobody | first }}", "ab"},
    {"{{ u | first }}{{ u | last }}", "\xc3\xa4"
				      "b"},
    {"{{ 'a.b..c' | split('.') | tojson }}", "[\"a\",\"b\",\"\",\"c\"]"},
    {"{{ ' a  b ' | split | tojson }}", "[\"a\",\"b\"]"},
    {"{{ 'a' | split('') }}", "!split: expected text to split at"},
    {"{{ meta.deep | items | tojson }}", "[[\"er\",1]]"},
    {"{{ n | items }}", "!items: expected a map, not a"},
    {"{{ ['a', '', 0, 'b'] | select | join }}", "ab"},
    {"{{ ['a', '', 'b'] | reject | length }}", "1"},
    {"{{ list | reject('eq', 'a') | join }}", "b"},
    {"{{ list | select('in', ['b', 'c']) | join }}", "b"},
    {"{{ list | select('nonsense') }}", "!expected the name of a test"},
    {"{{ list | select('eq') }}", "!expected the name of a test"},
    {"{{ ' 42 ' | int < 43 }}{{ 3.9 | int }}{{ true | int }}", "true31"},
    {"{{ 'x' | int }}", "!int: expected a number"},
    {"{{ 'x' | int(7) }}", "7"},
    {"{{ 'ann o-hara SMITH' | title }}", "Ann O-Hara Smith"},
    {"{{ ['b', 'C', 'a'] | sort | join }}", "abC"},
    {"{{ [10, 9, 1.5] | sort | join(' ') }}", "1.5 9 10"},
    {"{{ [1, 'a'] | sort }}", "!expected two numbers or two strings"},
    {"{{ ['a', 'b', 'a'] | unique | join }}", "ab"},
    {"{{ 'a<b' | safe }}", "a<b"},
    {"{{ a | batch(2) }}", "!filter batch is not supported yet"},
    {"{{ a | sort(reverse=true) }}", "!too many arguments"},
    {"{{ a | split(sep='x') }}", "!arguments by name are not supported yet"},
    {"{% include 'x' %}", "!statement include is not supported yet"},
    {"{% nonsense %}", "!expected if, for or set"},
    {"{% %}", "!expected if, for or set"},
    /* methods */
    {"{{ local_part.lower() }}{{ local_part.upper() }}", "annANN"},
    {"{{ local_part.startswith('A') }}{{ local_part.startswith('n') }}",
	"truefalse"},
    {"{{ local_part.endswith('nn') }}{{ local_part.endswith('xAnn') }}",
	"truefalse"},
    {"{{ domain_part.split('.')[0] }}", "d"},
    {"{{ ' x '.strip() }}{{ '--x-'.strip('-') }}", "xx"},
    {"{{ domain_part.replace('.', '_').upper() }}", "D_EXAMPLE"},
    {"{{ n.lower() }}", "!lower: expected a string before the dot"},
    {"{{ local_part.nonsense() }}", "!no such method"},
    {"{{ local_part.startswith() }}", "!too few arguments of startswith"},
    {"{{ (n }}", "!expected )"},
    {"a\n{{ n }}\n {{ nobody.x.y }}", "!line 3: nobody.x.y: a lookup in"},
    /* depth */
    {"{{ ((((((((((((((((((((((((((((((((((1)))))))))))))))))))))))))))))))))) "
     "}}",
	"!nested too deeply"},
};

/* Into `out`, NUL-terminated; false with a text in err. */
static bool render(const char *text, template_check_fn *check, struct buf *out,
    struct err *err)
{
	struct value v = json(variables);
	const struct template *t = template_compile(text, arena, err);

	return t && template_render(t, &v, check, NULL, out, err);
}

START_TEST(renders_or_says_why_not)
{
	struct buf out = BUF_INIT;
	struct err err = {0};
	const char *want = cases[_i].want;
	bool ok = render(cases[_i].template, NULL, &out, &err);

	ck_assert_msg(ok == (*want != '!'), "%s: %s", cases[_i].template,
	    ok ? buf_str(&out) : err.text);
	if (ok)
		ck_assert_str_eq(buf_str(&out), want);
	else
		ck_assert_msg(strstr(err.text, want + 1), "%s: %s",
		    cases[_i].template, err.text);
	buf_release(&out);
}
END_TEST

static const struct {
	const char *template;
	bool fit;
} paths[] = {
    {"/m/{{ domain_part }}/{{ local_part }}", true},
    {"/m/{{ '../../x' }}", false}, /* case 150 */
    {"/m/{{ 'a/b' }}", false}, {"/m/{{ '.' }}", false},
    {"/m/{{ '..' }}", false}, {"/m/{{ '...' }}", true}, {"/m/{{ '.a' }}", true},
    {"/m/{{ '' }}", false}, {"/m/{{ tenant }}", false},
    {"/m/{{ tenant | default('none') }}", true},
    {"/m/{{ 'a/b' | replace('/', '_') }}", true},
    {"/m/{{ 'a' ~ '/' ~ 'b' }}", false}, {"/m/{{ '.' ~ '.' }}", false},
    {"/m/{{ 'x' | replace('x', '../y') | safe }}", false},
    {"/m/{{ ['a', 'b'] | join('/') }}", false},
    {"/m/{% for x in ['a', '..'] %}{{ x }}/{% endfor %}", false},
    {"/m/{% for x in '..' %}{{ x }}{% endfor %}", false},
    {"/m/{% for x in domain_part.split('.') %}{{ x }}/{% endfor %}", true},
    {"/m/{% set x = '../y' %}{% if x %}{{ x }}{% endif %}", false},
    {"/m/{% if tenant %}{{ tenant }}{% else %}none{% endif %}", true},
    {"/m/{% if local_part.startswith('A') %}a/{% endif %}{{ local_part }}",
	true},
    {"/../x", true}, /* the author's own text is the author's */
};

START_TEST(values_do_not_leave_the_directory)
{
	struct buf out = BUF_INIT;
	struct err err = {0};
	bool ok =
	    render(paths[_i].template, template_check_file_name, &out, &err);

	ck_assert_msg(ok == paths[_i].fit, "%s: %s", paths[_i].template,
	    ok ? buf_str(&out) : err.text);
	if (!ok)
		ck_assert_int_eq(err.class, ERR_PERM);
	buf_release(&out);
}
END_TEST

START_TEST(a_nul_byte_does_not_end_a_path)
{
	struct err err = {0};

	ck_assert(!template_check_file_name("x", "a\0/../b", 7, NULL, &err));
	ck_assert(strstr(err.text, "NUL"));
}
END_TEST

static const struct {
	const char *name, *template, *want;
} escapes[] = {
    {"a.html", "<{{ '<&>' }}{{ '<' | safe }}>", "<&lt;&amp;&gt;<>"},
    {"a.htm", "{{ '\"' }}", "&quot;"},
    {"a.xml", "{{ '\\'' }}{{ '/' }}", "&#x27;&#x2f;"},
    {"a.html", "{{ '</a>' | tojson }}", "\"\\u003c/a\\u003e\""},
    {"a.html", "{{ '<' | safe ~ '<' }}", "&lt;&lt;"},
    {"a.json", "{{ 'a' }} {{ n }} {{ list }}", "\"a\" 5 [\"a\",\"b\"]"},
    {"a.js", "{{ nobody }}", ""},
    {"a.yaml", "{{ 'a' | tojson }}", "\"a\""},
    {"a.txt", "{{ '<' }}", "<"},
    {"html", "{{ '<' }}", "<"},
};

START_TEST(the_name_decides_what_is_escaped)
{
	struct buf out = BUF_INIT;
	struct err err = {0};
	struct value v = json(variables);
	const struct template *t = template_compile_named(
	    escapes[_i].name, escapes[_i].template, arena, &err);

	ck_assert_msg(t && template_render(t, &v, NULL, NULL, &out, &err),
	    "%s: %s", escapes[_i].template, err.text);
	ck_assert_str_eq(buf_str(&out), escapes[_i].want);
	buf_release(&out);
}
END_TEST

static const char *const greedy[] = {
    "{% set l = x.split(',') %}{% for a in l %}{% for b in l %}{% for c in l %}"
    "{% endfor %}{% endfor %}{% endfor %}",
    "{% set l = x.split(',') %}{% for a in l %}{% for b in l %}{{ x }}"
    "{% endfor %}{% endfor %}",
    "{% set x = x ~ x %}{% set x = x ~ x %}{% set x = x ~ x %}"
    "{% set x = x ~ x %}{% set x = x ~ x %}{% set x = x ~ x %}"
    "{% set x = x ~ x %}{% set x = x ~ x %}{% set x = x ~ x %}"
    "{% set x = x ~ x %}{% set x = x ~ x %}{% set x = x ~ x %}"
    "{% set x = x ~ x %}{% set x = x ~ x %}",
    "{{ x | replace(',', x) | replace(',', x) }}",
};

/* 2000 items, as somebody on the network may send them. */
START_TEST(what_values_can_make_it_do_is_limited)
{
	struct buf out = BUF_INIT, text = BUF_INIT;
	struct err err = {0};
	struct value_entry entry = {"x", {0}};
	struct value v = {.type = VALUE_MAP, .count = 1, .entries = &entry};
	const struct template *t = template_compile(greedy[_i], arena, &err);

	for (int i = 0; i < 2000; i++)
		buf_addstr(&text, "a,");
	entry.value = value_string(arena, buf_str(&text), text.len);
	ck_assert_msg(t != NULL, "%s", err.text);
	ck_assert(!template_render(t, &v, NULL, NULL, &out, &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_msg(strstr(err.text, "line 1") && strstr(err.text, " than "),
	    "%s", err.text);
	buf_release(&text);
	buf_release(&out);
}
END_TEST

Suite *template_suite(void)
{
	Suite *suite = suite_create("template");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, renders_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(
	    t, values_do_not_leave_the_directory, 0, COUNT(paths));
	tcase_add_test(t, a_nul_byte_does_not_end_a_path);
	tcase_add_loop_test(
	    t, the_name_decides_what_is_escaped, 0, COUNT(escapes));
	tcase_add_loop_test(
	    t, what_values_can_make_it_do_is_limited, 0, COUNT(greedy));
	suite_add_tcase(suite, t);
	return suite;
}
