/*
 * fuzz_report_dsn.c - mail/report_dsn.h: who is blamed is somebody, and what is
 * read can be written as JSON and read again
 */
#include "base/json.h"
#include "mail/report_dsn.h"
#include "tests/fuzz/fuzz.h"

static void check_parts(
    const struct report *report, const char *message, size_t size)
{
	const char *after = message;

	FUZZ_CHECK(report->count <= MIME_PARTS_MOST);
	for (size_t i = 0; i < report->count; i++) {
		const struct mime_part *part = &report->parts[i];

		FUZZ_CHECK(part->header >= after);
		FUZZ_CHECK(part->body == part->header + part->header_len);
		after = part->body + part->body_len;
		FUZZ_CHECK(after <= message + size);
		FUZZ_CHECK(part->type.type != NULL);
	}
}

static void check_recipient(const struct dsn_recipient *r, struct arena *arena)
{
	struct smtp_reply reply = dsn_reply(r, arena);

	FUZZ_CHECK(*dsn_blames(r));
	FUZZ_CHECK(r->action != REPORT_NO_ACTION);
	FUZZ_CHECK(reply.code >= 100 && reply.code <= 999 && reply.text);
	FUZZ_CHECK(strlen(reply.text) <= SMTP_REPLY_TEXT_MAX);
	for (int i = 0; i < 3; i++)
		FUZZ_CHECK(reply.enhanced[i] >= 0 && reply.enhanced[i] <= 999);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *message = fuzz_text(data, size);
	struct arena *arena = arena_new(0);
	struct buf text = BUF_INIT;
	struct report report;
	struct value v, again;
	struct dsn dsn;
	struct err err = {0};

	if (!report_open(message, size, arena, &report))
		goto out;
	check_parts(&report, message, size);
	if (dsn_parse(&report, arena, &dsn, &err) != REPORT_READ) {
		FUZZ_CHECK(*err.text);
		goto out;
	}
	FUZZ_CHECK(dsn.count > 0 && dsn.reporting_mta.name);
	for (size_t i = 0; i < dsn.count; i++)
		check_recipient(&dsn.recipients[i], arena);
	v = dsn_value(&dsn, &report, arena);
	json_write(&text, &v);
	FUZZ_CHECK(json_parse(text.data, text.len, arena, &again, &err));
out:
	buf_release(&text);
	arena_unref(arena);
	free(message);
	return 0;
}
