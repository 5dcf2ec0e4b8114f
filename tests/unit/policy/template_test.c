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
    {"{{ a | nosuch }}", "!column 8: no such filter"},
    {"{{ a | default }}", "!too few arguments"},
    {"{{ a | lower(1) }}", "!too many arguments"},
    {"{{ a | replace('x', 'y', 'z') }}", "!too many arguments"},
    {"{% if x %}", "!{% statements %} are not supported yet"},
    {"{# open", "!a comment does not end"},
    {"{{ a[a[a[a[a[a[a[a[a[a[a[1]]]]]]]]]]] }}", "!nested too deeply"},
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

Suite *template_suite(void)
{
	Suite *suite = suite_create("template");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, renders_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(
	    t, values_do_not_leave_the_directory, 0, COUNT(paths));
	tcase_add_test(t, a_nul_byte_does_not_end_a_path);
	suite_add_tcase(suite, t);
	return suite;
}
