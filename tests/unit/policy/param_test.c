/*
 * param_test.c - what holds for every table of parameters
 */
#include "policy/param.h"

#include "base/json.h"
#include "base/str.h"
#include "policy/egress_path.h"
#include "policy/egress_pool.h"
#include "policy/egress_source.h"
#include "policy/listener.h"
#include "policy/param_type.h"
#include "policy_test.h"
#include "test_values.h"

/* A table with nothing but what is required. */
static struct value least(const struct param_set *set)
{
	struct value v = {.type = VALUE_MAP};

	v.entries = ARENA_ARRAY(arena, struct value_entry, set->count);
	for (size_t i = 0; i < set->count; i++)
		if (set->specs[i].flags & PARAM_REQUIRED)
			v.entries[v.count++] =
			    (struct value_entry){set->specs[i].key,
				set->specs[i].type == PARAM_STRING_LIST
				    ? json("[\"x\"]")
				    : value_string(arena, "x", 1)};
	return v;
}

static void each_row(const struct param_set *set,
    void (*look)(const struct param_set *, const struct param_spec *))
{
	for (size_t i = 0; i < set->count; i++) {
		const struct param_spec *spec = &set->specs[i];

		look(set, spec);
		for (size_t j = 0; spec->forms && spec->forms[j]; j++)
			each_row(spec->forms[j], look);
		if (!spec->forms && spec->set)
			each_row(spec->set, look);
	}
}

static void look_for_help(
    const struct param_set *set, const struct param_spec *spec)
{
	ck_assert_ptr_nonnull(set->intro);
	size_t len = spec->help ? strlen(spec->help) : 0;

	ck_assert_msg(len > 0 && spec->help[len - 1] == '.',
	    "%s: %s: no help, or it does not end", set->name, spec->key);
	ck_assert_msg(spec->type != PARAM_ENUM || spec->names, "%s: %s",
	    set->name, spec->key);
	ck_assert_msg(spec->type != PARAM_RECORD || spec->set, "%s: %s",
	    set->name, spec->key);
	ck_assert_msg(spec->type != PARAM_CUSTOM || spec->custom, "%s: %s",
	    set->name, spec->key);
}

START_TEST(each_row_has_help)
{
	ck_assert_ptr_nonnull(param_sets[_i]->intro);
	each_row(param_sets[_i], look_for_help);
}
END_TEST

static void read_default(
    const struct param_set *set, const struct param_spec *spec)
{
	struct param_spec alone = *spec;
	struct err err = {0};
	void *record = arena_alloc(arena, set->record_size + PARAM_FIELD_SIZE);

	if (alone.offset == PARAM_NOWHERE)
		alone.offset = 0;
	ck_assert_msg(param_type_read_fallback(&alone, record, arena, &err),
	    "%s: %s: %s", set->name, spec->key, err.text);
}

START_TEST(each_default_parses)
{
	each_row(param_sets[_i], read_default);
}
END_TEST

