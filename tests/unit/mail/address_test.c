/* address_test.c - mail/address.h */
#include "tests/unit/mail/mail_test.h"

#include "base/buf.h"
#include "mail/address.h"

static const struct {
	const char *text, *user, *domain, *email;
} accepted[] = {
    {"<bob@example.com>", "bob", "example.com", "bob@example.com"},
    {"bob@example.com", "bob", "example.com", "bob@example.com"},
    {" <bob@example.com> ", "bob", "example.com", "bob@example.com"},
    {"<Bob@Example.COM>", "Bob", "Example.COM", "Bob@Example.COM"},
    {"<>", "", "", ""},
    {"", "", "", ""},
    {"<Postmaster>", "postmaster", "", "Postmaster"},
    {"POSTMASTER", "postmaster", "", "Postmaster"},
    {"<postmaster@x.example>", "postmaster", "x.example",
	"postmaster@x.example"},
    {"<noat>", "noat", "", "noat"},
    {"<@a.example,@b.example:bob@c.example>", "bob", "c.example",
	"bob@c.example"},
    {"<@a.example:bob@c.example>", "bob", "c.example", "bob@c.example"},
    {"<\"a b\"@x.example>", "a b", "x.example", "\"a b\"@x.example"},
    {"<\"a\\\"b\\\\c\"@x.example>", "a\"b\\c", "x.example",
	"\"a\\\"b\\\\c\"@x.example"},
    {"<\"a@b\"@x.example>", "a@b", "x.example", "\"a@b\"@x.example"},
    {"<\"a>b\"@x.example>", "a>b", "x.example", "\"a>b\"@x.example"},
    {"<a.\"b c\".d@x.example>", "a.b c.d", "x.example",
	"a.\"b c\".d@x.example"},
    {"<a..b.@x.example>", "a..b.", "x.example", "a..b.@x.example"},
    {"<a+b=c/d!#$%&'*?^_`{|}~-@x.example>", "a+b=c/d!#$%&'*?^_`{|}~-",
	"x.example", "a+b=c/d!#$%&'*?^_`{|}~-@x.example"},
    {"<bob@[10.0.0.1]>", "bob", "[10.0.0.1]", "bob@[10.0.0.1]"},
    {"<bob@[IPv6:::1]>", "bob", "[IPv6:::1]", "bob@[IPv6:::1]"},
    {"<bob@[ipv6:2001:db8::7]>", "bob", "[ipv6:2001:db8::7]",
	"bob@[ipv6:2001:db8::7]"},
    {"<bob@_dmarc.x_y.example>", "bob", "_dmarc.x_y.example",
	"bob@_dmarc.x_y.example"},
    {"<bob@example.com.>", "bob", "example.com", "bob@example.com"},
    {"<bob@localhost>", "bob", "localhost", "bob@localhost"},
    {"<j\xc3\xbcrgen@example.com>", "j\xc3\xbcrgen", "example.com",
	"j\xc3\xbcrgen@example.com"},
    {"<bob@B\xc3\xbc"
     "cher.example>",
	"bob", "xn--bcher-kva.example", "bob@xn--bcher-kva.example"},
    {"<bob@stra\xc3\x9f"
     "e.example>",
	"bob", "xn--strae-oqa.example", "bob@xn--strae-oqa.example"},
};

START_TEST(reads_what_clients_send)
{
	struct arena *arena = arena_new(0);
	struct address a;
	struct err err = {0};

	ck_assert_msg(address_parse(accepted[_i].text,
			  strlen(accepted[_i].text), arena, &a, &err),
	    "%s", err.text);
	ck_assert_str_eq(a.user, accepted[_i].user);
	ck_assert_str_eq(a.domain, accepted[_i].domain);
	ck_assert_str_eq(a.email, accepted[_i].email);
	ck_assert(address_is_null(&a) == !*accepted[_i].email);
	arena_unref(arena);
}
END_TEST

/* What is printed must mean the same when it is read again. */
START_TEST(its_own_text_reads_the_same)
{
	struct arena *arena = arena_new(0);
	struct address a, b;

	ck_assert(address_parse(
	    accepted[_i].text, strlen(accepted[_i].text), arena, &a, NULL));
	ck_assert(address_parse(a.email, strlen(a.email), arena, &b, NULL));
	ck_assert_str_eq(a.user, b.user);
	ck_assert_str_eq(a.domain, b.domain);
	ck_assert_str_eq(a.email, b.email);
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *text, *why;
} refused[] = {
    {"<bob@example.com", "\">\" is missing"},
    {"<", "\">\" is missing"},
    {"bob@example.com>", "that is no domain name"},
    {"<bob@example.com> SIZE=1", "\">\" is missing"},
    {"<bob@>", "the domain is missing"},
    {"<@example.com>", "malformed source route"},
    {"<@a.example bob@c.example>", "malformed source route"},
    {"<@a,b:bob@c.example>", "malformed source route"},
    {"<@a.example:>", "the local part is missing"},
    {"<a@b@c.example>", "that is no domain name"},
    {"<a b@c.example>", "unexpected characters"},
    {"<\"a\"b@c.example>", "unexpected characters"},
    {"<a,b@c.example>", "unexpected characters"},
    {"<\"a@c.example>", "a quote is not closed"},
    {"<\"a\\\">", "a quote is not closed"},
    {"<bob@a..example>", "that is no domain name"},
    {"<bob@.example>", "that is no domain name"},
    {"<bob@exa mple>", "that is no domain name"},
    {"<bob@example.com:25>", "that is no domain name"},
    {"<bob@[10.0.0.300]>", "malformed address literal"},
    {"<bob@[::1]>", "malformed address literal"},
    {"<bob@[IPv6:10.0.0.1]>", "malformed address literal"},
    {"<bob@[10.0.0.1]x>", "malformed address literal"},
    {"<bob@[>", "malformed address literal"},
    {"<bob\n@example.com>", "it has control characters"},
    {"<\"b\x7f\"@example.com>", "it has control characters"},
    {"<b\xff@example.com>", "it is not UTF-8"},
};

