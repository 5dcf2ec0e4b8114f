/* log_setup_test.c - configure_local_logs becomes loggers */
#include "logs_test.h"

#include "logs/log_setup.h"

static const struct {
	const char *label, *table; /* JSON */
	const char *want;          /* error, NULL: accepted */
	bool reception, oob;
	const char *reception_suffix, *oob_dir;
} cases[] = {
    {"all types by default", "{\"log_dir\":\"/l\"}", NULL, true, true, NULL,
	NULL},
    {"a type is switched off",
	"{\"log_dir\":\"/l\",\"per_record\":{\"Reception\":"
	"{\"enable\":false},\"Any\":{\"enable\":true}}}",
	NULL, false, true, NULL, NULL},
    {"only what is listed",
	"{\"log_dir\":\"/l\",\"per_record\":{\"Any\":{\"enable\":false},"
	"\"Reception\":{\"suffix\":\"-in\"}}}",
	NULL, true, false, "-in", NULL},
    {"Any stands for the others",
	"{\"log_dir\":\"/l\",\"per_record\":{\"Any\":{\"log_dir\":\"/r\"},"
	"\"Reception\":{}}}",
	NULL, true, true, NULL, "/r"},
    {"a path as a suffix",
	"{\"log_dir\":\"/l\",\"per_record\":{\"OOB\":{\"suffix\":\"/x\"}}}",
	"configure_local_logs (/l): per_record: OOB: suffix: \"/\" may not "
	"stand in it"},
};

static const struct log_config *config_of(const char *json, struct arena *arena)
{
	struct log_config *config = ARENA_NEW(arena, struct log_config);
	struct value table;
	struct err err = {0};

	ck_assert(json_parse(json, strlen(json), arena, &table, &err));
	ck_assert_msg(
	    param_parse(&log_config_params, &table, arena, config, &err), "%s",
	    err.text);
	return config;
}

START_TEST(per_record_is_read_or_says_why_not)
{
	struct arena *arena = arena_new(0);
	const struct log_config *config = config_of(cases[_i].table, arena);
	struct logger_settings *settings = NULL;
	struct err err = {0};
	bool ok = log_setup_read(&config, 1, arena, &settings, &err);

	ck_assert_msg(
	    ok == !cases[_i].want, "%s: %s", cases[_i].label, err.text);
	if (!ok) {
		ck_assert_str_eq(err.text, cases[_i].want);
		ck_assert_int_eq(err.class, ERR_CONFIG);
	} else {
		ck_assert_int_eq(settings->back_pressure, 128000);
		ck_assert_int_eq(settings->per_record[LOG_RECEPTION].enabled,
		    cases[_i].reception);
		ck_assert_int_eq(
		    settings->per_record[LOG_OOB].enabled, cases[_i].oob);
		ck_assert_pstr_eq(settings->per_record[LOG_RECEPTION].suffix,
		    cases[_i].reception_suffix);
		ck_assert_pstr_eq(
		    settings->per_record[LOG_OOB].log_dir, cases[_i].oob_dir);
	}
	arena_unref(arena);
}
END_TEST

START_TEST(policy_and_logs_know_the_same_types)
{
	struct arena *arena = arena_new(0);
	struct buf table = BUF_INIT;
	const struct log_config *config;
	const char *type = log_type_name((enum log_type)_i);

	buf_addf(&table,
	    "{\"log_dir\":\"/l\",\"per_record\":{\"%s\":{\"enable\":false}}}",
	    type);
	config = config_of(table.data, arena);
	ck_assert(!log_per_record_for(&config->per_record, type)->enable);
	buf_release(&table);
	arena_unref(arena);
}
END_TEST

START_TEST(a_changed_logger_is_noticed)
{
	struct arena *arena = arena_new(0);
	const struct log_config *a = config_of(cases[_i].table, arena);
	const struct log_config *again = config_of(cases[_i].table, arena);
	const struct log_config *b =
	    config_of("{\"log_dir\":\"/l\",\"meta\":[\"x\"]}", arena);

	ck_assert(log_setup_same(&a, 1, &again, 1));
	ck_assert(!log_setup_same(&a, 1, &b, 1));
	ck_assert(!log_setup_same(&a, 1, NULL, 0));
	arena_unref(arena);
}
END_TEST

Suite *log_setup_suite(void)
{
	Suite *suite = suite_create("log_setup");
	TCase *tcase = tcase_create("per_record");

	tcase_add_loop_test(
	    tcase, per_record_is_read_or_says_why_not, 0, COUNT(cases));
	tcase_add_loop_test(
	    tcase, policy_and_logs_know_the_same_types, 0, LOG_TYPE_COUNT);
	tcase_add_loop_test(
	    tcase, a_changed_logger_is_noticed, 0, COUNT(cases));
	suite_add_tcase(suite, tcase);
	return suite;
}
