/*
 * client_test.c - what a client is told, by us and by the MTA that is not there
 */
#include "trial/client.h"

#include "base/str.h"
#include "tests/unit/trial/trial_test.h"

static const char policy[] =
    "kumo.on('init', function() "
    "  kumo.start_esmtp_listener { listen = '10.0.0.25:587', "
    "    relay_hosts = { '10.0.0.0/8' }, max_message_size = 1000, "
    "    hostname = 'mx.example.com', "
    "    peer = { ['192.0.2.0/24'] = { relay_hosts = { '192.0.2.0/24' } } } } "
    "end) "
    "kumo.on('smtp_server_connection_accepted', function(m) "
    "  if m:get_meta 'client_name' == 'bad.test' then "
    "    kumo.reject(550, '5.7.1 go away') "
    "  end "
    "end) "
    "kumo.on('smtp_server_ehlo', function(d, m) "
    "  if d == 'closes.test' then kumo.reject(421, 'bye') end "
    "  if d == 'bad.test' then kumo.reject(550, '5.7.1 bad name') end "
    "end) "
    "kumo.on('get_listener_domain', function(d, l, m) "
    "  if d == 'example.com' or m:get_meta 'authz_id' == 'scott' then "
    "    return kumo.make_listener_domain { relay_to = true } "
    "  elseif d == 'local.test' then "
    "    return kumo.make_listener_domain { leave_to_mta = true } "
    "  elseif d == 'boom.test' then "
    "    error 'boom' "
    "  end "
    "end)";

static struct world *w;
static struct client *c;

static void setup(void)
{
	w = world_with(policy);
}

static void teardown(void)
{
	client_free(c);
	c = NULL;
	end_world();
}

static void connect_with(struct client_facts facts)
{
	struct err err = {0};

	client_free(c);
	ck_assert_msg(client_connect(&c, w, &facts, &err), "%s", err.text);
}

static void connect_from(const char *ip)
{
	connect_with((struct client_facts){.ip = ip, .port = 4000});
}

#define ck_assert_reply(reply, want_code, want_by_mta)                         \
	do {                                                                   \
		const struct client_reply *r_ = (reply);                       \
		ck_assert_msg(                                                 \
		    r_->code == (want_code), "%d %s", r_->code, r_->text);     \
		ck_assert_int_eq(r_->by_mta, (want_by_mta));                   \
	} while (0)

START_TEST(an_mta_answers_what_is_out_of_order)
{
	connect_from("203.0.113.9");
	ck_assert_reply(client_greeting(c), 220, false);
	ck_assert_reply(client_rcpt(c, "a@example.com", NULL), 503, true);
	ck_assert_reply(client_message(c, "\n", 1), 503, true);
	ck_assert_reply(client_mail(c, "<a@b.test>", NULL), 250, false);
	ck_assert_reply(client_mail(c, "a@b.test", NULL), 503, true);
	ck_assert_reply(client_message(c, "\n", 1), 554, true);
	ck_assert_reply(client_rset(c), 250, true);
	ck_assert_reply(client_rcpt(c, "a@example.com", NULL), 503, true);
}
END_TEST

START_TEST(a_recipient_is_ours_the_mtas_or_refused)
{
	const struct client_reply *r;

	connect_from("203.0.113.9");
	(void)client_mail(c, "", NULL);
	r = client_rcpt(c, "a@example.com", NULL);
	ck_assert_int_eq(r->owner, OWNER_PENSTOCK);
	ck_assert(str_starts(r->rule, "relay_to "));
	r = client_rcpt(c, "a@local.test", NULL);
	ck_assert_int_eq(r->owner, OWNER_MTA);
	r = client_rcpt(c, "a@far.test", NULL);
	ck_assert_reply(r, 550, false);
	ck_assert_str_eq(r->enhanced, "5.7.1");
	ck_assert_int_eq(r->owner, OWNER_NONE);
	r = client_message(c, "Subject: x\n\ny\n", 14);
	ck_assert_reply(r, 250, false);
	ck_assert_uint_eq(r->stored, 1);
	ck_assert(!r->is_discarded);
}
END_TEST

