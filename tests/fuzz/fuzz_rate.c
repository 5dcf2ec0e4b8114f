/*
 * fuzz_rate.c - policy/rate.h, policy/throttle.h: a rate prints as itself, and
 * lets through what it says
 *
 * The bytes behind the first NUL are the waits between the events, in periods /
 * 16.
 */
#include "policy/rate.h"
#include "policy/throttle.h"
#include "tests/fuzz/fuzz.h"

static void check_printed(const struct rate *rate)
{
	struct rate again;
	char printed[96];

	FUZZ_CHECK(rate->limit >= 1 && rate->period_ms > 0);
	FUZZ_CHECK(rate->max_burst >= 0);
	(void)rate_print(printed, rate);
	FUZZ_CHECK(rate_parse(printed, &again, NULL));
	FUZZ_CHECK(again.limit == rate->limit);
	FUZZ_CHECK(again.period_ms == rate->period_ms);
	FUZZ_CHECK(again.max_burst == rate->max_burst);
	FUZZ_CHECK(again.local == rate->local);
}

static void check_throttle(
    const struct rate *rate, const uint8_t *waits, size_t count)
{
	struct throttle bucket = {0};
	int64_t now = 1, passed = 0;
	int64_t burst = rate->max_burst && rate->max_burst < rate->limit
			    ? rate->max_burst
			    : rate->limit;

	for (size_t i = 0; i < count && i < 64; i++) {
		struct throttle_answer answer;

		/* No clock runs for longer than this. */
		if (now < INT64_MAX / 8)
			now +=
			    rate->period_ms * (1000000 / 16) * (waits[i] % 16);
		answer = throttle_take(&bucket, rate, now);
		FUZZ_CHECK(answer.limit == burst);
		FUZZ_CHECK(answer.remaining >= 0 && answer.remaining <= burst);
		FUZZ_CHECK(answer.reset_after_ns >= 0);
		FUZZ_CHECK(answer.throttled == (answer.retry_after_ns > 0));
		passed += !answer.throttled;
		/* The first ones are the burst. */
		FUZZ_CHECK(!answer.throttled || passed >= burst);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	size_t len = strlen(text);
	struct rate rate;
	struct err err = {0};

	if (!rate_parse(text, &rate, &err)) {
		FUZZ_CHECK(err.text[0]);
	} else {
		check_printed(&rate);
		check_throttle(&rate, data + len, size - len);
	}
	free(text);
	return 0;
}
