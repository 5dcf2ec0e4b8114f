/*
 * dkim_test.c - canonical bytes, and what a signature says
 */
#include "base/str.h"
#include "mail/dkim.h"
#include "tests/unit/mail/mail_test.h"

/* ---- bodies: RFC 6376, 3.4.3 to 3.4.5 ---- */

static const struct {
	const char *label, *body, *simple, *relaxed;
} bodies[] = {
    {"the example of RFC 6376, 3.4.5", " C \r\nD \t E\r\n\r\n\r\n",
	" C \r\nD \t E\r\n", " C\r\nD E\r\n"},
    {"nothing", "", "\r\n", ""},
    {"empty lines only", "\r\n\r\n", "\r\n", ""},
    {"blanks only", "  \t\r\n", "  \t\r\n", ""},
    {"no line end at the end", "a", "a\r\n", "a\r\n"},
    {"an empty line inside", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n",
	"a\r\n\r\nb\r\n"},
    {"blanks in an empty line inside", "a\r\n \r\nb\r\n", "a\r\n \r\nb\r\n",
	"a\r\n\r\nb\r\n"},
    {"a CR alone", "a\rb\r\r\n", "a\rb\r\r\n", "a\rb\r\r\n"},
    {"an LF alone", "a\nb\r\n", "a\nb\r\n", "a\nb\r\n"},
    {"a CR at the end", "a\r", "a\r\r\n", "a\r\r\n"},
    {"blanks at the end without a line end", "a  ", "a  \r\n", "a\r\n"},
};

START_TEST(a_body_has_one_canonical_form)
{
	struct buf out = BUF_INIT;
	size_t len = strlen(bodies[_i].body);

	dkim_canon_body(DKIM_SIMPLE, bodies[_i].body, len, &out);
	ck_assert_msg(str_eq(buf_str(&out), bodies[_i].simple), "%s: %s",
	    bodies[_i].label, buf_str(&out));
	buf_reset(&out);
	dkim_canon_body(DKIM_RELAXED, bodies[_i].body, len, &out);
	ck_assert_msg(str_eq(buf_str(&out), bodies[_i].relaxed), "%s: %s",
	    bodies[_i].label, buf_str(&out));
	buf_release(&out);
}
END_TEST

/* ---- signatures ---- */

/* RFC 8463, A.2. */
static const unsigned char seed[32] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a,
    0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f,
    0x60};

static struct sign_key *test_key(void)
{
	struct err err = {0};
	struct sign_key *key =
	    sign_key_read(SIGN_ED25519, seed, sizeof seed, &err);

	ck_assert_msg(key != NULL, "%s", err.text);
	return key;
}

static struct message *test_message(const char *text)
{
	struct message *m = message_new();

	m->content = content_from_bytes(text, strlen(text));
	return m;
}

/* The message of RFC 8463, A.3; the RFC's own signature has other tags, so
 * what can be compared is the hash of the body. */
static const char football[] =
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

static const char twice[] =
    "From: a@example.com\r\nTo: x@example.org\r\nTo: y@example.org\r\n\r\nb";

static const char *const from_to[] = {"From", "To"};
static const char *const from_to_cc[] = {"From", "To", "Cc"};
static const char *const from_from[] = {"from", "From", "to"};

static const struct {
	const char *label, *text;
	const char *const *headers;
	size_t count;
	struct dkim_signer more;
	const char *want; /* part of the value, without folds and blanks */
} cases[] = {
    {"the hash of RFC 8463, A.3", football, from_to, 2, {.body_canon = 0},
	";bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;"},
    {"the first tags", football, from_to, 2, {.body_canon = 0},
	"v=1;a=ed25519-sha256;d=football.example.com;s=brisbane;"
	"c=relaxed/relaxed;t=1700000000;h=From:To;"},
    {"every instance, and only what is there", twice, from_to_cc, 3,
	{.body_canon = 0}, ";h=From:To:To;"},
    {"one more of each", twice, from_to_cc, 3, {.over_sign = true},
	";h=From:From:To:To:To:Cc;"},
    {"a name that stands there twice", twice, from_from, 3, {.body_canon = 0},
	";h=from:from:to:to;"},
    {"everything else", twice, from_to, 2,
	{.header_canon = DKIM_SIMPLE,
	    .body_canon = DKIM_SIMPLE,
	    .body_length = true,
	    .reporting = true,
	    .expiration_seconds = 60,
	    .atps = "x.test",
	    .atpsh = "sha256",
	    .agent_user_identifier = "@a.football.example.com"},
	"c=simple/simple;i=@a.football.example.com;atps=x.test;atpsh=sha256;"
	"r=y;t=1700000000;x=1700000060;l=3;"},
};

