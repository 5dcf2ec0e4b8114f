/*
 * suppression.c - addresses that get no more mail: entries, and what makes them
 */
#include "mail/suppression.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"

const char *suppression_domain_key(const struct address *a, struct arena *arena)
{
	return arena_printf(arena, "@%s", address_domain_lower(a, arena));
}

const char *suppression_key(const struct address *a, struct arena *arena)
{
	/* An empty quoted local part must not look like a whole domain. */
	const char *user = *a->user ? a->user : a->local;
	char *local = arena_strdup(arena, user);

	str_lower(local);
	return arena_printf(
	    arena, "%s@%s", local, address_domain_lower(a, arena));
}

bool suppression_key_is_domain(const char *key)
{
	return *key == '@';
}

/* Parsed as an address of that domain, so that both obey the same grammar. */
static bool parse_domain(
    const char *domain, struct arena *arena, const char **key, struct err *err)
{
	const char *text = arena_printf(arena, "x@%s", domain);
	struct address a;

	if (!*domain || strpbrk(domain, "@<>") ||
	    !address_parse(text, strlen(text), arena, &a, err))
		return err_set(err, ERR_PERM,
		    "\"@%.80s\" is not a domain; expected @example.com",
		    domain);
	*key = suppression_domain_key(&a, arena);
	return true;
}

bool suppression_key_parse(
    const char *text, struct arena *arena, const char **key, struct err *err)
{
	struct err why = {0};
	struct address a;

	if (*text == '@')
		return parse_domain(text + 1, arena, key, err);
	if (!address_parse(text, strlen(text), arena, &a, &why))
		return err_set(err, ERR_PERM, "\"%.80s\" is not an address: %s",
		    text, why.text);
	if (address_is_null(&a) || !*a.domain)
		return err_set(err, ERR_PERM,
		    "\"%.80s\" is not an address: expected user@domain or "
		    "@domain",
		    text);
	*key = suppression_key(&a, arena);
	return true;
}

const char *suppression_key_text(const char *key, struct arena *arena)
{
	const char *at = strrchr(key, '@'), *same = NULL;
	char *text, *to;

	if (!at || at == key ||
	    (suppression_key_parse(key, arena, &same, NULL) &&
		str_eq(same, key)))
		return key;
	text = to = arena_alloc(arena, 2 * strlen(key) + 3);
	*to++ = '"';
	for (const char *p = key; p < at; p++) {
		if (*p == '"' || *p == '\\')
			*to++ = '\\';
		*to++ = *p;
	}
	*to++ = '"';
	memcpy(to, at, strlen(at) + 1);
	return text;
}

/* Days are enough for somebody else's eyes. */
static const char *day(struct arena *arena, int64_t unix_seconds)
{
	char text[40];

	(void)clock_rfc3339(text, unix_seconds * 1000);
	return arena_strndup(arena, text, strcspn(text, "T"));
}

struct smtp_reply suppression_reply(struct arena *arena, const char *recipient,
    const struct suppression_entry *entry)
{
	const char *what =
	    suppression_key_is_domain(entry->address) ? "domain" : "address";

	return smtp_reply_make(arena, 550, "5.1.1",
	    "<%.300s>: mail to this %s is suppressed since %s (%.60s)",
	    recipient, what, day(arena, entry->created_at),
	    entry->class ? entry->class : entry->record);
}
