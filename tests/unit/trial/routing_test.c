/*
 * routing_test.c - the router's decisions, without a router
 */
#include "trial/routing.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "tests/unit/trial/trial_test.h"

static const char policy[] =
    "kumo.on('get_queue_config', function(domain, tenant, campaign, routing) "
    "  if domain == 'boom.test' then error 'boom' end "
    "  if domain == 'maildir.test' then "
    "    return kumo.make_queue_config { "
    "      protocol = { maildir_path = '/tmp/x' } } "
    "  end "
    "  if domain == 'smart.test' then "
    "    return kumo.make_queue_config { protocol = { smtp = { "
    "      mx_list = { 'relay.test:2525', '/run/lmtp' } } } } "
    "  end "
    "  return kumo.make_queue_config { egress_pool = tenant, "
    "    retry_interval = '10m', max_age = '1h' } "
    "end) "
    "kumo.on('get_egress_pool', function(name) "
    "  if name == 'empty' then "
    "    return kumo.make_egress_pool { name = name, entries = { "
    "      { name = 'a', weight = 0 } } } "
    "  elseif name == 'two' then "
    "    return kumo.make_egress_pool { name = name, ttl = '1m', entries = { "
    "      { name = 'a', weight = 2 }, { name = 'b', weight = 1 } } } "
    "  end "
    "end) "
    "kumo.on('get_egress_source', function(name) "
    "  return kumo.make_egress_source { name = name, remote_port = "
    "    name == 'b' and 26 or nil } "
    "end) "
    "kumo.on('get_egress_path_config', function(domain, source, site) "
    "  return kumo.make_egress_path { ehlo_domain = "
    "    domain .. '-' .. source .. '-' .. site } "
    "end)";

static const char zone[] = "far.test. MX 10 mx1.far.test.\n"
			   "far.test. MX 20 mx2.far.test.\n"
			   "mx1.far.test. A 192.0.2.1\n"
			   "mx2.far.test. A 192.0.2.2\n"
			   "relay.test. A 192.0.2.9\n"
			   "null.test. MX 0 .\n"
			   "down.test. FAIL\n"
			   "loop.test. MX 10 localhost.test.\n"
			   "localhost.test. A 127.0.0.1\n";

static struct routing *r;
static struct arena *arena;

static void setup(void)
{
	struct dns_zone *records = dns_zone_new();
	struct world *w;
	struct err err = {0};

	ck_assert(dns_zone_add_text(records, zone, &err));
	w = world_with(policy);
	world_set_zone(w, records);
	dns_zone_unref(records);
	r = routing_of(w, &err);
	ck_assert_msg(r != NULL, "%s", err.text);
	ck_assert_ptr_eq(routing_of(w, &err), r);
	arena = arena_new(0);
}

static void teardown(void)
{
	arena_unref(arena);
	end_world();
}

/* The answer as JSON, or the error's text. */
typedef bool ask_fn(struct routing *r, const struct queue_name *q,
    const char *source, struct value *out, struct err *err);

static bool ask_pool(struct routing *p, const struct queue_name *q,
    const char *source, struct value *out, struct err *err)
{
	return routing_pool(p, q, arena, out, err);
}

static bool ask_source(struct routing *p, const struct queue_name *q,
    const char *source, struct value *out, struct err *err)
{
	return routing_source(p, q, source, arena, out, err);
}

static bool ask_hosts(struct routing *p, const struct queue_name *q,
    const char *source, struct value *out, struct err *err)
{
	return routing_hosts(p, q, arena, out, err);
}

static bool ask_plan(struct routing *p, const struct queue_name *q,
    const char *source, struct value *out, struct err *err)
{
	return routing_plan(p, q, source, arena, out, err);
}

static bool ask_age(struct routing *p, const struct queue_name *q,
    const char *source, struct value *out, struct err *err)
{
	struct value all;

	if (!routing_config(p, q, arena, &all, err))
		return false;
	*out = *value_get(&all, "max_age");
	return true;
}

