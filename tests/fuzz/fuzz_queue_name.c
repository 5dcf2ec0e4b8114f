/*
 * fuzz_queue_name.c - mail/queue_name.h: parsing loses nothing, and what is
 * composed of parts without separators parses into them again
 *
 * The input is a name; its lines are also campaign, tenant, domain and routing
 * domain.
 */
#include "base/arena.h"
#include "base/str.h"
#include "mail/queue_name.h"
#include "tests/fuzz/fuzz.h"

static void check_nothing_lost(const char *text, struct arena *arena)
{
	struct queue_name name = queue_name_parse(text, arena);
	struct buf joined = BUF_INIT;

	FUZZ_CHECK(name.domain);
	FUZZ_CHECK(!name.campaign || name.tenant);
	if (name.campaign)
		buf_addf(&joined, "%s:", name.campaign);
	if (name.tenant)
		buf_addf(&joined, "%s@", name.tenant);
	buf_addstr(&joined, name.domain);
	if (name.routing_domain)
		buf_addf(&joined, "!%s", name.routing_domain);
	FUZZ_CHECK(strcmp(buf_str(&joined), text) == 0);
	buf_release(&joined);
}

/* The next line, or NULL; "" counts as absent, as it does when composing. */
static const char *next(char **rest)
{
	char *line = *rest, *end;

	if (!line)
		return NULL;
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	*rest = end ? end + 1 : NULL;
	return *line ? line : NULL;
}

static bool same(const char *a, const char *b)
{
	return a && *a ? b && strcmp(a, b) == 0 : !b || !*b;
}

static void check_composed(char *text, struct arena *arena)
{
	struct queue_name parts, again;
	struct buf name = BUF_INIT;

	parts.campaign = next(&text);
	parts.tenant = next(&text);
	parts.domain = next(&text);
	parts.routing_domain = next(&text);
	queue_name_compose(&name, &parts);
	again = queue_name_parse(buf_str(&name), arena);
	if ((!parts.campaign || !strpbrk(parts.campaign, ":@")) &&
	    (!parts.tenant || !strpbrk(parts.tenant, ":@")) &&
	    (!parts.domain || !strpbrk(parts.domain, "@!")) &&
	    (!parts.routing_domain || !strchr(parts.routing_domain, '@'))) {
		FUZZ_CHECK(same(parts.campaign, again.campaign));
		FUZZ_CHECK(same(parts.tenant, again.tenant));
		FUZZ_CHECK(str_case_eq(
		    parts.domain ? parts.domain : "", again.domain));
		FUZZ_CHECK(same(parts.routing_domain, again.routing_domain));
	}
	buf_release(&name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct arena *arena = arena_new(0);

	check_nothing_lost(text, arena);
	check_composed(text, arena);
	arena_unref(arena);
	free(text);
	return 0;
}