START_TEST(keys_are_there_once_and_fit_the_bitmap)
{
	const struct param_set *set = param_sets[_i];

	ck_assert_int_le((int)set->count, 128);
	for (size_t i = 0; i < set->count; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(set->specs[i].key, set->specs[j].key);
}
END_TEST

/* What a policy reads it may hand back. */
START_TEST(what_was_read_parses_into_the_same)
{
	const struct param_set *set = param_sets[_i];
	struct value table = least(set);
	void *first = arena_alloc(arena, set->record_size);
	void *second = arena_alloc(arena, set->record_size);
	struct err err = {0};
	struct value read;

	ck_assert_msg(
	    param_parse(set, &table, arena, first, &err), "%s", err.text);
	read = param_read_all(set, first, arena);
	ck_assert_str_eq(read.kind, set->name);
	ck_assert_msg(
	    param_parse(set, &read, arena, second, &err), "%s", err.text);
	ck_assert_str_eq(
	    as_json(read), as_json(param_read_all(set, second, arena)));
}
END_TEST

START_TEST(each_row_is_in_the_manual)
{
	const struct param_set *set = param_sets[_i];
	struct buf text = BUF_INIT, mdoc = BUF_INIT;

	param_document(set, false, &text);
	param_document(set, true, &mdoc);
	ck_assert(str_starts(buf_str(&text), set->name));
	for (size_t i = 0; i < set->count; i++) {
		const char *key = set->specs[i].key;

		ck_assert_msg(strstr(buf_str(&text),
				  arena_printf(arena, "\n  %s  ", key)),
		    "%s", key);
		ck_assert_msg(strstr(buf_str(&mdoc),
				  arena_printf(arena, "\n.It Cm %s ", key)),
		    "%s", key);
	}
	buf_release(&text);
	buf_release(&mdoc);
}
END_TEST

START_TEST(one_constructors_object_is_not_anothers)
{
	void *pool = parsed(&egress_pool_params, "{\"name\": \"a\"}");
	struct value v = param_read_all(&egress_pool_params, pool, arena);
	struct egress_source source;
	struct err err = {0};

	ck_assert(
	    !param_parse(&egress_source_params, &v, arena, &source, &err));
	ck_assert_str_eq(err.text, "make_egress_source: invalid type: what "
				   "make_egress_pool returns");
}
END_TEST

START_TEST(zero_and_false_were_given_too)
{
	struct listener *l = parsed(&listener_params,
	    "{\"allow_xclient\": false, \"client_timeout\": 0}");

	ck_assert(param_given(&listener_params, l, "allow_xclient"));
	ck_assert(param_given(&listener_params, l, "client_timeout"));
	ck_assert(!param_given(&listener_params, l, "banner"));
	ck_assert(!param_given(&listener_params, l, "no such key"));
}
END_TEST

START_TEST(records_need_nothing_of_their_table)
{
	struct value table =
	    json("{\"name\": \"ip-1\", \"ehlo_domain\": \"a\"}");
	struct arena *own = arena_new(0);
	struct egress_source source;
	struct value_entry *e = table.entries;

	ck_assert(
	    param_parse(&egress_source_params, &table, own, &source, NULL));
	memset((char *)e[0].value.s, '?', e[0].value.len);
	memset((char *)e[1].value.s, '?', e[1].value.len);
	ck_assert_str_eq(source.name, "ip-1");
	ck_assert_str_eq(source.ehlo_domain, "a");
	arena_unref(own);
}
END_TEST

START_TEST(secrets_are_not_read_back)
{
	ck_assert_str_eq(read_back(&listener_params,
			     "{\"tls_private_key\": {\"key_data\": \"k\"}}",
			     "tls_private_key"),
	    "null");
}
END_TEST

static bool same_path(const char *a, const char *b)
{
	const struct param_set *set = &egress_path_params;

	return param_same(set, parsed(set, a), parsed(set, b));
}

START_TEST(records_are_the_same_but_for_what_acts_at_once)
{
	ck_assert(same_path("{}", "{}"));
	ck_assert(same_path("{}", "{\"smtp_port\": 25}"));
	ck_assert(same_path("{}",
	    "{\"connection_limit\": 3, \"max_message_rate\": \"1/s\", "
	    "\"provider_name\": \"big\", \"refresh_interval\": 5, "
	    "\"tls_prefer_openssl\": true}"));
	ck_assert(!same_path("{}", "{\"enable_tls\": \"Required\"}"));
	ck_assert(!same_path("{}", "{\"ehlo_domain\": \"a.test\"}"));
	ck_assert(!same_path("{}", "{\"implicit_tls\": false}"));
	ck_assert(!same_path("{}", "{\"remember_broken_tls\": 0}"));
	ck_assert(!same_path("{\"skip_hosts\": [\"10.0.0.0/8\"]}",
	    "{\"skip_hosts\": [\"10.0.0.0/9\"]}"));
}
END_TEST

START_TEST(another_secret_is_another_record)
{
	static const char one[] =
	    "{\"smtp_auth_plain_username\": \"u\", "
	    "\"smtp_auth_plain_password\": {\"key_data\": \"a\"}}";
	static const char two[] =
	    "{\"smtp_auth_plain_username\": \"u\", "
	    "\"smtp_auth_plain_password\": {\"key_data\": \"b\"}}";

	ck_assert(same_path(one, one));
	ck_assert(!same_path(one, two));
}
END_TEST

START_TEST(long_values_are_cut_in_errors)
{
	struct buf text = BUF_INIT;
	struct value v, table;
	struct value_entry name = {.key = "name"};
	struct egress_source source;
	struct err err = {0};

	for (int i = 0; i < 5000; i++)
		buf_addstr(&text, "->\x01");
	v = value_string(arena, buf_str(&text), text.len);
	name.key = "ttl";
	name.value = v;
	table = (struct value){.type = VALUE_MAP, .count = 1, .entries = &name};
	ck_assert(
	    !param_parse(&egress_source_params, &table, arena, &source, &err));
	ck_assert_int_lt((int)strlen(err.text), 300);
	ck_assert_ptr_null(strchr(err.text, '\x01'));
	buf_release(&text);
}
END_TEST

Suite *param_suite(void)
{
	Suite *suite = suite_create("param");
	TCase *t = tcase_create("all");
	int sets = (int)param_set_count;

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, each_row_has_help, 0, sets);
	tcase_add_loop_test(t, each_default_parses, 0, sets);
	tcase_add_loop_test(t, keys_are_there_once_and_fit_the_bitmap, 0, sets);
	tcase_add_loop_test(t, what_was_read_parses_into_the_same, 0, sets);
	tcase_add_loop_test(t, each_row_is_in_the_manual, 0, sets);
	tcase_add_test(t, one_constructors_object_is_not_anothers);
	tcase_add_test(t, zero_and_false_were_given_too);
	tcase_add_test(t, records_need_nothing_of_their_table);
	tcase_add_test(t, secrets_are_not_read_back);
	tcase_add_test(t, records_are_the_same_but_for_what_acts_at_once);
	tcase_add_test(t, another_secret_is_another_record);
	tcase_add_test(t, long_values_are_cut_in_errors);
	suite_add_tcase(suite, t);
	return suite;
}
