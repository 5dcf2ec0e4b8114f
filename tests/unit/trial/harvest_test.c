/*
 * harvest_test.c - what stands in a policy is found
 */
#include "trial/harvest.h"

#include "base/array.h"
#include "base/str.h"
#include "tests/unit/trial/trial_test.h"

static const struct {
	const char *label, *text;
	bool is_lua;
	const char *domains, *blocks; /* with a space behind each */
} texts[] = {
    {"quoted domains, in lower case", "x = 'Example.com' y = \"b.test\"", true,
	"example.com b.test ", ""},
    {"not what is not quoted", "kumo.on(x) -- 'c.test'", true, "", ""},
    {"long brackets", "x = [==[ d.test ]] ]==] --[[ 'e.test' ]] y = 'f.test'",
	true, "d.test f.test ", ""},
    {"patterns give up their names", "m '%.partner%.example$' m '^a%.test$'",
	true, "x.partner.example a.test ", ""},
    {"wildcards", "['*.wild.test'] = 1", true, "x.wild.test ", ""},
    {"addresses of mail", "'ann@mail.test'", true, "mail.test ", ""},
    {"no numbers and no files of one label", "'1.2' 'v1.5' 'plain'", true, "",
	""},
    {"blocks", "{ '10.0.0.0/24', '2001:db8::/32', '192.0.2.1' }", true, "",
	"10.0.0.0/24 2001:db8::/32 192.0.2.1 "},
    {"endpoints", "'10.0.0.7:25' '[::1]:26' '0.0.0.0:25'", true, "",
	"10.0.0.7 ::1 "},
    {"everything is a block, too", "'0.0.0.0/0'", true, "", "0.0.0.0/0 "},
    {"a wrong mask is none", "'10.0.0.1/24'", true, "", ""},
    {"a sentence", "'from a.test, 10.0.0.1 and b.test'", true, "a.test b.test ",
	"10.0.0.1 "},
    {"an escaped quote", "'it\\'s c.test'", true, "c.test ", ""},
    {"a string that is not closed", "'d.test\ne = 'f.test'", true,
	"d.test f.test ", ""},
    {"TOML", "[via.'10.0.0.1']\nhostname = 'mx.g.test'\n", false, "mx.g.test ",
	"10.0.0.1 "},
    {"JSON", "{\"h.test\": {\"relay_from\": [\"10.0.0.0/8\"]}}", false,
	"h.test ", "10.0.0.0/8 "},
    {"YAML", "i.test:\n  - 10.1.0.0/16\n", false, "i.test ", "10.1.0.0/16 "},
};

static const char *all(const struct words *words)
{
	static char text[1024];

	*text = '\0';
	for (size_t i = 0; i < words->count; i++)
		(void)snprintf(text + strlen(text), sizeof text - strlen(text),
		    "%s ", words->items[i]);
	return text;
}

static const char *all_blocks(const struct blocks *blocks)
{
	static char text[1024];
	char one[IP_TEXT + 4];

	*text = '\0';
	for (size_t i = 0; i < blocks->count; i++)
		(void)snprintf(text + strlen(text), sizeof text - strlen(text),
		    "%s ", cidr_print(one, &blocks->items[i]));
	return text;
}

START_TEST(what_is_named_is_found)
{
	struct harvest h = {0};

	harvest_text(&h, texts[_i].text, texts[_i].is_lua);
	ck_assert_msg(str_eq(all(&h.domains), texts[_i].domains), "%s: %s",
	    texts[_i].label, all(&h.domains));
	ck_assert_msg(str_eq(all_blocks(&h.blocks), texts[_i].blocks), "%s: %s",
	    texts[_i].label, all_blocks(&h.blocks));
	harvest_release(&h);
}
END_TEST

START_TEST(words_are_literals_and_names_in_code)
{
	struct harvest h = {0};

	harvest_text(&h, "local ok = { scott = true, ['tiger'] = 1 }", true);
	ck_assert_ptr_nonnull(strstr(all(&h.words), "scott "));
	ck_assert_ptr_nonnull(strstr(all(&h.words), "tiger "));
	harvest_release(&h);
}
END_TEST

START_TEST(modules_and_data_files_are_read_too)
{
	struct harvest h = {0};
	const char *policy;
	struct err err = {0};

	(void)write_file("tables.lua", "return { 'in-module.test' }\n");
	(void)write_file("data.toml", "['in-data.test']\n");
	policy = write_file("main.lua",
	    "local tables = require 'tables'\n"
	    "kumo.serde.toml_load 'data.toml'\n"
	    "kumo.serde.toml_load '/no/such/file.toml'\n");
	ck_assert_msg(harvest_policy(&h, policy, &err), "%s", err.text);
	ck_assert(harvest_has_domain(&h, "in-module.test"));
	ck_assert(harvest_has_domain(&h, "IN-data.test"));
	ck_assert_uint_eq(h.files.count, 3);
	harvest_release(&h);
	ck_assert(!harvest_policy(&h, "/no/such/policy.lua", &err));
	harvest_release(&h);
}
END_TEST

TCase *harvest_tests(void)
{
	TCase *tc = tcase_create("harvest");

	tcase_add_loop_test(tc, what_is_named_is_found, 0, COUNT(texts));
	tcase_add_test(tc, words_are_literals_and_names_in_code);
	tcase_add_test(tc, modules_and_data_files_are_read_too);
	return tc;
}
