/*
 * mx_entry.c - one destination of an mx_list
 *
 *	entry   = path / name [ ":" port ] / ip4 [ ":" port ] / ip6
 *	        / "[" [ "ipv6:" ] ip "]" [ ":" port ]
 *
 * The label is the text as it was written: sites are named by it.
 */
#include "base/str.h"
#include "mail/address.h"
#include "policy/queue_config.h"

static bool parse_port(const char *text, uint16_t *out)
{
	int64_t n;

	if (!str_to_int(text, &n) || n < 1 || n > 65535)
		return false;
	*out = (uint16_t)n;
	return true;
}

/* Letters, digits, hyphens, dots, underscores and UTF-8; not digits alone,
 * which are a mistyped address. */
static bool is_host(const char *host)
{
	bool letter = false;

	if (!*host || *host == '.' || *host == '-' || strlen(host) > 253)
		return false;
	for (const char *s = host; *s; s++) {
		unsigned char c = (unsigned char)*s;
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     c == '_' || c >= 128;

		if (!alpha && !(c >= '0' && c <= '9') && c != '-' && c != '.')
			return false;
		if (*s == '.' && s[1] == '.')
			return false;
		letter |= alpha;
	}
	return letter;
}

static bool parse_bracketed(
    const char *text, struct arena *arena, struct mx_entry *entry)
{
	const char *end = strchr(text, ']');
	const char *ip = text + 1;

	if (!end)
		return false;
	if (str_ncase_eq(ip, "ipv6:", 5))
		ip += 5;
	if (!ip_parse(arena_strndup(arena, ip, (size_t)(end - ip)), &entry->ip))
		return false;
	return !end[1] || (end[1] == ':' && parse_port(end + 2, &entry->port));
}

/* In lower case and ASCII, without a dot at its end.  Looked at twice, because
 * IDNA makes ours of the digits and dots of other scripts. */
static bool parse_host(const char *text, struct arena *arena, const char **out)
{
	const char *ascii = text;
	size_t len;

	if (!is_host(text) || (!str_is_ascii(text, strlen(text)) &&
				  !domain_to_ascii(text, arena, &ascii, NULL)))
		return false;
	len = strlen(ascii);
	if (len > 1 && ascii[len - 1] == '.')
		len--;
	*out = str_lower(arena_strndup(arena, ascii, len));
	return is_host(*out);
}

static bool parse_bare(
    const char *text, struct arena *arena, struct mx_entry *entry)
{
	const char *colon = strchr(text, ':');
	const char *host;
	size_t len;

	if (ip_parse(text, &entry->ip))
		return true;
	if (colon && !parse_port(colon + 1, &entry->port))
		return false;
	len = colon ? (size_t)(colon - text) : strlen(text);
	host = arena_strndup(arena, text, len);
	return ip_parse(host, &entry->ip) ||
	       parse_host(host, arena, &entry->host);
}

bool mx_entry_parse(const char *text, struct arena *arena, struct mx_entry *out,
    struct err *err)
{
	struct mx_entry entry = {.label = arena_strdup(arena, text)};
	char ip[IP_TEXT];
	bool ok = true;

	if (*text == '/')
		entry.path = entry.label;
	else if (*text == '[')
		ok = parse_bracketed(text, arena, &entry);
	else
		ok = parse_bare(text, arena, &entry);
	if (!ok)
		return err_set(err, ERR_CONFIG,
		    "invalid value: \"%.80s\", expected a host name or address "
		    "with or without :PORT, or the path of a socket",
		    text);
	entry.name = entry.path ? entry.path
		     : entry.host
			 ? entry.host
			 : arena_strdup(arena, ip_print(ip, &entry.ip));
	*out = entry;
	return true;
}
