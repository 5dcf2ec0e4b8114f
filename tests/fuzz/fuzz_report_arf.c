/*
 * fuzz_report_arf.c - mail/report_arf.h: what is required is there, and what is
 * read can be written as JSON and read again
 */
#include "base/json.h"
#include "base/str.h"
#include "mail/report_arf.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *message = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct buf text = BUF_INIT;
	struct report report;
	struct value v, again;
	struct arf arf;
	struct err err = {0};

	if (!report_open(message, size, arena, &report))
		goto out;
	switch (arf_parse(&report, arena, &arf, &err)) {
	case REPORT_NONE:
		FUZZ_CHECK(
		    !str_case_eq(report.type.report_type, "feedback-report"));
		goto out;
	case REPORT_MALFORMED:
		FUZZ_CHECK(*err.text);
		goto out;
	case REPORT_READ:
		break;
	}
	FUZZ_CHECK(arf.feedback_type && *arf.feedback_type);
	FUZZ_CHECK(arf.user_agent && *arf.user_agent);
	FUZZ_CHECK(arf.version && *arf.version);
	FUZZ_CHECK(!arf.incidents.known || arf.incidents.n >= 0);
	v = arf_value(&arf, &report, arena);
	json_write(&text, &v);
	/* A trace header may hold 64 levels, and stands one deeper. */
	FUZZ_CHECK(json_parse(text.data, text.len, arena, &again, &err) ||
		   report_trace(&report, arena));
out:
	buf_release(&text);
	arena_unref(arena);
	free(message);
	return 0;
}
