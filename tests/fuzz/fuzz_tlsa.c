/*
 * fuzz_tlsa.c - net/tlsa.h: what is accepted is one of the forms of RFC 7672
 */
#include "net/tlsa.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_text(data, size);
	struct tlsa_record r;

	if (tlsa_parse(copy, size, &r)) {
		FUZZ_CHECK(r.usage == TLSA_DANE_TA || r.usage == TLSA_DANE_EE);
		FUZZ_CHECK(r.selector <= 1 && r.matching <= 2);
		FUZZ_CHECK(r.len == size - 3);
		FUZZ_CHECK(r.matching != 1 || r.len == 32);
		FUZZ_CHECK(r.matching != 2 || r.len == 64);
	}
	free(copy);
	return 0;
}
