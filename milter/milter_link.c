/*
 * milter_link.c - which message of ours does a report speak of?
 *
 * What the report quotes is gathered once, then each recipient that it names is
 * looked for with it, most trusted first.  Reports are hostile until linked:
 * how many recipients are looked for is bounded, and how long that takes, since
 * others wait for the connection that it is done on.
 */
#include "milter/milter_link.h"

#include "base/clock.h"
#include "base/diag.h"
#include "base/fault.h"
#include "base/map.h"
#include "base/str.h"
#include "mail/queue_name.h"
#include "mail/trace_header.h"
#include "milter/milter_report.h"
#include "queue/queue_history.h"

/* Recipients of one report; the others are not linked. */
#define LINKS_MOST 1000
#define LOOKUP_MS 10000

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

struct evidence {
	struct queue_conn *conn;
	struct arena *arena;
	int64_t until; /* clock_now_ms(): then no more is looked for */
	struct trace_claim claim; /* says.id NULL: none */
	const char *message_id;   /* "": none */
	const char *envelope_id;  /* NULL: none */
};

static void gather(struct evidence *e, const struct report *report)
{
	struct buf id = BUF_INIT;
	size_t len = 0;
	const char *header = report_original_header(report, e->arena, &len);

	if (header) {
		if (!trace_find_claim(header, len, e->arena, &e->claim))
			e->claim = (struct trace_claim){0};
		queue_message_id(header, len, &id);
	}
	e->message_id = arena_strdup(e->arena, buf_str(&id));
	buf_release(&id);
}

/* ---- one recipient ---- */

static void set_queue(
    struct report_link *link, const char *queue, struct arena *arena)
{
	struct queue_name name = queue_name_parse(queue, arena);

	link->queue = queue;
	link->campaign = name.campaign;
	link->tenant = name.tenant;
	link->domain = name.domain;
}

static void set_past(struct report_link *link, enum link_how how,
    const struct queue_past *past, struct arena *arena)
{
	link->linked = true;
	link->how = how;
	link->id = past->id;
	link->recipient = past->address;
	set_queue(link, past->queue ? past->queue : "", arena);
	link->outcome = past->outcome;
	link->site = past->site;
	link->at = past->at;
}

/* The signature is enough, also when the history knows no more of it. */
static bool link_signed(struct evidence *e, const char *address,
    struct report_link *link, struct err *err)
{
	const struct trace_signed *says = &e->claim.says;
	const struct queue_past *past;

	if (!e->claim.verified)
		return true;
	for (size_t i = 0; i < says->count && !link->linked; i++)
		if (str_case_eq(says->recipients[i], address)) {
			link->linked = true;
			link->how = LINK_SIGNED;
			link->id = says->id;
			link->recipient = says->recipients[i];
			set_queue(link, says->queue, e->arena);
		}
	/* It names nobody, or the policy has changed the recipients since: the
	 * message is proved, the history must know the recipient. */
	if (!queue_find_past(
		e->conn, QUEUE_BY_ID, says->id, address, e->arena, &past, err))
		return false;
	if (past)
		set_past(link, LINK_SIGNED, past, e->arena);
	return true;
}

static bool link_one(struct evidence *e, const char *address,
    struct report_link *link, struct err *err)
{
	const struct {
		enum link_how how;
		enum queue_key by;
		const char *key;
	} ways[] = {
	    {LINK_ID, QUEUE_BY_ID, e->claim.says.id},
	    {LINK_MESSAGE_ID, QUEUE_BY_MESSAGE_ID, e->message_id},
	    {LINK_ENVELOPE_ID, QUEUE_BY_ENVID, e->envelope_id},
	};
	const struct queue_past *past = NULL;

	if (FAULT_POINT("report.looking"))
		return err_set(err, ERR_TEMP, "report.looking");
	if (!link_signed(e, address, link, err))
		return false;
	for (size_t i = 0; i < COUNT(ways) && !link->linked; i++) {
		if (!ways[i].key)
			continue;
		if (!queue_find_past(e->conn, ways[i].by, ways[i].key, address,
			e->arena, &past, err))
			return false;
		if (past)
			set_past(link, ways[i].how, past, e->arena);
	}
	return true;
}

/* ---- a report ---- */

static bool begin(struct session *s, const struct report *report,
    const char *envelope_id, int64_t deadline, struct evidence *e,
    struct err *err)
{
	int64_t latest = clock_now_ms() + LOOKUP_MS;

	*e = (struct evidence){
	    .arena = s->tx->arena, .envelope_id = envelope_id};
	gather(e, report);
	if (!queue_reader_take(s->service->queue,
		deadline < latest ? deadline : latest, &e->conn, err))
		return false;
	/* Whoever had the connection before set his own. */
	queue_set_patience(e->conn, LINKING_MS);
	e->until = clock_now_ms() + LINKING_MS;
	return true;
}

/* Said once for a report, when it stops looking. */
static bool is_late(const struct session *s, const struct evidence *e,
    size_t done, size_t count)
{
	if (clock_now_ms() < e->until)
		return false;
	diag_warn("%s: report: it names %zu recipients, %zu of them were "
		  "looked for in %d ms; the others are not linked",
	    s->id, count, done, LINKING_MS);
	return true;
}