START_TEST(relay_hosts_of_the_connection_count)
{
	static const struct {
		const char *ip;
		int want;
	} peers[] = {
	    {"10.1.2.3", 250},
	    {"::ffff:10.1.2.3", 250},
	    {"192.0.2.200", 250},
	    {"11.0.0.0", 550},
	    {NULL, 550},
	};

	for (size_t i = 0; i < COUNT(peers); i++) {
		const struct client_reply *r;

		connect_from(peers[i].ip);
		(void)client_mail(c, "a@b.test", NULL);
		r = client_rcpt(c, "x@far.test", NULL);
		ck_assert_msg(r->code == peers[i].want, "%s: %d",
		    peers[i].ip ? peers[i].ip : "none", r->code);
		if (r->code == 250)
			ck_assert(strstr(r->rule, "policy.lua:1") != NULL);
	}
}
END_TEST

START_TEST(an_identity_counts_from_the_next_mail)
{
	connect_from("203.0.113.9");
	client_set_auth(c, "scott", NULL);
	(void)client_mail(c, "a@b.test", NULL);
	ck_assert_reply(client_rcpt(c, "x@far.test", NULL), 250, false);
	(void)client_rset(c);
	client_set_auth(c, NULL, NULL);
	(void)client_mail(c, "a@b.test", NULL);
	ck_assert_reply(client_rcpt(c, "x@far.test", NULL), 550, false);
}
END_TEST

/* On Postfix {auth_author} is something else. */
START_TEST(only_sendmail_tells_another_authz)
{
	connect_with((struct client_facts){
	    .ip = "203.0.113.9", .auth = "robot", .authz = "scott"});
	(void)client_mail(c, "a@b.test", NULL);
	ck_assert_reply(client_rcpt(c, "x@far.test", NULL), 550, false);
	connect_with((struct client_facts){.ip = "203.0.113.9",
	    .auth = "robot",
	    .authz = "scott",
	    .is_sendmail = true});
	(void)client_mail(c, "a@b.test", NULL);
	ck_assert_reply(client_rcpt(c, "x@far.test", NULL), 250, false);
}
END_TEST

START_TEST(a_refused_connection_stays_refused)
{
	connect_with(
	    (struct client_facts){.ip = "203.0.113.9", .name = "bad.test"});
	ck_assert_reply(client_greeting(c), 550, false);
	ck_assert_reply(client_ehlo(c, "x.test"), 550, false);
	ck_assert_reply(client_mail(c, "a@b.test", NULL), 550, false);
	ck_assert_reply(client_rset(c), 550, false);
}
END_TEST

START_TEST(a_client_whose_name_was_refused_stays_refused)
{
	connect_from("203.0.113.9");
	ck_assert_reply(client_ehlo(c, "bad.test"), 550, false);
	ck_assert_reply(client_mail(c, "a@b.test", NULL), 550, false);
	ck_assert_reply(client_ehlo(c, "x.test"), 550, false);
}
END_TEST

START_TEST(after_421_the_mta_has_hung_up)
{
	connect_from("203.0.113.9");
	ck_assert_reply(client_ehlo(c, "closes.test"), 421, false);
	ck_assert_reply(client_mail(c, "a@b.test", NULL), 421, false);
	connect_from("203.0.113.9");
	(void)client_mail(c, "a@b.test", NULL);
	ck_assert_reply(client_rcpt(c, "a@boom.test", NULL), 421, false);
	ck_assert_reply(client_message(c, "\n", 1), 421, false);
}
END_TEST

START_TEST(local_submission_hears_nothing_before_its_end)
{
	connect_with((struct client_facts){.is_local_submission = true});
	(void)client_mail(c, "root", NULL);
	ck_assert_reply(client_rcpt(c, "a@boom.test", NULL), 250, false);
	ck_assert_int_eq(client_message(c, "Subject: x\n\ny\n", 14)->code, 421);
	connect_with((struct client_facts){.is_local_submission = true});
	(void)client_mail(c, "root", NULL);
	ck_assert_reply(client_rcpt(c, "a@far.test", NULL), 250, false);
	ck_assert_uint_eq(
	    client_message(c, "Subject: x\n\ny\n", 14)->stored, 1);
}
END_TEST

