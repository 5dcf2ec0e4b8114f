/*
 * fuzz_sts_policy.c - net/sts_policy.h: an accepted policy is complete, and its
 * text without unknown lines means the same
 *
 * The first byte: 0 a record of the DNS, else a policy.
 */
#include <inttypes.h>

#include "base/arena.h"
#include "base/buf.h"
#include "net/sts_policy.h"
#include "tests/fuzz/fuzz.h"

static void check_record(const char *text, size_t len)
{
	char id[STS_ID_MOST + 1] = "";

	if (sts_record_parse(text, len, id))
		FUZZ_CHECK(strlen(id) <= STS_ID_MOST && *id);
}

static void check_policy(const char *text, size_t len)
{
	static const char *const modes[] = {"none", "testing", "enforce"};
	struct arena *arena = arena_new(0);
	struct sts_policy policy, again;
	struct buf out = BUF_INIT;
	struct err err = {0};

	if (sts_policy_parse(text, len, arena, &policy, &err)) {
		FUZZ_CHECK(policy.mode == STS_NONE || policy.count > 0);
		FUZZ_CHECK(policy.max_age >= 0 && policy.max_age <= 31557600);
		buf_addf(&out,
		    "version: STSv1\nmode: %s\nmax_age: %" PRId64 "\n",
		    modes[policy.mode], policy.max_age);
		for (size_t i = 0; i < policy.count; i++) {
			const char *p = policy.patterns[i];

			buf_addf(&out, "mx: %s\n", p);
			if (*p != '*')
				FUZZ_CHECK(sts_policy_matches(&policy, p));
		}
		FUZZ_CHECK(sts_policy_parse(
		    buf_str(&out), out.len, arena, &again, &err));
		FUZZ_CHECK(again.mode == policy.mode &&
			   again.count == policy.count &&
			   again.max_age == policy.max_age);
	} else {
		FUZZ_CHECK(*err.text);
	}
	buf_release(&out);
	arena_unref(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1)
		return 0;
	text = fuzz_text(data + 1, size - 1);
	if (data[0] == 0)
		check_record(text, size - 1);
	else
		check_policy(text, size - 1);
	free(text);
	return 0;
}