START_TEST(a_signature_names_what_it_signs)
{
	struct dkim_signer signer = cases[_i].more;
	struct message *m = test_message(cases[_i].text);
	struct buf out = BUF_INIT, flat = BUF_INIT;
	struct sign_key *key = test_key();
	struct err err = {0};
	size_t column = sizeof "DKIM-Signature: " - 1;

	signer.domain = "football.example.com";
	signer.selector = "brisbane";
	signer.headers = cases[_i].headers;
	signer.header_count = cases[_i].count;
	signer.key = key;
	ck_assert_msg(dkim_check(&signer, &err), "%s", err.text);
	ck_assert_msg(dkim_sign(&signer, m, 1700000000, &out, &err), "%s: %s",
	    cases[_i].label, err.text);
	for (const char *p = buf_str(&out); *p; p++) {
		column = *p == '\r' ? 0 : column + 1;
		ck_assert_uint_le(column, 90);
		if (!strchr(" \t\r\n", *p))
			buf_addch(&flat, *p);
	}
	ck_assert_msg(strstr(buf_str(&flat), cases[_i].want) != NULL, "%s: %s",
	    cases[_i].label, buf_str(&flat));
	buf_release(&out);
	buf_release(&flat);
	sign_key_unref(key);
	message_unref(m);
}
END_TEST

static const char *const no_from[] = {"To"};
static const char *const a_colon[] = {"From", "a:b"};
static const char *const itself[] = {"From", "dkim-signature"};

static const struct {
	const char *label;
	struct dkim_signer signer;
	const char *want;
} wrong[] = {
    {"From must be signed", {"d.test", "s", no_from, 1},
	"headers: invalid value: From must be signed"},
    {"a name with a colon", {"d.test", "s", a_colon, 2},
	"headers: invalid value: \"a:b\""},
    {"a signature of signatures", {"d.test", "s", itself, 2},
	"headers: invalid value: a signature does not sign DKIM-Signature"},
    {"a domain with a tag", {"d.test; s=x", "s", from_to, 2},
	"domain: invalid value: \"d.test; s=x\""},
    {"an empty selector", {"d.test", "", from_to, 2},
	"selector: invalid value: it is empty"},
    {"somebody else's name",
	{"d.test", "s", from_to, 2, .agent_user_identifier = "a@bad.test"},
	"agent_user_identifier: invalid value: \"a@bad.test\" is not in "
	"d.test"},
    {"a name that only ends alike",
	{"d.test", "s", from_to, 2, .agent_user_identifier = "a@xd.test"},
	"agent_user_identifier: invalid value"},
};

START_TEST(what_cannot_stand_in_a_signature_is_refused)
{
	struct err err = {0};

	ck_assert_msg(
	    !dkim_check(&wrong[_i].signer, &err), "%s", wrong[_i].label);
	ck_assert_msg(str_starts(err.text, wrong[_i].want), "%s: %s",
	    wrong[_i].label, err.text);
}
END_TEST

START_TEST(a_message_without_From_is_not_signed)
{
	struct dkim_signer signer = {"d.test", "s", from_to, 2};
	struct message *m = test_message("To: a@b\r\n\r\n");
	struct buf out = BUF_INIT;
	struct sign_key *key = test_key();
	struct err err = {0};

	signer.key = key;
	ck_assert(!dkim_sign(&signer, m, 1, &out, &err));
	ck_assert_str_eq(err.text, "the message has no From field");
	sign_key_unref(key);
	message_unref(m);
}
END_TEST

TCase *dkim_tests(void)
{
	TCase *tcase = tcase_create("dkim");

	tcase_add_loop_test(
	    tcase, a_body_has_one_canonical_form, 0, COUNT(bodies));
	tcase_add_loop_test(
	    tcase, a_signature_names_what_it_signs, 0, COUNT(cases));
	tcase_add_loop_test(tcase, what_cannot_stand_in_a_signature_is_refused,
	    0, COUNT(wrong));
	tcase_add_test(tcase, a_message_without_From_is_not_signed);
	return tcase;
}
