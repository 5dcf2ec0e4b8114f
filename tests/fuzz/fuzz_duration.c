/*
 * fuzz_duration.c - base/duration.h: what is printed reads as the same time
 */
#include "base/duration.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), printed[128];
	struct duration d, again;
	struct err err = {0};

	if (duration_parse(text, &d, &err)) {
		FUZZ_CHECK(d.ms >= 0);
		(void)duration_print(printed, d);
		FUZZ_CHECK(duration_parse(printed, &again, NULL));
		FUZZ_CHECK(again.ms == d.ms);
	} else {
		FUZZ_CHECK(err.text[0]);
	}
	free(text);
	return 0;
}
