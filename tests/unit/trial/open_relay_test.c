/*
 * open_relay_test.c - planted open relays are found, others are not made up
 */
#include "trial/open_relay.h"

#include "base/str.h"
#include "base/xalloc.h"
#include "tests/unit/trial/trial_test.h"

#define LISTENER(params)                                                       \
	"kumo.on('init', function() kumo.start_esmtp_listener { "              \
	"listen = '0.0.0.0:25', " params " } end)\n"
#define DOMAINS(body)                                                          \
	"kumo.on('get_listener_domain', function(d, l, m) " body " end)\n"
#define OPEN "kumo.make_listener_domain { relay_to = true }"

static const struct {
	const char *label, *policy;
	const char *rule; /* what the report says; NULL: nobody may relay */
} cases[] = {
    {"nothing", "", NULL},
    {"our own network and domain",
	LISTENER("relay_hosts = { '10.0.0.0/8', '192.0.2.0/24' }")
	    DOMAINS("if d == 'example.com' then return " OPEN " end"),
	NULL},
    {"any host", LISTENER("relay_hosts = { 'any' }"), "relay_hosts "},
    {"half of the Internet",
	LISTENER("relay_hosts = { '10.0.0.0/8', '128.0.0.0/1' }"),
	"relay_hosts "},
    {"half of the other one", LISTENER("relay_hosts = { '2000::/3' }"),
	"relay_hosts "},
    {"a peer block",
	LISTENER("peer = { ['198.0.0.0/7'] = { relay_hosts = { 'any' } } }"),
	"relay_hosts "},
    {"one of our addresses",
	LISTENER("via = { ['10.0.0.9'] = { relay_hosts = { 'any' } } }"),
	"relay_hosts "},
    {"dynamic parameters",
	"kumo.on('smtp_server_get_dynamic_parameters', function() "
	"return { relay_hosts = { '0.0.0.0/0' } } end)\n",
	"relay_hosts "},
    {"every domain", DOMAINS("return " OPEN), "relay_to "},
    {"every domain but those that are known",
	DOMAINS("if d ~= 'example.com' then return " OPEN " end"), "relay_to "},
    {"domains that look like ours",
	DOMAINS("if d:find('example.com', 1, true) then return " OPEN " end"),
	"relay_to "},
    {"a dot that matches anything",
	DOMAINS("if d:match '^example.com$' then return " OPEN " end"),
	"relay_to "},
    {"who says that he is one of ours",
	DOMAINS("if d == 'send.example.com' then return "
		"kumo.make_listener_domain { relay_from = { '0.0.0.0/0' } } "
		"end"),
	"relay_from "},
    {"a name in EHLO",
	"kumo.on('smtp_server_ehlo', function(d, m) "
	"if d == 'partner.example' then m:set_meta('trusted', 1) end "
	"end)\n" DOMAINS("if m:get_meta 'trusted' then return " OPEN " end"),
	"relay_to "},
    {"a pattern of names in EHLO",
	DOMAINS("if (m:get_meta 'ehlo_domain' or ''):match "
		"'%.partner%.example$' then return " OPEN " end"),
	"relay_to "},
    {"a word in EHLO",
	DOMAINS("if m:get_meta 'ehlo_domain' == 'opensesame' then return " OPEN
		" end"),
	"relay_to "},
    {"a host name that only begins so",
	DOMAINS("if (m:get_meta 'client_name' or ''):match "
		"'^mx%.partner%.example' then return " OPEN " end"),
	"relay_to "},
    {"addresses that are compared as text",
	"local ours = '192.0.2.1'\n" DOMAINS(
	    "if (m:get_meta 'received_from' or ''):find '^192.0.2.1' "
	    "then return " OPEN " end"),
	"relay_to "},
    {"identities in any case",
	"local known = { scott = true }\n" DOMAINS(
	    "local id = m:get_meta 'authz_id' "
	    "if id and known[id:lower()] then return " OPEN " end"),
	"relay_to "},
    {"who the MTA authenticated",
	DOMAINS("if m:get_meta 'authz_id' then return " OPEN " end"), NULL},
    {"an identity that is known",
	DOMAINS("if m:get_meta 'authz_id' == 'scott' then return " OPEN " end"),
	NULL},
    {"nobody without an identity may do anything",
	"kumo.on('smtp_server_mail_from', function(a, m) "
	"if m:get_meta 'authz_id' ~= 'scott' then "
	"kumo.reject(530, '5.7.0 log in') end end)\n" DOMAINS("return " OPEN),
	NULL},
    {"no connection at all",
	"kumo.on('smtp_server_connection_accepted', function() "
	"kumo.reject(554, 'closed') end)\n",
	NULL},
    {"reports only",
	DOMAINS("return kumo.make_listener_domain { log_oob = true, "
		"log_arf = true }"),
	NULL},
    {"what is left to the MTA", "penstock.unlisted_domains = 'leave_to_mta'\n",
	NULL},
};

