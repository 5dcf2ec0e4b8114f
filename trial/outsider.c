/*
 * outsider.c - what strangers who want to relay are made of
 */
#include "trial/outsider.h"

#include <ctype.h>

#include "base/array.h"
#include "base/str.h"

#define MOST_LOOKALIKES 12
#define RANDOM_ADDRESSES 12
#define OWN_V4 16 /* public blocks from this length on are somebody's own */
#define OWN_V6 32

/* ---- chance ---- */

/* splitmix64 */
uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

const char *dice_pick(struct dice *dice, const struct words *words)
{
	return words->count ? words->items[dice_roll(dice) % words->count]
			    : NULL;
}

void words_add(struct arena *arena, struct words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++)
		if (str_eq(words->items[i], word))
			return;
	*ARRAY_ADD(words) = arena_strdup(arena, word);
}

/* ---- addresses ---- */

static const char *const private_blocks[] = {
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
    "::1",
};

static struct cidr block_of(const char *text)
{
	struct cidr block = {0};
	struct err err;

	/* Texts of ours. */
	if (!cidr_parse(text, &block, &err))
		block.ip.family = 0;
	return block;
}

bool block_is_own(const struct cidr *block)
{
	unsigned least = block->ip.family == AF_INET6 ? OWN_V6 : OWN_V4;

	if (block->ip.family == 0)
		return false;
	for (size_t i = 0; i < COUNT(private_blocks); i++) {
		struct cidr whole = block_of(private_blocks[i]);

		if (block->len >= whole.len &&
		    cidr_contains(&whole, &block->ip))
			return true;
	}
	return block->len >= least;
}

void outsiders_trust(struct outsiders *o, const struct blocks *named)
{
	for (size_t i = 0; i < named->count; i++)
		if (block_is_own(&named->items[i]))
			*ARRAY_ADD(&o->trusted) = named->items[i];
	*ARRAY_ADD(&o->trusted) = block_of("127.0.0.0/8");
	*ARRAY_ADD(&o->trusted) = block_of("::1");
}

bool outsiders_is_outside(const struct outsiders *o, const struct ip_addr *ip)
{
	for (size_t i = 0; i < o->trusted.count; i++)
		if (cidr_contains(&o->trusted.items[i], ip))
			return false;
	return true;
}

static void add_address(struct outsiders *o, const struct ip_addr *ip)
{
	char text[IP_TEXT];

	if (!outsiders_is_outside(o, ip) || ip_is_any(ip))
		return;
	words_add(o->arena, &o->addresses, ip_print(text, ip));
	if (ip->family == AF_INET)
		words_add(o->arena, &o->addresses,
		    arena_printf(o->arena, "::ffff:%s", text));
}

/* The address before the first (step -1) or behind the last (1); false: there
 * is none. */
static bool beside(const struct cidr *block, int step, struct ip_addr *out)
{
	unsigned bytes = block->ip.family == AF_INET6 ? 16 : 4;

	*out = block->ip;
	if (step > 0)
		for (unsigned bit = block->len; bit < bytes * 8; bit++)
			out->bytes[bit / 8] |=
			    (unsigned char)(0x80 >> (bit % 8));
	for (unsigned i = bytes; i-- > 0;) {
		out->bytes[i] = (unsigned char)(out->bytes[i] + step);
		/* No carry, no borrow: done. */
		if (out->bytes[i] != (step > 0 ? 0 : 0xff))
			return true;
	}
	return false;
}

static void add_beside(struct outsiders *o, const struct cidr *block)
{
	struct ip_addr ip;

	if (beside(block, -1, &ip))
		add_address(o, &ip);
	if (beside(block, 1, &ip))
		add_address(o, &ip);
	/* "192.0.2.1" also begins the text of 192.0.2.10. */
	ip = block->ip;
	if (ip.family == AF_INET && ip.bytes[3] > 0 && ip.bytes[3] < 26) {
		ip.bytes[3] = (unsigned char)(ip.bytes[3] * 10);
		add_address(o, &ip);
	}
}

static void add_random(struct outsiders *o)
{
	for (int i = 0; i < RANDOM_ADDRESSES; i++) {
		struct ip_addr ip = {.family = i % 3 ? AF_INET : AF_INET6};

		for (int b = 0; b < 16; b++)
			ip.bytes[b] = (unsigned char)dice_roll(o->dice);
		if (ip.family == AF_INET)
			ip.bytes[0] = (unsigned char)(1 + ip.bytes[0] % 222);
		else
			ip.bytes[0] = 0x20 | (ip.bytes[0] & 0x0f);
		add_address(o, &ip);
	}
}

