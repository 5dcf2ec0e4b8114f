#include "policy/bounce_class.h"

#include <pthread.h>

#include "base/fd.h"
#include "base/str.h"
#include "policy/bounce_cache.h"
#include "policy_test.h"
#include "test_values.h"

static const struct bounce_config caches = {
    .cache_size = 64, .uncategorized_cache_size = 64};

static struct bounce_classifier *c;

static void begin(void)
{
	arena_begin();
	c = bounce_classifier_new(&caches);
}

static void end(void)
{
	bounce_classifier_free(c);
	arena_end();
}

static void add(const char *file, const char *text)
{
	struct err err = {0};

	ck_assert_msg(bounce_classifier_add(c, file, text, strlen(text), &err),
	    "%s", err.text);
}

static const char *class_of(const char *text)
{
	const struct bounce_rule *rule =
	    bounce_classifier_find(c, text, strlen(text));

	return rule ? rule->class : BOUNCE_UNCATEGORIZED;
}

/* ---- parameters ---- */

static const struct parse_case cases[] = {
    {"files", "{\"files\": [\"/x/a.toml\", \"b.json\"]}", NULL},
    {"are required", "{}",
	"configure_bounce_classifier: files: required key is missing"},
    {"caches have a size",
	"{\"files\": [], \"cache_size\": 0, \"uncategorized_cache_size\": 9}",
	NULL},
    {"which is bounded", "{\"files\": [], \"cache_size\": 1000000000}",
	"configure_bounce_classifier: cache_size: 1000000000 is outside "
	"0..100000"},
    {"what KumoMTA has is accepted",
	"{\"files\": [], \"back_pressure\": 10, \"pool_size\": 2}", NULL},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&bounce_classifier_params, &cases[_i]);
}
END_TEST

/* ---- files ---- */

static const struct {
	const char *file, *text, *want;
} bad[] = {
    {"a.toml", "[rules]\nX = ['a', 'b(']\n",
	"a.toml: rules.X: rule 2: \"b(\": regular expression at character 3: "
	"missing closing parenthesis"},
    {"a.json", "{\"rules\": {\"X\": [\"[z-a]\"]}}",
	"a.json: rules.X: rule 1: \"[z-a]\": regular expression at character "
	"4: range out of order in character class"},
    {"a.toml", "[rules]\nX = 'a'\n",
	"a.toml: rules.X: expected a list of regular expressions, got a "
	"string"},
    {"a.toml", "[rules]\nX = [1]\n",
	"a.toml: rules.X: rule 1: expected a string, got a int"},
    {"a.toml", "[rule]\nX = ['a']\n", "a.toml: there is no table \"rules\""},
    {"a.json", "[]", "a.json: there is no table \"rules\""},
    {"a.json", "{\"rules\": 5}",
	"a.json: rules: expected a table of classes, got a int"},
    {"a.toml", "[rules]\n'' = ['a']\n",
	"a.toml: rules: \"\": a class has a name of 1 to 100 bytes"},
    {"a.toml", "[rules\n", "a.toml: line 1, column "},
    {"a.json", "{", "a.json: "},
    {"a.yaml", "rules:", "a.yaml: a file of rules ends in .toml or .json"},
};

START_TEST(a_bad_file_is_refused_with_class_rule_and_place)
{
	struct err err = {0};

	ck_assert(!bounce_classifier_add(
	    c, bad[_i].file, bad[_i].text, strlen(bad[_i].text), &err));
	ck_assert_int_eq(err.class, ERR_CONFIG);
	ck_assert_msg(str_starts(err.text, bad[_i].want), "%s", err.text);
}
END_TEST

START_TEST(empty_files_have_no_rules)
{
	add("a.toml", "[rules]\n");
	add("b.json", "{\"rules\": {}, \"other\": 1}");
	add("c.json", "{\"rules\": {\"X\": []}}");
	ck_assert_uint_eq(bounce_classifier_rules(c), 0);
	ck_assert_str_eq(class_of("550 x"), BOUNCE_UNCATEGORIZED);
}
END_TEST

