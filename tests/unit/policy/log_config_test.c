#include "policy/log_config.h"

#include "policy_test.h"
#include "test_values.h"

static const struct parse_case cases[] = {
    {"a directory is enough", "{\"log_dir\": \"/x\"}", NULL},
    {"and required", "{}",
	"configure_local_logs: log_dir: required key is missing"},
    {"not empty", "{\"log_dir\": \"\"}", "log_dir: invalid value"},
    {"zstd has 22 levels", "{\"log_dir\": \"/x\", \"compression_level\": 23}",
	"configure_local_logs: compression_level: 23 is outside 0..22"},
    {"case 157: names to copy",
	"{\"log_dir\": \"/x\", \"meta\": [\"x_*\", \"tenant\"]}", NULL},
    {"names are text", "{\"log_dir\": \"/x\", \"meta\": [\"a\", 5]}",
	"configure_local_logs: meta: [2]: invalid type: integer 5, expected a "
	"string"},
    {"case 158: types of records",
	"{\"log_dir\": \"/x\", \"per_record\": {\"Reception\": {\"enable\":"
	" false}, \"Any\": {\"enable\": true}}}",
	NULL},
    {"types are known",
	"{\"log_dir\": \"/x\", \"per_record\": {\"reception\": {}}}",
	"configure_local_logs: per_record: unknown type of record "
	"\"reception\""},
    {"what is inside as well",
	"{\"log_dir\": \"/x\", \"per_record\": {\"Any\": {\"enabled\": true}}}",
	"configure_local_logs: per_record: Any: unknown key \"enabled\" (did "
	"you mean \"enable\"?)"},
    {"a template is compiled",
	"{\"log_dir\": \"/x\", \"per_record\": {\"Any\": {\"template\":"
	" \"{{ id\"}}}",
	"configure_local_logs: per_record: Any: template: template: line 1, "
	"column 6: expected }}"},
    {"and may be there",
	"{\"log_dir\": \"/x\", \"per_record\": {\"Any\": {\"template\":"
	" \"{{ id }}\"}}}",
	NULL},
    {"no header is none",
	"{\"log_dir\": \"/x\", \"per_record\": {\"Any\": {\"segment_header\":"
	" \"\"}}}",
	NULL},
    {"case 159: an event may filter",
	"{\"log_dir\": \"/x\", \"filter_event\": \"f\"}", NULL},
    {"floors are parts or numbers",
	"{\"log_dir\": \"/x\", \"min_free_space\": \"2.5%\","
	" \"min_free_inodes\": 5000}",
	NULL},
    {"and nothing else", "{\"log_dir\": \"/x\", \"min_free_space\": \"10\"}",
	"configure_local_logs: min_free_space: invalid value: \"10\", expected "
	"\"10%\" or a number"},
    {"no part is more than all",
	"{\"log_dir\": \"/x\", \"min_free_space\": \"101%\"}",
	"min_free_space: invalid value"},
    {"nothing is less than nothing",
	"{\"log_dir\": \"/x\", \"min_free_inodes\": -1}",
	"min_free_inodes: invalid value: -1 is below 0"},
    {"a floor is no list", "{\"log_dir\": \"/x\", \"min_free_space\": [1]}",
	"min_free_space: invalid type: list [1], expected a percentage as "
	"text, or a number"},
};

START_TEST(parses_or_says_why_not)
{
	check_parse(&log_config_params, &cases[_i]);
}
END_TEST

static const struct {
	const char *per_record, *type;
	bool enabled;
} types[] = {
    {"{}", "Delivery", true},
    {"{\"Any\": {\"enable\": false}}", "Delivery", false},
    {"{\"Any\": {\"enable\": false}, \"Delivery\": {}}", "Delivery", true},
    {"{\"Delivery\": {\"enable\": false}}", "Bounce", true},
    {"{\"Reception\": {\"enable\": false}, \"Any\": {\"enable\": true}}",
	"Reception", false}, /* case 158 */
    {"{\"Reception\": {\"enable\": false}, \"Any\": {\"enable\": true}}", "OOB",
	true}, /* case 158 */
};

START_TEST(any_stands_for_types_not_listed)
{
	char *table = arena_printf(arena,
	    "{\"log_dir\": \"/x\", \"per_record\": %s}", types[_i].per_record);
	const struct log_config *c = parsed(&log_config_params, table);

	ck_assert_int_eq(
	    log_per_record_for(&c->per_record, types[_i].type)->enable,
	    types[_i].enabled);
}
END_TEST

Suite *log_config_suite(void)
{
	Suite *suite = suite_create("log_config");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, parses_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(
	    t, any_stands_for_types_not_listed, 0, COUNT(types));
	suite_add_tcase(suite, t);
	return suite;
}
