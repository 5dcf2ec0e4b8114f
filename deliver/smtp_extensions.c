/*
 * smtp_extensions.c - what the peer can, by its answer to EHLO
 *
 *	ehlo-line = ehlo-keyword *( SP ehlo-param )
 */
#include "deliver/smtp_extensions.h"

#include "base/str.h"

static const struct {
	const char *keyword;
	enum smtp_extension extension;
} keywords[] = {
    {"PIPELINING", SMTP_PIPELINING}, /* RFC 2920 */
    {"8BITMIME", SMTP_8BITMIME},     /* RFC 6152 */
    {"SMTPUTF8", SMTP_SMTPUTF8},     /* RFC 6531 */
    {"SIZE", SMTP_SIZE},             /* RFC 1870 */
    {"DSN", SMTP_DSN},               /* RFC 3461 */
    {"STARTTLS", SMTP_STARTTLS},     /* RFC 3207 */
    {"AUTH", SMTP_AUTH},             /* RFC 4954 */
};

static int64_t size_limit(const char *p, const char *end)
{
	char digits[20];
	size_t len = 0;
	int64_t limit;

	while (p < end && *p == ' ')
		p++;
	while (p < end && *p != ' ' && len < sizeof digits - 1)
		digits[len++] = *p++;
	digits[len] = '\0';
	return str_to_int(digits, &limit) && limit > 0 ? limit : 0;
}

/* The mechanisms that we speak, of those that the peer names. */
static unsigned mechanisms(const char *p, const char *end)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = {{"PLAIN", SMTP_AUTH_PLAIN}, {"LOGIN", SMTP_AUTH_LOGIN}};
	unsigned found = 0;

	while (p < end) {
		size_t len = 0;

		while (p + len < end && p[len] != ' ')
			len++;
		for (size_t i = 0; i < COUNT(known); i++)
			if (len == strlen(known[i].name) &&
			    str_ncase_eq(p, known[i].name, len))
				found |= known[i].bit;
		p += len + 1;
	}
	return found;
}

static void read_line(
    struct smtp_extensions *can, const char *line, const char *end)
{
	size_t len = 0;

	/* Some old servers write "SIZE=1000" and "AUTH=LOGIN". */
	while (line + len < end && line[len] != ' ' && line[len] != '=')
		len++;
	for (size_t i = 0; i < COUNT(keywords); i++) {
		if (len != strlen(keywords[i].keyword) ||
		    !str_ncase_eq(line, keywords[i].keyword, len))
			continue;
		can->has |= keywords[i].extension;
		if (keywords[i].extension == SMTP_SIZE && line + len < end)
			can->size_most = size_limit(line + len + 1, end);
		if (keywords[i].extension == SMTP_AUTH && line + len < end)
			can->has |= mechanisms(line + len + 1, end);
	}
}

struct smtp_extensions smtp_extensions_parse(const struct smtp_reply *reply)
{
	struct smtp_extensions can = {0};
	const char *line = strchr(reply->text, '\n');

	while (line) {
		const char *next = strchr(++line, '\n');

		read_line(&can, line, next ? next : line + strlen(line));
		line = next;
	}
	return can;
}