/* Names that sort otherwise than they stand. */
START_TEST(rules_count_in_the_order_of_files_classes_and_rules)
{
	const struct bounce_rule *rule;

	add("a.toml", "[rules]\nZebra = ['one', 'two']\n"
		      "Ant = ['one', 'two', 'three']\n");
	add("b.json", "{\"rules\": {\"Yak\": [\"three\", \"four\"], "
		      "\"Bee\": [\"four\"], \"Zebra\": [\"five\"]}}");
	ck_assert_uint_eq(bounce_classifier_rules(c), 9);
	ck_assert_str_eq(class_of("two one"), "Zebra");
	ck_assert_str_eq(class_of("three"), "Ant");
	ck_assert_str_eq(class_of("four"), "Yak");
	rule = bounce_classifier_find(c, "five", 4);
	ck_assert_str_eq(rule->class, "Zebra");
	ck_assert_str_eq(rule->file, "b.json");
	ck_assert_str_eq(rule->pattern, "five");
	ck_assert_uint_eq(rule->number, 1);
}
END_TEST

/* ---- replies ---- */

START_TEST(a_reply_is_seen_in_one_line_as_records_show_it)
{
	static const struct smtp_reply reply = {
	    .code = 550, .enhanced = {5, 1, 1}, .text = "no\nsuch user"};
	static const struct smtp_reply bare = {.code = 421, .text = ""};

	add("a.toml", "[rules]\nA = ['^550 5\\.1\\.1 no\\\\r\\\\nsuch user$']\n"
		      "B = ['^421$']\n");
	ck_assert_str_eq(bounce_class_of(c, &reply), "A");
	ck_assert_str_eq(bounce_class_of(c, &bare), "B");
	ck_assert_str_eq(bounce_class_of(NULL, &reply), BOUNCE_UNCATEGORIZED);
}
END_TEST

START_TEST(bytes_that_are_no_utf8_are_safe)
{
	static const char *const texts[] = {"550 \xff\xfe gone", "550 \xc3",
	    "550 \xf0\x9f gone", "550 \xed\xa0\x80 gone", "\xff", "\x80gone"};

	add("a.toml", "[rules]\nA = ['^550 .+ gone$', '\\x{FFFD}$']\n");
	ck_assert_str_eq(class_of(texts[0]), "A");
	ck_assert_str_eq(class_of(texts[1]), "A");
	ck_assert_str_eq(class_of(texts[2]), "A");
	ck_assert_str_eq(class_of(texts[3]), "A");
	ck_assert_str_eq(class_of(texts[4]), "A");
	ck_assert_str_eq(class_of(texts[5]), BOUNCE_UNCATEGORIZED);
}
END_TEST

START_TEST(a_long_reply_counts_with_its_first_2048_bytes)
{
	char text[8000];

	add("a.toml", "[rules]\nA = ['near']\nB = ['far']\n");
	memset(text, 'x', sizeof text);
	memcpy(text + 2040, "near", 4);
	memcpy(text + 2047, "far", 3);
	ck_assert_str_eq(
	    bounce_classifier_find(c, text, sizeof text)->class, "A");
	memset(text + 2040, 'x', 4);
	ck_assert_ptr_null(bounce_classifier_find(c, text, sizeof text));
}
END_TEST

START_TEST(a_rule_that_explodes_does_not_match_and_others_do)
{
	char text[2000];

	add("a.toml", "[rules]\nA = ['^550 (a+)+$']\nB = ['^550 a.*-$']\n");
	for (size_t i = 0; i < 5; i++) {
		memset(text, 'a', sizeof text);
		memcpy(text, "550 ", 4);
		text[sizeof text - 1] = '-';
		text[1000 + i] = 'b';
		ck_assert_str_eq(
		    bounce_classifier_find(c, text, sizeof text)->class, "B");
	}
	ck_assert_str_eq(class_of("550 aaa"), "A");
}
END_TEST

/* ---- the cache ---- */

START_TEST(the_cache_is_bounded_and_knows_what_was_used_last)
{
	struct bounce_cache *cache = bounce_cache_new(4);
	char text[2] = "a";
	size_t rule;

	for (; text[0] <= 'd'; text[0]++)
		bounce_cache_put(cache, text, 1, (size_t)text[0]);
	ck_assert(bounce_cache_get(cache, "a", 1, &rule));
	ck_assert_uint_eq(rule, 'a');
	bounce_cache_put(cache, "e", 1, 5);
	ck_assert(!bounce_cache_get(cache, "b", 1, &rule));
	ck_assert(bounce_cache_get(cache, "a", 1, &rule));
	ck_assert(bounce_cache_get(cache, "e", 1, &rule));
	bounce_cache_put(cache, "e", 1, 6);
	ck_assert(bounce_cache_get(cache, "e", 1, &rule));
	ck_assert_uint_eq(rule, 6);
	ck_assert(!bounce_cache_get(cache, "ee", 2, &rule));
	bounce_cache_free(cache);
	bounce_cache_free(NULL);
}
END_TEST

