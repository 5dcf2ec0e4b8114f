/*
 * seeds_test.c - the examples that the project started from, unchanged
 *
 * tests/data/seeds has them; the stories of tests/e2e/seeds.lua run them in the
 * daemons.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "lua_test.h"

/* Where the pages keep their file, and we do not. */
static const char elsewhere[] = "/opt/kumometa/etc/policy/listener_params.toml";

static const char *seed_path(const char *name)
{
	static char path[512];
	const char *top = getenv("top_srcdir");

	snprintf(
	    path, sizeof path, "%s/tests/data/seeds/%s", top ? top : ".", name);
	return path;
}

/* The text with that path replaced by ours. */
static const char *find_here(const char *text)
{
	const char *found = strstr(text, elsewhere);
	struct buf out = BUF_INIT;
	const char *path;

	if (!found)
		return write_file("seed.lua", text);
	buf_add(&out, text, (size_t)(found - text));
	buf_addf(&out, "%s%s", seed_path("listener_params.toml"),
	    found + strlen(elsewhere));
	path = write_file("seed.lua", buf_str(&out));
	buf_release(&out);
	return path;
}

static struct script_policy *load_seed(const char *seed)
{
	char name[64], *text;
	struct script_options options = {0};
	struct script_policy *p = NULL;
	struct err err = {0};

	snprintf(name, sizeof name, "%s.lua", seed);
	text = fd_read_file(seed_path(name), 1 << 20, NULL, &err);
	ck_assert_msg(text != NULL, "%s", err.text);
	options.path = find_here(text);
	free(text);
	ck_assert_msg(script_policy_load(&p, &options, &err), "%s", err.text);
	return p;
}

static const struct {
	const char *seed;
	const char *event, *arg;
	const char *authz_id; /* NULL: not authenticated */
	const char *want;     /* part of the JSON or of the error */
} cases[] = {
    {"dynamic_via_flat", "smtp_server_get_dynamic_parameters", "0.0.0.0:25",
	NULL,
	"{\"via\":{\"10.0.0.1\":{\"hostname\":\"mx.example-customer.com\","
	"\"tls_certificate\":\"/path/to/customer1.cert\","
	"\"tls_private_key\":\"/path/to/customer1.key\"},\"10.0.0.2\":"},
    {"dynamic_toml_flat", "smtp_server_get_dynamic_parameters", "0.0.0.0:25",
	NULL,
	"{\"via\":{\"10.0.0.1\":{\"hostname\":\"mx.example-customer.com\","
	"\"tls_certificate\":\"/path/to/customer1.cert\","
	"\"tls_private_key\":\"/path/to/customer1.key\"},\"10.0.0.2\":"},
    {"dynamic_signature", "smtp_server_get_dynamic_parameters", "0.0.0.0:25",
	NULL, "null"},
    {"dynamic_via", "smtp_server_get_dynamic_parameters", "0.0.0.0:25", NULL,
	"\"10.0.0.2\":{\"hostname\":\"mx.other-customer.com\""},
    {"dynamic_toml", "smtp_server_get_dynamic_parameters", "0.0.0.0:25", NULL,
	"\"10.0.0.2\":{\"hostname\":\"mx.other-customer.com\""},
    {"source_name", "get_egress_source", "any", NULL, "{\"name\":\"any\"}"},
    {"source_address", "get_egress_source", "ip-1", NULL,
	"{\"name\":\"ip-1\",\"source_address\":\"10.0.0.1\"}"},
    {"source_address", "get_egress_source", "other", NULL,
	"you need to do something for other source names"},
    /* The page forgets the return: so it ends in its error. */
    {"source_ehlo_domain", "get_egress_source", "ip-1", NULL,
	"you need to do something for other source names"},
    {"source_ehlo_domain_filled", "get_egress_source", "ip-1", NULL,
	"\"ehlo_domain\":\"mta1.examplecorp.com\""},
    {"source_ha_proxy", "get_egress_source", "ip-1", NULL,
	"you need to do something for other source names"},
    {"source_ha_proxy_filled", "get_egress_source", "ip-1", NULL,
	"\"ha_proxy_server\":\"10.0.0.1:5000\""},
    {"domain_relay_to", "get_listener_domain", "example.com", NULL,
	"{\"relay_to\":true}"},
    {"domain_relay_to", "get_listener_domain", "example.org", NULL, "null"},
    {"domain_authenticated", "get_listener_domain", "example.org", NULL,
	"null"},
    {"domain_authenticated", "get_listener_domain", "example.org", "scott",
	"{\"relay_to\":true}"},
    {"domain_by_user", "get_listener_domain", "example.com", "scott",
	"{\"relay_to\":true}"},
    {"domain_by_user", "get_listener_domain", "example.com", "eve", "null"},
    {"domain_log_oob", "get_listener_domain", "bounce.example.com", NULL,
	"{\"log_oob\":true}"},
    {"domain_log_arf", "get_listener_domain", "fbl.example.com", NULL,
	"{\"log_arf\":true}"},
    {"domain_relay_from", "get_listener_domain", "send.example.com", NULL,
	"{\"relay_from\":[\"10.0.0.0/24\"]}"},
    {"queue_smart_host", "get_queue_config", "smarthost.example.com", NULL,
	"{\"protocol\":{\"smtp\":{\"mx_list\":[\"smart.host.local\","
	"{\"addr\":\"10.0.0.1\",\"name\":\"mx.example.com\"}]}}}"},
    {"queue_smart_host", "get_queue_config", "other.example.com", NULL, "{}"},
    {"queue_maildir", "get_queue_config", "maildir.example.com", NULL,
	"{\"protocol\":{\"maildir_path\":\"/var/tmp/kumo-maildir\"}}"},
    {"queue_webhook", "get_queue_config", "webhook", NULL,
	"{\"protocol\":{\"custom_lua\":{\"constructor\":\"make.webhook\"}}}"},
};