START_TEST(a_message_arrives_as_an_mta_hands_it_on)
{
	static const char text[] = "Subject: two\n lines\r\nX-Tab:\tx\n\n.a\nb";
	struct arena *arena = arena_new(0);
	struct stored *all;
	struct err err = {0};
	size_t count;

	connect_from("203.0.113.9");
	(void)client_mail(c, "a@b.test", NULL);
	(void)client_rcpt(c, "x@example.com", NULL);
	ck_assert_uint_eq(client_message(c, text, sizeof text - 1)->stored, 1);
	ck_assert(world_stored(w, arena, &all, &count, &err));
	ck_assert(str_ends(all[0].data,
	    "\r\nSubject: two\r\n lines\r\nX-Tab:\tx\r\n\r\n.a\r\nb\r\n"));
	arena_unref(arena);
}
END_TEST

START_TEST(limits_are_those_of_the_connection)
{
	char text[2000];

	memset(text, 'x', sizeof text);
	connect_from("203.0.113.9");
	(void)client_mail(c, "a@b.test", NULL);
	(void)client_rcpt(c, "x@example.com", NULL);
	ck_assert_reply(client_message(c, text, sizeof text), 552, false);
	ck_assert_reply(client_mail(c, "a@b.test",
			    (const char *const[]){"SIZE=5000", NULL}),
	    552, false);
}
END_TEST

START_TEST(what_the_policy_says_can_be_asked)
{
	struct arena *arena = arena_new(0);
	const struct client_reply *r = NULL;
	struct value v;

	connect_from("192.0.2.1");
	ck_assert(client_listener_domain(c, "example.com", &v, &r));
	ck_assert(value_get(&v, "relay_to")->b);
	ck_assert(client_listener_domain(c, "far.test", &v, &r));
	ck_assert_int_eq(v.type, VALUE_NIL);
	v = client_parameters(c, arena);
	ck_assert_str_eq(value_get(&v, "hostname")->s, "mx.example.com");
	ck_assert_str_eq(
	    value_get(&v, "relay_hosts")->items[0].s, "192.0.2.0/24");
	ck_assert(!client_listener_domain(c, "boom.test", &v, &r));
	ck_assert_int_eq(r->code, 421);
	arena_unref(arena);
}
END_TEST

static const struct {
	struct client_facts facts;
	const char *want;
} nonsense[] = {
    {{.ip = "10.0.0"}, "ip: expected an address, got \"10.0.0\""},
    {{.ip = "mx.test"}, "ip: expected an address, got \"mx.test\""},
    {{.ip = "10.0.0.1", .server = "25"},
	"server: expected ADDRESS:PORT, got \"25\""},
};

START_TEST(nonsense_is_said_to_be)
{
	struct err err = {0};

	ck_assert(!client_connect(&c, w, &nonsense[_i].facts, &err));
	ck_assert_str_eq(err.text, nonsense[_i].want);
	c = NULL;
}
END_TEST

TCase *client_tests(void)
{
	TCase *tc = tcase_create("client");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, an_mta_answers_what_is_out_of_order);
	tcase_add_test(tc, a_recipient_is_ours_the_mtas_or_refused);
	tcase_add_test(tc, relay_hosts_of_the_connection_count);
	tcase_add_test(tc, an_identity_counts_from_the_next_mail);
	tcase_add_test(tc, only_sendmail_tells_another_authz);
	tcase_add_test(tc, a_refused_connection_stays_refused);
	tcase_add_test(tc, a_client_whose_name_was_refused_stays_refused);
	tcase_add_test(tc, after_421_the_mta_has_hung_up);
	tcase_add_test(tc, local_submission_hears_nothing_before_its_end);
	tcase_add_test(tc, a_message_arrives_as_an_mta_hands_it_on);
	tcase_add_test(tc, limits_are_those_of_the_connection);
	tcase_add_test(tc, what_the_policy_says_can_be_asked);
	tcase_add_loop_test(tc, nonsense_is_said_to_be, 0, COUNT(nonsense));
	return tc;
}
