/*
 * fuzz_address.c - mail/address.h: an address that was accepted is one again,
 * and cannot end a line of SMTP
 */
#include "base/arena.h"
#include "mail/address.h"
#include "tests/fuzz/fuzz.h"

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return true;
	return false;
}

static void check_address(const struct address *a, struct arena *arena)
{
	struct address again;

	FUZZ_CHECK(!has_control(a->email));
	FUZZ_CHECK(!has_control(a->domain));
	FUZZ_CHECK(address_is_null(a) == !a->email[0]);
	(void)address_domain_lower(a, arena);
	(void)address_is_routed(a);
	FUZZ_CHECK(
	    address_parse(a->email, strlen(a->email), arena, &again, NULL));
	/* Bare <postmaster> is spelt one way from then on. */
	FUZZ_CHECK(!a->domain[0] || strcmp(a->local, again.local) == 0);
	FUZZ_CHECK(strcmp(a->user, again.user) == 0);
	FUZZ_CHECK(strcmp(a->domain, again.domain) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	const char *ascii, *twice;
	struct address a;
	struct err err = {0};

	if (address_parse(text, size, arena, &a, &err))
		check_address(&a, arena);
	else
		FUZZ_CHECK(err.text[0]);
	if (domain_to_ascii(text, arena, &ascii, NULL)) {
		FUZZ_CHECK(!has_control(ascii));
		FUZZ_CHECK(domain_to_ascii(ascii, arena, &twice, NULL));
		FUZZ_CHECK(strcmp(ascii, twice) == 0);
	}
	arena_unref(arena);
	free(text);
	return 0;
}