static const struct {
	ask_fn *ask;
	const char *queue, *source;
	const char *want; /* JSON, or "!" and a part of the error */
} cases[] = {
    {ask_age, "two@far.test", NULL, "\"1h\""},
    {ask_age, "boom.test", NULL, "!boom"},
    {ask_pool, "two@far.test", NULL,
	"{\"name\":\"two\",\"sources\":[{\"name\":\"a\",\"weight\":2},"
	"{\"name\":\"b\",\"weight\":1}]}"},
    {ask_pool, "far.test", NULL,
	"{\"name\":\"unspecified\",\"sources\":[{\"name\":\"unspecified\","
	"\"weight\":1}]}"},
    {ask_pool, "other@far.test", NULL, "!not nil"},
    {ask_pool, "boom.test", NULL, "!boom"},
    {ask_source, "two@far.test", "c", "!\"c\" is not in the pool two"},
    {ask_source, "empty@far.test", NULL, "!pool empty has no usable source"},
    {ask_hosts, "far.test", NULL,
	"{\"site\":\"(mx1|mx2).far.test\",\"hosts\":[{\"name\":"
	"\"mx1.far.test\",\"preference\":10,\"addresses\":[\"192.0.2.1\"]},"
	"{\"name\":\"mx2.far.test\",\"preference\":20,\"addresses\":["
	"\"192.0.2.2\"]}]}"},
    {ask_hosts, "x@y.test!null.test", NULL, "!556 5.1.10"},
    {ask_hosts, "down.test", NULL, "!451 4.4.4"},
    {ask_hosts, "nowhere.test", NULL, "!no such domain"},
    {ask_hosts, "maildir.test", NULL, "!not smtp"},
    {ask_plan, "two@far.test", NULL,
	"{\"candidates\":[{\"name\":\"mx1.far.test\",\"address\":"
	"\"192.0.2.1\",\"port\":25},{\"name\":\"mx2.far.test\",\"address\":"
	"\"192.0.2.2\",\"port\":25}],\"ready\":"
	"\"a->(mx1|mx2).far.test@smtp_client\",\"ehlo\":"
	"\"far.test-a-(mx1|mx2).far.test\"}"},
    {ask_plan, "smart.test", NULL,
	"{\"candidates\":[{\"name\":\"relay.test\",\"address\":"
	"\"192.0.2.9\",\"port\":2525},{\"name\":\"/run/lmtp\",\"path\":"
	"\"/run/lmtp\"}],\"ready\":\"unspecified->mx_list:relay.test:2525,"
	"/run/lmtp@smtp_client\",\"ehlo\":\"smart.test-unspecified-mx_list:"
	"relay.test:2525,/run/lmtp\"}"},
    {ask_plan, "loop.test", NULL, "!550 5.4.4"},
    {ask_plan, "other@far.test", NULL, "!not nil"},
};

START_TEST(a_queue_goes_where_the_policy_says)
{
	struct queue_name q = queue_name_parse(cases[_i].queue, arena);
	const char *want = cases[_i].want;
	struct buf json = BUF_INIT;
	struct err err = {0};
	struct value v;
	bool ok = cases[_i].ask(r, &q, cases[_i].source, &v, &err);

	if (*want == '!') {
		ck_assert_msg(!ok, "%s", cases[_i].queue);
		ck_assert_msg(strstr(err.text, want + 1) != NULL, "%s: %s",
		    cases[_i].queue, err.text);
		return;
	}
	ck_assert_msg(ok, "%s: %s", cases[_i].queue, err.text);
	json_write(&json, &v);
	ck_assert_str_eq(buf_str(&json), want);
	buf_release(&json);
}
END_TEST

START_TEST(turns_go_by_weight_and_survive_the_ttl)
{
	struct queue_name q = queue_name_parse("two@far.test", arena);
	size_t a = 0;
	struct err err = {0};

	for (int i = 0; i < 30; i++) {
		const char *name;

		ck_assert(routing_pick(r, &q, arena, &name, &err));
		a += str_eq(name, "a");
		if (i == 14)
			clock_shift(INT64_C(120000));
	}
	ck_assert_uint_eq(a, 20);
	q = queue_name_parse("empty@far.test", arena);
	ck_assert(!routing_pick(r, &q, arena, &(const char *){NULL}, &err));
}
END_TEST

START_TEST(retries_double_until_the_message_is_too_old)
{
	struct queue_name q = queue_name_parse("two@far.test", arena);
	struct value list;
	struct err err = {0};
	int64_t expires;

	ck_assert(routing_retries(r, &q, 10, arena, &list, &expires, &err));
	/* 10, 30 minutes; the next would be at 70, after max_age. */
	ck_assert_uint_eq(list.count, 2);
	ck_assert_int_eq(list.items[0].i, 600);
	ck_assert_int_eq(list.items[1].i, 1800);
	ck_assert_int_eq(expires, 1800);
	ck_assert(routing_retries(r, &q, 1, arena, &list, &expires, &err));
	ck_assert_uint_eq(list.count, 1);
	q = queue_name_parse("boom.test", arena);
	ck_assert(!routing_retries(r, &q, 1, arena, &list, &expires, &err));
}
END_TEST

START_TEST(a_path_belongs_to_a_source_and_a_site)
{
	struct queue_name q = queue_name_parse("two@far.test", arena);
	struct value v;
	struct err err = {0};

	ck_assert(routing_path(r, &q, "b", arena, &v, &err));
	ck_assert_str_eq(
	    value_get(&v, "ehlo_domain")->s, "far.test-b-(mx1|mx2).far.test");
	ck_assert(routing_plan(r, &q, "b", arena, &v, &err));
	ck_assert_int_eq(
	    value_get(&value_get(&v, "candidates")->items[0], "port")->i, 26);
	ck_assert(routing_source(r, &q, "b", arena, &v, &err));
	ck_assert_int_eq(value_get(&v, "remote_port")->i, 26);
	ck_assert(!routing_path(r, &q, "c", arena, &v, &err));
}
END_TEST

TCase *routing_tests(void)
{
	TCase *tc = tcase_create("routing");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, a_queue_goes_where_the_policy_says, 0, COUNT(cases));
	tcase_add_test(tc, turns_go_by_weight_and_survive_the_ttl);
	tcase_add_test(tc, retries_double_until_the_message_is_too_old);
	tcase_add_test(tc, a_path_belongs_to_a_source_and_a_site);
	return tc;
}