START_TEST(a_seed_does_what_its_page_says)
{
	struct script_policy *p = load_seed(cases[_i].seed);
	struct script_call *call = script_call_new(p, cases[_i].event);
	struct meta *meta = meta_new();
	struct buf got = BUF_INIT;

	if (cases[_i].authz_id)
		meta_set_string(meta, "authz_id", cases[_i].authz_id);
	script_arg_string(call, cases[_i].arg);
	if (str_eq(cases[_i].event, "get_listener_domain"))
		script_arg_string(call, "0.0.0.0:25");
	script_arg_conn_meta(call, meta);
	if (script_call_run(call, clock_now_ms() + LONG_MS) == SCRIPT_VALUE)
		json_write(&got, script_call_result(call));
	else
		buf_addstr(&got, script_call_error(call));
	ck_assert_msg(strstr(buf_str(&got), cases[_i].want) != NULL, "%s: %s",
	    cases[_i].seed, buf_str(&got));
	buf_release(&got);
	script_call_free(call);
	meta_free(meta);
	end_policy(p);
}
END_TEST

static const char *const seeds[] = {"dynamic_via_flat", "dynamic_toml_flat",
    "dynamic_signature", "dynamic_via", "dynamic_toml", "source_name",
    "source_address", "source_ehlo_domain", "source_ha_proxy",
    "domain_relay_to", "domain_authenticated", "domain_by_user",
    "domain_log_oob", "domain_log_arf", "domain_relay_from", "queue_smart_host",
    "queue_maildir", "queue_webhook", "queue_webhook_filled",
    "dynamic_signature_filled", "dynamic_static_filled", "dynamic_json_filled",
    "dynamic_memoize_filled", "source_ehlo_domain_filled",
    "source_ha_proxy_filled"};

START_TEST(a_seed_loads)
{
	end_policy(load_seed(seeds[_i]));
}
END_TEST

Suite *seeds_suite(void)
{
	Suite *suite = suite_create("seeds");
	TCase *tcase = tcase_create("seeds");

	tcase_add_loop_test(tcase, a_seed_loads, 0, COUNT(seeds));
	tcase_add_loop_test(
	    tcase, a_seed_does_what_its_page_says, 0, COUNT(cases));
	suite_add_tcase(suite, tcase);
	return suite;
}
