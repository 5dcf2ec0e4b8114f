/*
 * fuzz_ehlo.c - deliver/smtp_extensions.h: keywords are read from whole lines,
 * in any case, and the first line never counts
 */
#include "base/str.h"
#include "deliver/smtp_extensions.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *lower;
	struct smtp_reply reply = {.code = 250, .text = text};
	struct smtp_extensions can = smtp_extensions_parse(&reply), other;

	FUZZ_CHECK(can.size_most >= 0);
	FUZZ_CHECK(!can.size_most || (can.has & SMTP_SIZE));
	FUZZ_CHECK(!(can.has & (SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN)) ||
		   (can.has & SMTP_AUTH));
	FUZZ_CHECK(strchr(text, '\n') || !can.has);
	lower = fuzz_text(data, size);
	reply.text = str_lower(lower);
	other = smtp_extensions_parse(&reply);
	FUZZ_CHECK(other.has == can.has && other.size_most == can.size_most);
	free(lower);
	free(text);
	return 0;
}