START_TEST(refuses_what_is_left_over)
{
	struct arena *arena = arena_new(0);
	struct address a;
	struct err err = {0};

	ck_assert_msg(!address_parse(refused[_i].text, strlen(refused[_i].text),
			  arena, &a, &err),
	    "%s", refused[_i].text);
	ck_assert_msg(
	    strstr(err.text, refused[_i].why) != NULL, "%s", err.text);
	ck_assert_int_eq(err.class, ERR_PERM);
	arena_unref(arena);
}
END_TEST

static const struct {
	size_t local, label, labels;
	bool ok;
} lengths[] = {
    {64, 10, 2, true},
    {512, 10, 2, true},
    {513, 10, 2, false},
    {5, 63, 3, true},
    {5, 64, 1, false},
    {5, 63, 4, true},  /* 255 */
    {5, 51, 5, false}, /* 259 */
    {5, 63, 20, false},
};

START_TEST(lengths_are_bounded)
{
	struct arena *arena = arena_new(0);
	struct buf text = BUF_INIT;
	struct address a;

	for (size_t i = 0; i < lengths[_i].local; i++)
		buf_addch(&text, 'a');
	for (size_t i = 0; i < lengths[_i].labels; i++) {
		buf_addch(&text, i ? '.' : '@');
		for (size_t j = 0; j < lengths[_i].label; j++)
			buf_addch(&text, 'b');
	}
	ck_assert(address_parse(text.data, text.len, arena, &a, NULL) ==
		  lengths[_i].ok);
	buf_release(&text);
	arena_unref(arena);
}
END_TEST

START_TEST(a_nul_is_no_way_to_hide)
{
	struct arena *arena = arena_new(0);
	struct address a;

	ck_assert(!address_parse("bob@a\0b.example", 15, arena, &a, NULL));
	arena_unref(arena);
}
END_TEST

static const struct {
	const char *text;
	bool routed;
} routes[] = {
    {"bob@x.example", false},
    {"a%b@x.example", true},
    {"a!b@x.example", true},
    {"\"a@b\"@x.example", true},
    {"\"a\\@b\"@x.example", true},
};

START_TEST(routed_local_parts_are_seen)
{
	struct arena *arena = arena_new(0);
	struct address a;

	ck_assert(address_parse(
	    routes[_i].text, strlen(routes[_i].text), arena, &a, NULL));
	ck_assert(address_is_routed(&a) == routes[_i].routed);
	arena_unref(arena);
}
END_TEST

START_TEST(domains_are_compared_in_one_form)
{
	struct arena *arena = arena_new(0);
	struct address a;
	const char *out;

	ck_assert(address_parse("b@Ex.COM", 8, arena, &a, NULL));
	ck_assert_str_eq(address_domain_lower(&a, arena), "ex.com");
	ck_assert_str_eq(a.domain, "Ex.COM");
	ck_assert(domain_to_ascii("EXAMPLE.com", arena, &out, NULL));
	ck_assert_str_eq(out, "example.com");
	ck_assert(domain_to_ascii("B\xc3\x9c"
				  "CHER.example",
	    arena, &out, NULL));
	ck_assert_str_eq(out, "xn--bcher-kva.example");
	ck_assert(!domain_to_ascii("", arena, &out, NULL));
	ck_assert(!domain_to_ascii("a b", arena, &out, NULL));
	ck_assert(!domain_to_ascii("\xff", arena, &out, NULL));
	arena_unref(arena);
}
END_TEST

TCase *address_tests(void)
{
	TCase *tc = tcase_create("address");

	tcase_add_loop_test(tc, reads_what_clients_send, 0, COUNT(accepted));
	tcase_add_loop_test(
	    tc, its_own_text_reads_the_same, 0, COUNT(accepted));
	tcase_add_loop_test(tc, refuses_what_is_left_over, 0, COUNT(refused));
	tcase_add_loop_test(tc, lengths_are_bounded, 0, COUNT(lengths));
	tcase_add_test(tc, a_nul_is_no_way_to_hide);
	tcase_add_loop_test(tc, routed_local_parts_are_seen, 0, COUNT(routes));
	tcase_add_test(tc, domains_are_compared_in_one_form);
	return tc;
}
