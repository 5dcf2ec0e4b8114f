/*
 * milter_link.c - which message of ours does a report speak of?
 */
#include "milter/milter_link.h"

#include "milter/milter_report.h"

static const char *const how_names[] = {
    [LINK_SIGNED] = "signed",
    [LINK_ID] = "id",
    [LINK_MESSAGE_ID] = "message_id",
    [LINK_ENVELOPE_ID] = "envelope_id",
};

const char *link_how_name(enum link_how how)
{
	return how_names[how];
}

static struct report_links *new_links(struct session *s, size_t count)
{
	struct report_links *links =
	    ARENA_NEW(s->tx->arena, struct report_links);

	links->items = ARENA_ARRAY(s->tx->arena, struct report_link, count);
	links->count = count;
	return links;
}

const struct report_links *report_links_of_dsn(
    struct session *s, struct report_reading *r, struct err *err)
{
	(void)err;
	if (!r->dsn_links)
		r->dsn_links = new_links(s, r->dsn.count);
	return r->dsn_links;
}

const struct report_links *report_links_of_arf(
    struct session *s, struct report_reading *r, struct err *err)
{
	(void)err;
	if (!r->arf_links)
		r->arf_links = new_links(s, 1);
	return r->arf_links;
}
