/*
 * fuzz_cidr.c - base/cidr.h, base/ip.h: blocks, addresses, and lists of blocks
 *
 * The input is a block; its lines are also a list, as a policy would write it,
 * and every address in one of its blocks is in the list.
 */
#include "base/arena.h"
#include "base/cidr.h"
#include "base/value.h"
#include "policy/param_rows.h"
#include "tests/fuzz/fuzz.h"

struct fuzz_list {
	uint64_t given[2];
	struct cidr_list list;
};

static const struct param_spec specs[] = {
    P_CIDR_LIST(fuzz_list, list, .help = "What is fuzzed."),
};

static const struct param_set lists = {
    .name = "fuzz",
    .record_size = sizeof(struct fuzz_list),
    .specs = specs,
    .count = COUNT(specs),
};

static void flip(struct ip_addr *ip, unsigned bit)
{
	ip->bytes[bit / 8] ^= (unsigned char)(0x80 >> bit % 8);
}

/* Its first and last address are inside, its neighbour is not. */
static void check_edges(const struct cidr *block)
{
	unsigned bits = block->ip.family == AF_INET ? 32 : 128;
	struct ip_addr ip = block->ip;

	if (!ip.family)
		return;
	FUZZ_CHECK(cidr_contains(block, &ip));
	for (unsigned bit = block->len; bit < bits; bit++)
		flip(&ip, bit);
	FUZZ_CHECK(cidr_contains(block, &ip));
	if (block->len) {
		flip(&ip, block->len - 1);
		FUZZ_CHECK(!cidr_contains(block, &ip));
	}
}

static bool check_block(const char *text)
{
	char printed[IP_TEXT + 4], again_printed[IP_TEXT + 4];
	struct cidr block, again;
	struct err err = {0};

	if (!cidr_parse(text, &block, &err)) {
		FUZZ_CHECK(strstr(err.text, "invalid CIDR block"));
		return false;
	}
	(void)cidr_print(printed, &block);
	FUZZ_CHECK(cidr_parse(printed, &again, NULL));
	(void)cidr_print(again_printed, &again);
	FUZZ_CHECK(strcmp(printed, again_printed) == 0);
	check_edges(&block);
	return true;
}

static void check_ip(const char *text)
{
	char printed[IP_TEXT];
	struct ip_addr ip, again;

	if (!ip_parse(text, &ip))
		return;
	(void)ip_print(printed, &ip);
	FUZZ_CHECK(ip_parse(printed, &again));
	FUZZ_CHECK(ip_eq(&ip, &again));
}

/* "10.0.0.0/8\n::1" */
static struct value lines_of(const char *text, struct arena *arena)
{
	struct value list = {.type = VALUE_LIST};
	size_t room = 1;

	for (const char *s = text; *s; s++)
		room += *s == '\n';
	list.items = ARENA_ARRAY(arena, struct value, room);
	for (const char *s = text; list.count < room; s++) {
		size_t len = strcspn(s, "\n");

		list.items[list.count++] = value_string(arena, s, len);
		s += len;
	}
	return list;
}

static void check_list(const char *text, struct arena *arena)
{
	struct value_entry entry = {"list", lines_of(text, arena)};
	struct value table = {.type = VALUE_MAP, .count = 1, .entries = &entry};
	const struct cidr_list *list;
	struct fuzz_list record, again;
	struct value v, printed;
	struct err err = {0};
	bool all = true;

	for (size_t i = 0; i < entry.value.count; i++)
		all &= check_block(entry.value.items[i].s);
	FUZZ_CHECK(param_parse(&lists, &table, arena, &record, &err) == all);
	if (!all) {
		FUZZ_CHECK(strstr(err.text, "list: invalid"));
		return;
	}
	list = &record.list;
	FUZZ_CHECK(list->count == entry.value.count);
	for (size_t i = 0; i < list->count; i++) {
		const struct ip_addr *ip = &list->items[i].ip;
		int at = cidr_longest(list->items, list->count, ip);

		FUZZ_CHECK(cidr_list_contains(list, ip) == (ip->family != 0));
		if (!ip->family)
			continue;
		FUZZ_CHECK(at >= 0 && cidr_contains(&list->items[at], ip));
		FUZZ_CHECK(list->items[at].len >= list->items[i].len);
	}
	printed = param_read_all(&lists, &record, arena);
	FUZZ_CHECK(param_parse(&lists, &printed, arena, &again, NULL));
	v = param_read_all(&lists, &again, arena);
	FUZZ_CHECK(value_eq(&v, &printed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);

	(void)check_block(text);
	check_ip(text);
	check_list(text, arena);
	arena_unref(arena);
	free(text);
	return 0;
}
