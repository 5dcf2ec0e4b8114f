/*
 * fuzz_duration.c - base/duration.h: what is printed reads as the same time
 *
 * The input is text, and a number of seconds when it has eight bytes.
 */
#include "base/duration.h"
#include "tests/fuzz/fuzz.h"

static void check_printed(struct duration d)
{
	struct duration again;
	char printed[128];

	FUZZ_CHECK(d.ms >= 0);
	(void)duration_print(printed, d);
	FUZZ_CHECK(duration_parse(printed, &again, NULL));
	FUZZ_CHECK(again.ms == d.ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct duration d;
	struct err err = {0};
	double seconds;

	if (duration_parse(text, &d, &err))
		check_printed(d);
	else
		FUZZ_CHECK(strstr(err.text, "invalid duration"));
	if (size == sizeof seconds) {
		memcpy(&seconds, data, sizeof seconds);
		if (duration_from_seconds(seconds, &d, &err)) {
			FUZZ_CHECK(seconds >= 0);
			FUZZ_CHECK(d.ms > 0 || seconds == 0);
			check_printed(d);
		} else {
			FUZZ_CHECK(strstr(err.text, "invalid duration"));
		}
	}
	free(text);
	return 0;
}
