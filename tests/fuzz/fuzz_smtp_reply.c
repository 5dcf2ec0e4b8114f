/*
 * fuzz_smtp_reply.c - mail/smtp_reply.h: how bytes come in pieces is no matter,
 * and a text has no control characters
 *
 * The first byte is the size of a piece.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "mail/smtp_reply.h"
#include "tests/fuzz/fuzz.h"

static void add_reply(struct buf *log, const struct smtp_reply *r)
{
	char dsn[16];

	FUZZ_CHECK(r->code >= 200 && r->code <= 599);
	for (const char *s = r->text; *s; s++)
		FUZZ_CHECK((unsigned char)*s >= ' ' || *s == '\n');
	smtp_reply_dsn(dsn, r);
	smtp_reply_one_line(log, r);
	buf_addf(log, " (%s)\n", dsn);
}

/* What the parser says of it, as text. */
static void parse_in_pieces(
    const char *data, size_t len, size_t piece, struct buf *log)
{
	struct smtp_reply_parser *parser = smtp_reply_parser_new();
	struct arena *arena = arena_new(0);
	enum smtp_parse got = SMTP_PARSE_MORE;
	struct err err = {0};

	while (len && got != SMTP_PARSE_BAD) {
		size_t used, n = len < piece ? len : piece;
		struct smtp_reply reply = {0};

		got = smtp_reply_parse(
		    parser, data, n, &used, arena, &reply, &err);
		FUZZ_CHECK(used <= n);
		FUZZ_CHECK(used == n || got != SMTP_PARSE_MORE);
		FUZZ_CHECK(used || got == SMTP_PARSE_BAD);
		if (got == SMTP_PARSE_REPLY)
			add_reply(log, &reply);
		data += used;
		len -= used;
	}
	if (got == SMTP_PARSE_BAD)
		buf_addf(log, "bad: %s\n", err.text);
	smtp_reply_parser_free(parser);
	arena_unref(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	char *text;

	if (!size)
		return 0;
	text = fuzz_text(data + 1, size - 1);
	parse_in_pieces(text, size - 1, size, &whole);
	parse_in_pieces(text, size - 1, data[0] ? data[0] : 1, &pieces);
	FUZZ_CHECK(strcmp(buf_str(&whole), buf_str(&pieces)) == 0);
	buf_release(&whole);
	buf_release(&pieces);
	free(text);
	return 0;
}
