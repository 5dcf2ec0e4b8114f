#include "test_values.h"

#include <check.h>

#include "base/json.h"
#include "base/str.h"

struct arena *arena;

void arena_begin(void)
{
	arena = arena_new(0);
}

void arena_end(void)
{
	arena_unref(arena);
	arena = NULL;
}

struct value json(const char *text)
{
	struct value v;
	struct err err = {0};

	ck_assert_msg(json_parse(text, strlen(text), arena, &v, &err),
	    "the test's own JSON: %s", err.text);
	return v;
}

char *as_json(struct value v)
{
	struct buf out = BUF_INIT;
	char *text;

	json_write(&out, &v);
	text = arena_strdup(arena, buf_str(&out));
	buf_release(&out);
	return text;
}

const struct ip_addr *ip(const char *text)
{
	struct ip_addr *out;

	if (!text)
		return NULL;
	out = ARENA_NEW(arena, struct ip_addr);
	ck_assert_msg(ip_parse(text, out), "no address: %s", text);
	return out;
}

void check_parse(const struct param_set *set, const struct parse_case *c)
{
	struct value table = json(c->table);
	void *record = arena_alloc(arena, set->record_size);
	struct err err = {0};
	bool ok = param_parse(set, &table, arena, record, &err);

	ck_assert_msg(
	    ok == !c->want, "%s: %s", c->label, ok ? "was accepted" : err.text);
	if (!c->want)
		return;
	ck_assert_int_eq(err.class, ERR_CONFIG);
	if (str_starts(c->want, set->name))
		ck_assert_msg(
		    str_eq(err.text, c->want), "%s: %s", c->label, err.text);
	ck_assert_msg(strstr(err.text, c->want), "%s: %s", c->label, err.text);
	ck_assert_msg(
	    str_starts(err.text, set->name), "%s: %s", c->label, err.text);
}

void *parsed(const struct param_set *set, const char *text)
{
	struct value table = json(text);
	void *record = arena_alloc(arena, set->record_size);
	struct err err = {0};

	ck_assert_msg(
	    param_parse(set, &table, arena, record, &err), "%s", err.text);
	return record;
}

char *read_back(const struct param_set *set, const char *table, const char *key)
{
	return as_json(param_read(set, parsed(set, table), key, arena));
}