static void make_addresses(struct outsiders *o, const struct harvest *h)
{
	static const char *const fixed[] = {"203.0.113.77", "198.51.100.201",
	    "1.1.1.1", "8.8.8.8", "128.0.0.1", "191.255.255.254", "223.1.2.3",
	    "10.254.254.254", "172.31.254.253", "192.168.254.253",
	    "169.254.9.9", "100.64.9.9", "2001:db8:ffff::77", "2600::1",
	    "2a00:1450:4001::5", "fd00:dead:beef::1", "fe80::9"};
	struct ip_addr ip;

	for (size_t i = 0; i < COUNT(fixed); i++)
		if (ip_parse(fixed[i], &ip))
			add_address(o, &ip);
	words_add(o->arena, &o->addresses, "");
	add_random(o);
	for (size_t i = 0; i < h->blocks.count; i++)
		add_beside(o, &h->blocks.items[i]);
}

/* ---- names ---- */

static const char *joined(struct outsiders *o, const char *a, const char *b)
{
	return arena_printf(o->arena, "%s%s", a, b);
}

/* Names that a careless comparison takes for the domain. */
static void add_lookalikes(
    struct outsiders *o, struct words *out, const char *domain)
{
	char *copy = arena_strdup(o->arena, domain);
	char *dot = strrchr(copy, '.');

	words_add(o->arena, out, joined(o, "not", domain));
	words_add(o->arena, out,
	    arena_printf(o->arena, "%s.%s", domain, o->outside.items[0]));
	/* An unescaped dot of a pattern matches anything. */
	if (dot) {
		*dot = 'x';
		words_add(o->arena, out, copy);
	}
}

static bool is_sayable(const char *word)
{
	size_t len = strlen(word);

	for (const char *p = word; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p == 0x7f)
			return false;
	return len > 0 && len <= 128;
}

static void make_names(struct outsiders *o, const struct harvest *h)
{
	words_add(o->arena, &o->names, "");
	words_add(o->arena, &o->names, "localhost");
	for (size_t i = 0; i < o->outside.count; i++)
		words_add(
		    o->arena, &o->names, joined(o, "mx.", o->outside.items[i]));
	for (size_t i = 0; i < h->domains.count && i < MOST_LOOKALIKES; i++)
		add_lookalikes(o, &o->names, h->domains.items[i]);
}

static void make_helos(struct outsiders *o, const struct harvest *h)
{
	static const char *const fixed[] = {"localhost",
	    "localhost.localdomain", "[127.0.0.1]", "127.0.0.1", "[IPv6:::1]",
	    "mail", "."};
	char text[IP_TEXT];

	words_add(o->arena, &o->helos, joined(o, "mx.", o->outside.items[0]));
	for (size_t i = 0; i < COUNT(fixed); i++)
		words_add(o->arena, &o->helos, fixed[i]);
	for (size_t i = 0; i < h->domains.count; i++) {
		words_add(o->arena, &o->helos, h->domains.items[i]);
		words_add(
		    o->arena, &o->helos, joined(o, "mx.", h->domains.items[i]));
	}
	for (size_t i = 0; i < h->blocks.count; i++)
		if (h->blocks.items[i].ip.family)
			words_add(o->arena, &o->helos,
			    arena_printf(o->arena, "[%s]",
				ip_print(text, &h->blocks.items[i].ip)));
	for (size_t i = 0; i < h->words.count; i++)
		if (is_sayable(h->words.items[i]))
			words_add(o->arena, &o->helos, h->words.items[i]);
}

/* ---- the envelope ---- */

static void make_senders(
    struct outsiders *o, const struct named_domain *domains, size_t count)
{
	words_add(o->arena, &o->senders, "");
	words_add(
	    o->arena, &o->senders, joined(o, "ann@", o->outside.items[0]));
	words_add(o->arena, &o->senders, "ann@[203.0.113.77]");
	/* Those that the policy knows are the ones that open something. */
	for (int listed = 1; listed >= 0; listed--)
		for (size_t i = 0; i < count && o->senders.count < 40; i++)
			if (domains[i].listed == listed)
				words_add(o->arena, &o->senders,
				    joined(o, "ann@", domains[i].name));
	for (size_t i = 0; i < count && o->senders.count < 60; i++)
		if (domains[i].listed) {
			words_add(o->arena, &o->senders,
			    joined(o, "ann@sub.", domains[i].name));
			words_add(o->arena, &o->senders,
			    joined(o, "postmaster@", domains[i].name));
		}
}

