#include "policy/relay.h"

#include "base/str.h"
#include "policy_test.h"
#include "test_values.h"

/* The client is 203.0.113.9 unless it says otherwise. */
#define INSIDE "203.0.113.0/24"

static const struct {
	const char *label;
	const char *peer;        /* NULL: unknown */
	const char *relay_hosts; /* a block, NULL: none */
	const char *sender;      /* JSON of its listener domain, NULL: nil */
	const char *recipient;   /* the same */
	const char *address;
	enum unlisted_domains unlisted;
	enum relay_verdict want;
	const char *rule;
} cases[] = {
    {"case 13: nobody allows it", "203.0.113.9", NULL, NULL, NULL,
	"u@example.com", UNLISTED_REFUSE, RELAY_REFUSED, "refused"},
    {"case 67: the recipient's domain is open", "203.0.113.9", NULL, NULL,
	"{\"relay_to\": true}", "u@example.com", UNLISTED_REFUSE, RELAY_OURS,
	"relay_to"},
    {"case 68: the client may everything", "203.0.113.9", INSIDE, NULL, NULL,
	"u@example.com", UNLISTED_REFUSE, RELAY_OURS, "relay_hosts"},
    {"case 69: the sender's domain lets the client", "203.0.113.9", NULL,
	"{\"relay_from\": [\"" INSIDE "\"]}", NULL, "any@where.example",
	UNLISTED_REFUSE, RELAY_OURS, "relay_from"},
    {"case 69: but not another", "198.51.100.1", NULL,
	"{\"relay_from\": [\"" INSIDE "\"]}", NULL, "any@where.example",
	UNLISTED_REFUSE, RELAY_REFUSED, "refused"},
    {"case 70: a closed domain does not stop a trusted client", "203.0.113.9",
	INSIDE, NULL, "{\"relay_to\": false}", "u@example.com", UNLISTED_REFUSE,
	RELAY_OURS, "relay_hosts"},
    {"case 71: relay_from is about senders", "203.0.113.9", NULL, NULL,
	"{\"relay_from\": [\"" INSIDE "\"]}", "u@example.com", UNLISTED_REFUSE,
	RELAY_REFUSED, "refused"},
    {"relay_to is about recipients", "203.0.113.9", NULL,
	"{\"relay_to\": true}", NULL, "u@example.com", UNLISTED_REFUSE,
	RELAY_REFUSED, "refused"},
    {"a client that is not known is not trusted", NULL, "any",
	"{\"relay_from\": [\"any\"]}", NULL, "u@example.com", UNLISTED_REFUSE,
	RELAY_REFUSED, "refused"},
    {"but may write where everybody may", NULL, NULL, NULL,
	"{\"relay_to\": true}", "u@example.com", UNLISTED_REFUSE, RELAY_OURS,
	"relay_to"},
    {"case 82: reports open a domain for reports", "203.0.113.9", NULL, NULL,
	"{\"log_oob\": true}", "x@b.example", UNLISTED_REFUSE,
	RELAY_OURS_REPORT, "report"},
    {"case 84: of both sorts", "203.0.113.9", NULL, NULL,
	"{\"log_arf\": \"LogThenDrop\"}", "x@f.example", UNLISTED_REFUSE,
	RELAY_OURS_REPORT, "report"},
    {"case 87: where mail may pass it passes", "203.0.113.9", NULL, NULL,
	"{\"log_oob\": \"LogThenDrop\", \"relay_to\": true}", "x@b.example",
	UNLISTED_REFUSE, RELAY_OURS, "relay_to"},

    {"the MTA keeps its own", "203.0.113.9", NULL, NULL,
	"{\"leave_to_mta\": true}", "u@local.example", UNLISTED_REFUSE,
	RELAY_LEAVE_TO_MTA, "leave_to_mta"},
    {"whoever asks", "203.0.113.9", INSIDE, NULL,
	"{\"leave_to_mta\": true, \"relay_to\": true}", "u@local.example",
	UNLISTED_REFUSE, RELAY_LEAVE_TO_MTA, "leave_to_mta"},
    {"unlisted domains may be the MTA's", "203.0.113.9", NULL, NULL, NULL,
	"u@example.org", UNLISTED_LEAVE_TO_MTA, RELAY_LEAVE_TO_MTA,
	"unlisted_domains"},
    {"a trusted client's are ours before that", "203.0.113.9", INSIDE, NULL,
	NULL, "u@example.org", UNLISTED_LEAVE_TO_MTA, RELAY_OURS,
	"relay_hosts"},
    {"a domain that is listed and closed is not unlisted", "203.0.113.9", NULL,
	NULL, "{\"relay_to\": false}", "u@example.org", UNLISTED_LEAVE_TO_MTA,
	RELAY_REFUSED, "refused"},

    {"D34: a percent sign is a route", "203.0.113.9", NULL, NULL,
	"{\"relay_to\": true}", "u%other.example@example.com", UNLISTED_REFUSE,
	RELAY_REFUSED_ROUTED, "routed_local_part"},
    {"D34: so is a bang", "203.0.113.9", NULL, NULL, "{\"relay_to\": true}",
	"other!u@example.com", UNLISTED_REFUSE, RELAY_REFUSED_ROUTED,
	"routed_local_part"},
    {"D34: and an at sign in quotes", "203.0.113.9", NULL, NULL,
	"{\"relay_to\": true}", "\"u@other.example\"@example.com",
	UNLISTED_REFUSE, RELAY_REFUSED_ROUTED, "routed_local_part"},
    {"D34: also with a report's domain", "203.0.113.9", NULL, NULL,
	"{\"log_oob\": true}", "u%x@example.com", UNLISTED_REFUSE,
	RELAY_REFUSED_ROUTED, "routed_local_part"},
    {"D34: the sender's permission does not help", "203.0.113.9", NULL,
	"{\"relay_from\": [\"" INSIDE "\"]}", NULL, "u%x@example.com",
	UNLISTED_REFUSE, RELAY_REFUSED_ROUTED, "routed_local_part"},
    {"D34: a trusted client may", "203.0.113.9", INSIDE, NULL, NULL,
	"u%x@example.com", UNLISTED_REFUSE, RELAY_OURS, "relay_hosts"},
    {"D34: a domain may say so", "203.0.113.9", NULL, NULL,
	"{\"relay_to\": true, \"allow_routed_local_part\": true}",
	"u%x@example.com", UNLISTED_REFUSE, RELAY_OURS, "relay_to"},
    {"D34: which opens nothing else", "203.0.113.9", NULL, NULL,
	"{\"allow_routed_local_part\": true}", "u%x@example.com",
	UNLISTED_REFUSE, RELAY_REFUSED, "refused"},
    {"the MTA judges its own routes", "203.0.113.9", NULL, NULL,
	"{\"leave_to_mta\": true}", "u%x@local.example", UNLISTED_REFUSE,
	RELAY_LEAVE_TO_MTA, "leave_to_mta"},

    {"D35: the bare postmaster is always there", "203.0.113.9", NULL, NULL,
	NULL, "<postmaster>", UNLISTED_REFUSE, RELAY_OURS, "postmaster"},
    {"D35: in any spelling", NULL, NULL, NULL, NULL, "<POSTmaster>",
	UNLISTED_REFUSE, RELAY_OURS, "postmaster"},
    {"D35: even if his domain is closed", "203.0.113.9", NULL, NULL,
	"{\"relay_to\": false}", "<postmaster>", UNLISTED_REFUSE, RELAY_OURS,
	"postmaster"},
    {"a postmaster with a domain is like anybody", "203.0.113.9", NULL, NULL,
	NULL, "postmaster@example.com", UNLISTED_REFUSE, RELAY_REFUSED,
	"refused"},
};