static struct {
	enum open_relay result;
	char *said;
	size_t len;
	struct err err;
} last;

static void search(const char *text, struct open_relay_options options)
{
	char *policy = xasprintf(
	    "local kumo, penstock = require 'kumo', require 'penstock'\n%s",
	    text);

	options.policy = write_file("policy.lua", policy);
	options.out = open_memstream(&last.said, &last.len);
	if (!options.seed)
		options.seed = 1;
	if (!options.sessions)
		options.sessions = 300;
	last.result = open_relay_search(&options, &last.err);
	(void)fclose(options.out);
	free(policy);
}

START_TEST(an_open_relay_is_found_and_no_other)
{
	search(cases[_i].policy, (struct open_relay_options){0});
	ck_assert_msg(last.result ==
			  (cases[_i].rule ? OPEN_RELAY_FOUND : OPEN_RELAY_NONE),
	    "%s: %d: %s%s", cases[_i].label, (int)last.result, last.err.text,
	    last.said);
	if (cases[_i].rule) {
		ck_assert_msg(
		    strstr(last.said, cases[_i].rule) != NULL, "%s", last.said);
		/* with file and line */
		ck_assert_msg(strstr(last.said, "policy.lua:") != NULL,
		    "%s: %s", cases[_i].label, last.said);
	}
	free(last.said);
}
END_TEST

START_TEST(the_same_seed_says_the_same)
{
	static const char policy[] = DOMAINS("return " OPEN);
	char *first;

	search(policy, (struct open_relay_options){.seed = 5});
	first = last.said;
	search(policy, (struct open_relay_options){.seed = 5});
	ck_assert_str_eq(last.said, first);
	free(last.said);
	search(policy, (struct open_relay_options){.seed = 6});
	ck_assert_str_ne(last.said, first);
	free(last.said);
	free(first);
}
END_TEST

START_TEST(who_is_trusted_may)
{
	static const char policy[] =
	    LISTENER("relay_hosts = { '198.0.0.0/8' }");
	static const char *const trusted[] = {"198.0.0.0/8"};

	search(policy, (struct open_relay_options){0});
	ck_assert_int_eq(last.result, OPEN_RELAY_FOUND);
	free(last.said);
	search(policy, (struct open_relay_options){
			   .trusted = trusted, .trusted_count = 1});
	ck_assert_msg(last.result == OPEN_RELAY_NONE, "%s", last.said);
	free(last.said);
}
END_TEST

START_TEST(a_policy_that_only_fails_proves_nothing)
{
	search(DOMAINS("error 'boom'"), (struct open_relay_options){0});
	ck_assert_int_eq(last.result, OPEN_RELAY_UNKNOWN);
	/* and says why, as the operator would read it */
	ck_assert_msg(
	    strstr(last.said, "\n# because of: ") && strstr(last.said, "boom"),
	    "%s", last.said);
	ck_assert_msg(strstr(last.said, "421 4.3.0") != NULL, "%s", last.said);
	free(last.said);
	search("error 'no'", (struct open_relay_options){0});
	ck_assert_int_eq(last.result, OPEN_RELAY_FAILED);
	ck_assert_ptr_nonnull(strstr(last.err.text, "policy.lua:2:"));
	free(last.said);
}
END_TEST

TCase *open_relay_tests(void)
{
	TCase *tc = tcase_create("open_relay");

	tcase_add_loop_test(
	    tc, an_open_relay_is_found_and_no_other, 0, COUNT(cases));
	tcase_add_test(tc, the_same_seed_says_the_same);
	tcase_add_test(tc, who_is_trusted_may);
	tcase_add_test(tc, a_policy_that_only_fails_proves_nothing);
	return tc;
}