/* Who names one recipient a thousand times has said it once. */
static void mark_repeated(struct report_links *links, struct arena *arena)
{
	struct map *seen = map_new();

	for (size_t i = 0; i < links->count; i++) {
		struct report_link *link = &links->items[i];

		if (link->linked)
			link->repeated =
			    map_put(seen,
				arena_printf(arena, "%s %s", link->id,
				    str_lower(
					arena_strdup(arena, link->recipient))),
				link) != NULL;
	}
	map_free(seen, NULL);
}

static struct report_links *new_links(struct arena *arena, size_t count)
{
	struct report_links *links = ARENA_NEW(arena, struct report_links);

	links->items = ARENA_ARRAY(arena, struct report_link, count);
	links->count = count;
	return links;
}

static bool link_recipient(struct evidence *e, const struct dsn_recipient *of,
    struct report_link *link, struct err *err)
{
	const struct report_recipient *const who[] = {
	    &of->original_recipient, &of->final_recipient};

	for (size_t i = 0; i < COUNT(who) && !link->linked; i++)
		if (who[i]->address && *who[i]->address && !who[i]->why_not &&
		    !link_one(e, who[i]->address, link, err))
			return false;
	return true;
}

const struct report_links *report_links_of_dsn(struct session *s,
    struct report_reading *r, int64_t deadline, struct err *err)
{
	struct report_links *links;
	struct evidence e;
	bool ok = true;

	if (r->dsn_links)
		return r->dsn_links;
	if (!begin(
		s, &r->report, r->dsn.original_envelope_id, deadline, &e, err))
		return NULL;
	links = new_links(e.arena, r->dsn.count);
	for (size_t i = 0; i < links->count && i < LINKS_MOST && ok &&
			   !is_late(s, &e, i, links->count);
	     i++)
		ok = link_recipient(
		    &e, &r->dsn.recipients[i], &links->items[i], err);
	queue_reader_give(e.conn, ok);
	mark_repeated(links, e.arena);
	if (ok)
		r->dsn_links = links;
	return r->dsn_links;
}

/* Whom it names; else the one that the trace header names, which has to be
 * found like any other.  An address that is blotted out, "redacted", is
 * nobody's name. */
static void recipients_of_arf(const struct evidence *e, const struct arf *arf,
    const char *const **names, size_t *count)
{
	const struct report_texts *all = &arf->original_rcpto_to;
	const char **named =
	    ARENA_ARRAY(e->arena, const char *, all->count + 1);

	*count = 0;
	for (size_t i = 0; i < all->count && *count < LINKS_MOST; i++)
		if (strchr(all->items[i], '@'))
			named[(*count)++] = all->items[i];
	*names = named;
	if (*count == 0 && e->claim.says.count == 1) {
		*names = e->claim.says.recipients;
		*count = 1;
	}
}

const struct report_links *report_links_of_arf(struct session *s,
    struct report_reading *r, int64_t deadline, struct err *err)
{
	const char *const *names;
	struct report_links *links;
	struct evidence e;
	size_t count, linked = 0;
	bool ok = true;

	if (r->arf_links)
		return r->arf_links;
	if (!begin(
		s, &r->report, r->arf.original_envelope_id, deadline, &e, err))
		return NULL;
	recipients_of_arf(&e, &r->arf, &names, &count);
	links = new_links(e.arena, count + 1);
	for (size_t i = 0; i < count && ok && !is_late(s, &e, i, count); i++) {
		ok = link_one(&e, names[i], &links->items[linked], err);
		linked += links->items[linked].linked;
	}
	links->count = linked ? linked : 1;
	queue_reader_give(e.conn, ok);
	mark_repeated(links, e.arena);
	if (ok)
		r->arf_links = links;
	return r->arf_links;
}

/* ---- as the log and the history have it ---- */

static void put(
    struct value *map, const char *key, const char *text, struct arena *arena)
{
	if (text)
		map->entries[map->count++] = (struct value_entry){
		    key, value_string(arena, text, strlen(text))};
}

static struct value link_value(
    const struct report_link *link, struct arena *arena)
{
	struct value v = {.type = VALUE_MAP};

	v.entries = ARENA_ARRAY(arena, struct value_entry, 8);
	put(&v, "id", link->id, arena);
	put(&v, "recipient", link->recipient, arena);
	put(&v, "queue", link->queue, arena);
	put(&v, "campaign", link->campaign, arena);
	put(&v, "tenant", link->tenant, arena);
	put(&v, "outcome", link->outcome, arena);
	put(&v, "site", link->site, arena);
	put(&v, "by", link_how_name(link->how), arena);
	return v;
}

void report_links_show(const struct report_link *links, size_t count,
    struct arena *arena, struct log_record *r)
{
	struct value *linked = ARENA_NEW(arena, struct value);
	struct value *to = ARENA_NEW(arena, struct value);

	linked->type = VALUE_BOOL;
	linked->b = count > 0 && links->linked;
	r->linked = linked;
	if (!linked->b)
		return;
	if (count == 1) {
		*to = link_value(links, arena);
	} else {
		to->type = VALUE_LIST;
		to->items = ARENA_ARRAY(arena, struct value, count);
		for (size_t i = 0; i < count; i++)
			to->items[to->count++] = link_value(&links[i], arena);
	}
	r->linked_to = to;
}