START_TEST(decides)
{
	struct address address;
	struct cidr block = {0};
	struct cidr_list hosts = {&block, cases[_i].relay_hosts ? 1 : 0};
	const struct relay_question q = {
	    .peer = ip(cases[_i].peer),
	    .relay_hosts = &hosts,
	    .recipient = &address,
	    .sender_domain = cases[_i].sender ? parsed(&listener_domain_params,
						    cases[_i].sender)
					      : NULL,
	    .recipient_domain =
		cases[_i].recipient
		    ? parsed(&listener_domain_params, cases[_i].recipient)
		    : NULL,
	    .unlisted = cases[_i].unlisted,
	};
	struct relay_answer a;

	if (cases[_i].relay_hosts)
		ck_assert(cidr_parse(cases[_i].relay_hosts, &block, NULL));
	ck_assert(address_parse(cases[_i].address, strlen(cases[_i].address),
	    arena, &address, NULL));
	a = relay_decide(&q);
	ck_assert_msg(a.verdict == cases[_i].want, "%s: verdict %d",
	    cases[_i].label, a.verdict);
	ck_assert_msg(
	    str_eq(a.rule, cases[_i].rule), "%s: %s", cases[_i].label, a.rule);
	ck_assert_msg(
	    a.relay == (a.verdict == RELAY_OURS), "%s", cases[_i].label);
}
END_TEST

START_TEST(an_address_without_family_is_unknown)
{
	struct cidr any = {0};
	struct cidr_list hosts = {&any, 1};
	struct ip_addr nowhere = {0};
	struct address address;
	struct relay_question q = {
	    .peer = &nowhere, .relay_hosts = &hosts, .recipient = &address};

	ck_assert(address_parse("u@d.example", 11, arena, &address, NULL));
	ck_assert_int_eq(relay_decide(&q).verdict, RELAY_REFUSED);
}
END_TEST

START_TEST(reports_are_logged_wherever_the_recipient_stays)
{
	struct cidr_list none = {0};
	struct address address;
	struct relay_question q = {
	    .relay_hosts = &none,
	    .recipient = &address,
	    .recipient_domain = parsed(&listener_domain_params,
		"{\"leave_to_mta\": true, \"log_oob\": true,"
		" \"log_arf\": \"LogThenRelay\"}"),
	};
	struct relay_answer a;

	ck_assert(address_parse("u@d.example", 11, arena, &address, NULL));
	a = relay_decide(&q);
	ck_assert_int_eq(a.verdict, RELAY_LEAVE_TO_MTA);
	ck_assert_int_eq(a.log_oob, REPORT_LOG);
	ck_assert_int_eq(a.log_arf, REPORT_LOG_THEN_RELAY);
}
END_TEST

Suite *relay_suite(void)
{
	Suite *suite = suite_create("relay");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, arena_begin, arena_end);
	tcase_add_loop_test(t, decides, 0, COUNT(cases));
	tcase_add_test(t, an_address_without_family_is_unknown);
	tcase_add_test(t, reports_are_logged_wherever_the_recipient_stays);
	suite_add_tcase(suite, t);
	return suite;
}
