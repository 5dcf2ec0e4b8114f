/*
 * queue_name.c - campaign:tenant@domain!routing_domain
 */
#include "mail/queue_name.h"

#include "base/str.h"

static bool is_set(const char *s)
{
	return s && *s;
}

void queue_name_compose(struct buf *out, const struct queue_name *parts)
{
	bool campaign = is_set(parts->campaign), tenant = is_set(parts->tenant);
	size_t domain_at;

	if (campaign) {
		buf_addstr(out, parts->campaign);
		buf_addch(out, ':');
	}
	if (tenant)
		buf_addstr(out, parts->tenant);
	if (campaign || tenant)
		buf_addch(out, '@');
	domain_at = out->len;
	buf_addstr(out, parts->domain ? parts->domain : "");
	(void)str_lower(out->data + domain_at);
	if (is_set(parts->routing_domain)) {
		buf_addch(out, '!');
		buf_addstr(out, parts->routing_domain);
	}
}

/* Cuts *text at the first `c`: what stood before it, or NULL without one. */
static const char *cut(char **text, char c)
{
	char *before = *text, *at = strchr(before, c);

	if (!at)
		return NULL;
	*at = '\0';
	*text = at + 1;
	return before;
}

struct queue_name queue_name_parse(const char *text, struct arena *arena)
{
	struct queue_name name = {0};
	char *rest = arena_strdup(arena, text), *left;
	const char *before;

	left = rest;
	if (cut(&rest, '@')) {
		name.campaign = cut(&left, ':');
		name.tenant = left;
	}
	before = cut(&rest, '!');
	name.domain = before ? before : rest;
	name.routing_domain = before ? rest : NULL;
	return name;
}