static void add_recipient(struct outsiders *o, const char *text)
{
	words_add(o->arena, &o->recipients, text);
}

/* One mailbox at a domain of nobody, in the forms that RFC 5321 and its
 * predecessors have for it. */
static void add_forms(struct outsiders *o, const char *domain)
{
	static const struct {
		const char *before, *behind;
	} forms[] = {
	    {"user@", ""},
	    {"user@", "."},
	    {"USER@", ""},
	    {"\"user\"@", ""},
	    {"\"us er\"@", ""},
	    {"\"user@local\"@", ""},
	    {"user+tag@", ""},
	    {"user%local@", ""},
	    {"local!user@", ""},
	    {"postmaster@", ""},
	    {"<@relay.example,@[127.0.0.1]:user@", ">"},
	    {"\"user@", "\""},
	    {"@", ""},
	};
	char *upper = arena_strdup(o->arena, domain);

	for (size_t i = 0; i < COUNT(forms); i++)
		add_recipient(o, arena_printf(o->arena, "%s%s%s",
				     forms[i].before, domain, forms[i].behind));
	for (char *p = upper; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	add_recipient(o, joined(o, "user@", upper));
}

/* A mailbox elsewhere, hidden in one at a domain that takes mail. */
static void add_routed(
    struct outsiders *o, const char *outside, const char *own)
{
	struct arena *a = o->arena;

	add_recipient(o, arena_printf(a, "user%%%s@%s", outside, own));
	add_recipient(o, arena_printf(a, "\"user@%s\"@%s", outside, own));
	add_recipient(o, arena_printf(a, "\"user%%%s\"@%s", outside, own));
	add_recipient(o, arena_printf(a, "%s!user@%s", outside, own));
	add_recipient(
	    o, arena_printf(a, "\"\\\"user\\\"@%s\"@%s", outside, own));
	add_recipient(o, arena_printf(a, "user%%%s%%%s@%s", outside, own, own));
	add_recipient(o, arena_printf(a, "user@%s@%s", outside, own));
	add_recipient(o, arena_printf(a, "<@%s:user@%s>", own, outside));
	add_recipient(o, arena_printf(a, "@%s@%s", outside, own));
}

static void make_recipients(struct outsiders *o, const struct harvest *h,
    const struct named_domain *domains, size_t count)
{
	struct words lookalikes = {0};
	const char *outside = o->outside.items[0];
	size_t routed = 0;

	for (size_t i = 0; i < o->outside.count; i++)
		add_recipient(o, joined(o, "user@", o->outside.items[i]));
	add_forms(o, outside);
	add_recipient(o, "user@[203.0.113.5]");
	add_recipient(o, "user@[IPv6:2001:db8:ffff::5]");
	add_recipient(o, "user");
	add_recipient(o, joined(o, "user@sub.", outside));
	for (size_t i = 0; i < count; i++) {
		if (domains[i].relay_to && !domains[i].routed && routed++ < 4)
			add_routed(o, outside, domains[i].name);
		if (domains[i].listed && lookalikes.count < 3 * MOST_LOOKALIKES)
			add_lookalikes(o, &lookalikes, domains[i].name);
	}
	for (size_t i = 0; i < lookalikes.count; i++)
		if (!harvest_has_domain(h, lookalikes.items[i]))
			add_recipient(
			    o, joined(o, "user@", lookalikes.items[i]));
	ARRAY_FREE(&lookalikes);
}

void outsiders_make(struct outsiders *o, const struct harvest *h,
    const struct named_domain *domains, size_t count)
{
	unsigned tag = (unsigned)(dice_roll(o->dice) & 0xffffff);

	words_add(
	    o->arena, &o->outside, arena_printf(o->arena, "x%06x.test", tag));
	words_add(o->arena, &o->outside,
	    arena_printf(o->arena, "mail.x%06x.com", tag));
	words_add(o->arena, &o->outside,
	    arena_printf(o->arena,
		"b\xc3\xbc"
		"cher-x%06x.org",
		tag));
	words_add(o->arena, &o->outside, "xn--bcher-kva.example");
	make_addresses(o, h);
	make_names(o, h);
	make_helos(o, h);
	make_senders(o, domains, count);
	make_recipients(o, h, domains, count);
}

void outsiders_release(struct outsiders *o)
{
	ARRAY_FREE(&o->trusted);
	ARRAY_FREE(&o->addresses);
	ARRAY_FREE(&o->names);
	ARRAY_FREE(&o->helos);
	ARRAY_FREE(&o->senders);
	ARRAY_FREE(&o->recipients);
	ARRAY_FREE(&o->outside);
}
