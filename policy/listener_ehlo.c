/*
 * listener_ehlo.c - what the MTA of a listener offers in its answer to EHLO
 *
 * In the order in which Postfix and Sendmail say it, as the configuration that
 * belongs to the policy makes them.  What that configuration leaves as found
 * (AUTH) is not known here.
 */
#include "base/str.h"
#include "policy/listener.h"

/* The largest max_message_size of a block and of the blocks in it. */
static int64_t largest_of(const struct value *block, int64_t least)
{
	static const char *const nested[] = {"peer", "via"};
	const struct value *own = value_get(block, "max_message_size");
	int64_t most = least, size;

	if (own && value_to_int(own, &size) && size > most)
		most = size;
	for (size_t i = 0; i < COUNT(nested); i++) {
		const struct value *blocks = value_get(block, nested[i]);

		if (!blocks || blocks->type != VALUE_MAP)
			continue;
		VALUE_EACH (e, blocks)
			most = largest_of(&e->value, most);
	}
	return most;
}

int64_t listener_largest_message(const struct listener *const *all,
    const struct value *const *tables, size_t count)
{
	int64_t most = count ? 0 : listener_defaults()->max_message_size;

	for (size_t i = 0; i < count; i++) {
		if (all[i]->max_message_size > most)
			most = all[i]->max_message_size;
		most = largest_of(tables[i], most);
	}
	return most;
}

enum needs { ALWAYS, CERTIFICATE, XCLIENT, THE_SIZE };

struct extension {
	const char *line;
	enum needs needs;
};

static const struct extension of_postfix[] = {
    {"PIPELINING", ALWAYS},
    {"SIZE", THE_SIZE},
    {"VRFY", ALWAYS},
    {"ETRN", ALWAYS},
    {"STARTTLS", CERTIFICATE},
    {"XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT",
	XCLIENT},
    {"ENHANCEDSTATUSCODES", ALWAYS},
    {"8BITMIME", ALWAYS},
    {"DSN", ALWAYS},
    {"SMTPUTF8", ALWAYS},
    {"CHUNKING", ALWAYS},
};

static const struct extension of_sendmail[] = {
    {"ENHANCEDSTATUSCODES", ALWAYS},
    {"PIPELINING", ALWAYS},
    {"EXPN", ALWAYS},
    {"VERB", ALWAYS},
    {"8BITMIME", ALWAYS},
    {"SIZE", THE_SIZE},
    {"DSN", ALWAYS},
    {"ETRN", ALWAYS},
    {"STARTTLS", CERTIFICATE},
    {"DELIVERBY", ALWAYS},
    {"HELP", ALWAYS},
};

struct value listener_extensions(const struct listener *listener,
    int64_t max_size, bool is_postfix, bool in_tls, struct arena *arena)
{
	const struct extension *all = is_postfix ? of_postfix : of_sendmail;
	size_t count = is_postfix ? COUNT(of_postfix) : COUNT(of_sendmail);
	struct value list = {.type = VALUE_LIST};

	list.items = ARENA_ARRAY(arena, struct value, count);
	for (size_t i = 0; i < count; i++) {
		const char *line = all[i].line;

		switch (all[i].needs) {
		case ALWAYS:
			break;
		case CERTIFICATE:
			if (!listener->tls_certificate || in_tls)
				continue;
			break;
		case XCLIENT:
			if (!listener->allow_xclient)
				continue;
			break;
		case THE_SIZE:
			line = arena_printf(
			    arena, "%s %lld", line, (long long)max_size);
			break;
		}
		list.items[list.count++] =
		    value_string(arena, line, strlen(line));
	}
	return list;
}