START_TEST(a_cache_of_nothing_holds_nothing)
{
	struct bounce_cache *cache = bounce_cache_new(0);
	size_t rule;

	bounce_cache_put(cache, "a", 1, 1);
	ck_assert(!bounce_cache_get(cache, "a", 1, &rule));
	bounce_cache_free(cache);
}
END_TEST

static void *classify_many(void *ctx)
{
	char text[32];

	for (int i = 0; i < 20000; i++) {
		bool known = i % 3 == 0;

		(void)snprintf(text, sizeof text, "550 %s %d",
		    known ? "gone" : "what", i % 500);
		if (str_eq(class_of(text), "A") != known)
			return ctx;
	}
	return NULL;
}

START_TEST(many_threads_get_the_same_answers)
{
	pthread_t threads[4];
	void *result;

	add("a.toml", "[rules]\nA = ['gone']\n");
	for (size_t i = 0; i < COUNT(threads); i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, classify_many, c), 0);
	for (size_t i = 0; i < COUNT(threads); i++) {
		pthread_join(threads[i], &result);
		ck_assert_ptr_null(result);
	}
}
END_TEST

/* ---- the rules that come with the program ---- */

static char *read_source(const char *name)
{
	const char *top = getenv("top_srcdir");
	struct err err = {0};
	size_t len;
	char *text =
	    fd_read_file(arena_printf(arena, "%s/%s", top ? top : ".", name),
		1 << 20, &len, &err);

	ck_assert_msg(text != NULL, "%s", err.text);
	return text;
}

static size_t wrong_lines(char *table, size_t *count)
{
	size_t wrong = 0;
	char *line, *rest = table;

	while ((line = strsep(&rest, "\n")) != NULL) {
		char *text = strchr(line, ' ');

		if (*line == '#' || !text)
			continue;
		*text++ = '\0';
		(*count)++;
		if (str_eq(class_of(text), line))
			continue;
		(void)fprintf(stderr, "%s instead of %s: %s\n", class_of(text),
		    line, text);
		wrong++;
	}
	return wrong;
}

START_TEST(our_rules_know_these_replies)
{
	char *rules = read_source("contrib/bounce-rules.toml");
	char *table = read_source("tests/data/bounce-replies.txt");
	size_t count = 0;

	add("bounce-rules.toml", rules);
	ck_assert_uint_eq(wrong_lines(table, &count), 0);
	ck_assert_uint_ge(count, 180);
	free(table);
	free(rules);
}
END_TEST

/* Who cleans lists by it must lose nobody over what passes. */
START_TEST(no_deferral_is_an_invalid_recipient)
{
	char *rules = read_source("contrib/bounce-rules.toml");
	char *table = read_source("tests/data/bounce-replies.txt");
	char *line, *rest = table;

	add("bounce-rules.toml", rules);
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *text = strchr(line, ' ');

		if (*line == '#' || !text)
			continue;
		text[1] = '4';
		if (strlen(text) > 5 && text[5] == '5')
			text[5] = '4';
		ck_assert_msg(
		    !str_eq(class_of(text + 1), "InvalidRecipient") &&
			!str_eq(class_of(text + 1), "InactiveMailbox"),
		    "%s", text + 1);
	}
	free(table);
	free(rules);
}
END_TEST

Suite *bounce_class_suite(void)
{
	Suite *suite = suite_create("bounce_class");
	TCase *tests = tcase_create("bounce_class");

	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_loop_test(tests, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(tests,
	    a_bad_file_is_refused_with_class_rule_and_place, 0, COUNT(bad));
	tcase_add_test(tests, empty_files_have_no_rules);
	tcase_add_test(
	    tests, rules_count_in_the_order_of_files_classes_and_rules);
	tcase_add_test(tests, a_reply_is_seen_in_one_line_as_records_show_it);
	tcase_add_test(tests, bytes_that_are_no_utf8_are_safe);
	tcase_add_test(tests, a_long_reply_counts_with_its_first_2048_bytes);
	tcase_add_test(
	    tests, a_rule_that_explodes_does_not_match_and_others_do);
	tcase_add_test(
	    tests, the_cache_is_bounded_and_knows_what_was_used_last);
	tcase_add_test(tests, a_cache_of_nothing_holds_nothing);
	tcase_add_test(tests, many_threads_get_the_same_answers);
	tcase_add_test(tests, our_rules_know_these_replies);
	tcase_add_test(tests, no_deferral_is_an_invalid_recipient);
	suite_add_tcase(suite, tests);
	return suite;
}
