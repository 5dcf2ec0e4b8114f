/*
 * fuzz_cidr.c - base/cidr.h, base/ip.h: blocks, addresses, endpoints
 */
#include "base/arena.h"
#include "base/cidr.h"
#include "tests/fuzz/fuzz.h"

static void check_block(const char *text)
{
	char printed[IP_TEXT + 4], again_printed[IP_TEXT + 4];
	struct cidr block, again;
	struct err err = {0};

	if (!cidr_parse(text, &block, &err)) {
		FUZZ_CHECK(err.text[0]);
		return;
	}
	(void)cidr_print(printed, &block);
	FUZZ_CHECK(cidr_parse(printed, &again, NULL));
	(void)cidr_print(again_printed, &again);
	FUZZ_CHECK(strcmp(printed, again_printed) == 0);
	if (block.ip.family)
		FUZZ_CHECK(cidr_contains(&block, &block.ip));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct endpoint endpoint;
	struct err err = {0};

	check_block(text);
	check_ip(text);
	if (!endpoint_parse(text, arena, &endpoint, &err))
		FUZZ_CHECK(err.text[0]);
	arena_unref(arena);
	free(text);
	return 0;
}
