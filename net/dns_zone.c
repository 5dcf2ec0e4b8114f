/*
 * dns_zone.c - records that are all of the DNS there is
 *
 *	line  = name [ttl] ["IN"] type data / blank [ttl] ["IN"] type data
 *	      / "$ORIGIN" name / "$TTL" seconds
 *
 * Records stay in the order they came in; zones of tests are small, so a
 * question walks all of them.
 */
#include "net/dns_zone.h"

#include <ctype.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/radix.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "net/dns_name.h"

#define DEFAULT_TTL 300
#define MOST_CNAMES 8
#define MOST_WORDS 64

enum { TYPE_NONE = 0, TYPE_FAIL = -1 };

struct record {
	const char *name; /* lower case, no trailing dot */
	int type;         /* enum dns_type, or one of the above */
	int64_t ttl;
	struct dns_row row;
};

struct dns_zone {
	int refs; /* atomic */
	struct arena *arena;
	struct {
		struct record *items;
		size_t count, size;
	} records;
};

static const struct {
	const char *name;
	int type;
} types[] = {
    {"A", DNS_A},
    {"AAAA", DNS_AAAA},
    {"MX", DNS_MX},
    {"TXT", DNS_TXT},
    {"PTR", DNS_PTR},
    {"TLSA", DNS_TLSA},
    {"CNAME", DNS_CNAME},
    {"FAIL", TYPE_FAIL},
    {"SOA", TYPE_NONE},
    {"NS", TYPE_NONE},
};

struct dns_zone *dns_zone_new(void)
{
	struct dns_zone *zone = xcalloc(1, sizeof *zone);

	zone->refs = 1;
	zone->arena = arena_new(0);
	return zone;
}

struct dns_zone *dns_zone_ref(struct dns_zone *zone)
{
	(void)__atomic_add_fetch(&zone->refs, 1, __ATOMIC_RELAXED);
	return zone;
}

void dns_zone_unref(struct dns_zone *zone)
{
	if (!zone || __atomic_sub_fetch(&zone->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	ARRAY_FREE(&zone->records);
	arena_unref(zone->arena);
	free(zone);
}

/* ---- data ---- */

/* Lower case, without the dot at its end; "." is "". */
static const char *canonical(struct arena *arena, const char *name)
{
	char *copy = str_lower(arena_strdup(arena, name));
	size_t len = strlen(copy);

	if (len && copy[len - 1] == '.')
		copy[len - 1] = '\0';
	return copy;
}

static bool read_mx(struct dns_zone *zone, const char *data,
    struct dns_row *row, struct err *err)
{
	size_t digits = strspn(data, "0123456789");
	const char *name = data + digits + strspn(data + digits, " \t");
	int64_t n;

	if (!digits || name == data + digits || !*name ||
	    strpbrk(name, " \t") ||
	    !str_to_int(arena_strndup(zone->arena, data, digits), &n) ||
	    n > 65535)
		return err_set(err, ERR_CONFIG,
		    "MX: expected a preference and a name, got \"%.80s\"",
		    data);
	row->preference = (int)n;
	row->name = canonical(zone->arena, name);
	return true;
}

/* Character strings with their lengths in front (RFC 1035, 3.3.14). */
static void add_string(struct buf *out, const char *p, size_t len)
{
	do {
		size_t n = len < 255 ? len : 255;

		buf_addch(out, (char)n);
		buf_add(out, p, n);
		p += n;
		len -= n;
	} while (len > 0);
}

static bool read_txt(struct dns_zone *zone, const char *data,
    struct dns_row *row, struct err *err)
{
	struct buf out = BUF_INIT, text = BUF_INIT;
	const char *p = data;
	bool closed = true;

	if (*p != '"')
		add_string(&out, p, strlen(p));
	while (closed && *p == '"') {
		buf_reset(&text);
		for (p++; *p && *p != '"'; p++) {
			if (*p == '\\' && p[1])
				p++;
			buf_addch(&text, *p);
		}
		add_string(&out, buf_str(&text), text.len);
		closed = *p == '"';
		p += closed;
		p += strspn(p, " \t");
	}
	row->data = arena_memdup(zone->arena, out.data, out.len);
	row->len = out.len;
	buf_release(&out);
	buf_release(&text);
	return *data != '"' || (closed && !*p) ||
	       err_set(err, ERR_CONFIG, "TXT: quotes do not match in \"%.80s\"",
		   data);
}

static bool read_tlsa(struct dns_zone *zone, const char *data,
    struct dns_row *row, struct err *err)
{
	struct buf out = BUF_INIT, hex = BUF_INIT;
	unsigned usage, selector, matching;
	int at = 0;
	bool ok = sscanf(data, "%3u %3u %3u %n", &usage, &selector, &matching,
		      &at) == 3 &&
		  at > 0 && usage < 256 && selector < 256 && matching < 256;

	if (ok) {
		buf_addch(&out, (char)usage);
		buf_addch(&out, (char)selector);
		buf_addch(&out, (char)matching);
		for (const char *p = data + at; *p; p++)
			if (!isspace((unsigned char)*p))
				buf_addch(&hex, *p);
		ok = radix_decode(
			 radix_find("hex"), &out, buf_str(&hex), hex.len) &&
		     out.len > 3;
	}
	if (ok) {
		row->data = arena_memdup(zone->arena, out.data, out.len);
		row->len = out.len;
	}
	buf_release(&out);
	buf_release(&hex);
	return ok || err_set(err, ERR_CONFIG,
			 "TLSA: expected three numbers and hex digits, got "
			 "\"%.80s\"",
			 data);
}

static bool read_data(
    struct dns_zone *zone, struct record *r, const char *data, struct err *err)
{
	struct dns_row *row = &r->row;

	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		if (ip_parse(data, &row->ip) &&
		    (row->ip.family == AF_INET) == (r->type == DNS_A))
			return true;
		return err_set(err, ERR_CONFIG,
		    "%s: expected an %s address, got \"%.80s\"",
		    dns_type_name((enum dns_type)r->type),
		    r->type == DNS_A ? "IPv4" : "IPv6", data);
	case DNS_MX:
		return read_mx(zone, data, row, err);
	case DNS_TXT:
		return read_txt(zone, data, row, err);
	case DNS_TLSA:
		return read_tlsa(zone, data, row, err);
	case DNS_PTR:
	case DNS_CNAME:
		if (!*data || strpbrk(data, " \t"))
			return err_set(err, ERR_CONFIG,
			    "expected a name, got \"%.80s\"", data);
		row->name = canonical(zone->arena, data);
		return true;
	default:
		return true;
	}
}

bool dns_zone_add(struct dns_zone *zone, const char *name, const char *type,
    const char *data, int64_t ttl, struct err *err)
{
	struct record r = {.name = canonical(zone->arena, name), .ttl = ttl};

	for (size_t i = 0; i < COUNT(types); i++) {
		if (!str_case_eq(types[i].name, type))
			continue;
		r.type = types[i].type;
		if (r.type == TYPE_NONE)
			return true;
		if (!read_data(zone, &r, data, err))
			return false;
		*ARRAY_ADD(&zone->records) = r;
		return true;
	}
	return err_set(err, ERR_CONFIG,
	    "record type \"%.20s\" is not known here: A, AAAA, MX, TXT, PTR, "
	    "CNAME, TLSA or FAIL",
	    type);
}

/* ---- text ---- */

struct words {
	const char *items[MOST_WORDS];
	size_t at[MOST_WORDS]; /* where in the line */
	size_t count;
};

struct reader {
	struct dns_zone *zone;
	const char *origin; /* "": names are absolute */
	const char *name;   /* of the line before */
	int64_t ttl;
	int line; /* where the record began */
};

/* One record, which parentheses may spread over lines; comments gone. */
static const char *take_record(
    const char *p, struct buf *out, int *lines, bool *open)
{
	bool quoted = false;
	int depth = 0;

	*lines = 0;
	for (; *p; p++) {
		if (*p == '\n') {
			++*lines;
			if (depth == 0)
				break;
			buf_addch(out, ' ');
		} else if (*p == '\\' && p[1] && p[1] != '\n') {
			buf_add(out, p++, 2);
		} else if (*p == '"') {
			quoted = !quoted;
			buf_addch(out, '"');
		} else if (!quoted && *p == ';') {
			p += strcspn(p, "\n") - 1;
		} else if (!quoted && (*p == '(' || *p == ')')) {
			depth += *p == '(' ? 1 : -1;
			buf_addch(out, ' ');
		} else if (*p != '\r') {
			buf_addch(out, *p);
		}
	}
	*open = depth != 0;
	return *p ? p + 1 : p;
}

static void split(struct arena *arena, const char *line, struct words *out)
{
	const char *p = line + strspn(line, " \t");

	out->count = 0;
	while (*p && out->count < MOST_WORDS) {
		size_t len = strcspn(p, " \t");

		out->at[out->count] = (size_t)(p - line);
		out->items[out->count++] = arena_strndup(arena, p, len);
		p += len;
		p += strspn(p, " \t");
	}
}

static const char *absolute(struct reader *r, const char *name)
{
	size_t len = strlen(name);

	if (str_eq(name, "@"))
		return r->origin;
	if (!*r->origin || (len && name[len - 1] == '.'))
		return name;
	return arena_printf(r->zone->arena, "%s.%s", name, r->origin);
}

/* Names in the data are relative to the origin, too. */
static const char *absolute_data(
    struct reader *r, const char *type, const char *data)
{
	size_t digits = strcspn(data, " \t");
	const char *name = data + digits + strspn(data + digits, " \t");

	if (str_case_eq(type, "CNAME") || str_case_eq(type, "PTR"))
		return absolute(r, data);
	if (!str_case_eq(type, "MX") || !*name)
		return data;
	return arena_printf(
	    r->zone->arena, "%.*s %s", (int)digits, data, absolute(r, name));
}

static bool directive(
    struct reader *r, const struct words *words, struct err *err)
{
	if (words->count < 2)
		return err_set(
		    err, ERR_CONFIG, "%s needs a value", words->items[0]);
	if (str_case_eq(words->items[0], "$ORIGIN")) {
		const char *name = absolute(r, words->items[1]);
		size_t len = strlen(name);

		r->origin = arena_strndup(r->zone->arena, name,
		    len && name[len - 1] == '.' ? len - 1 : len);
		return true;
	}
	if (str_case_eq(words->items[0], "$TTL"))
		return str_to_int(words->items[1], &r->ttl) ||
		       err_set(err, ERR_CONFIG, "$TTL: expected seconds");
	return err_set(err, ERR_CONFIG,
	    "%.40s: not known here, only $ORIGIN "
	    "and $TTL",
	    words->items[0]);
}

static bool read_record(struct reader *r, const char *line, struct err *err)
{
	struct words words;
	size_t n = 0, end;
	int64_t ttl = r->ttl;
	const char *type, *data;

	split(r->zone->arena, line, &words);
	if (words.count == 0)
		return true;
	if (*words.items[0] == '$')
		return directive(r, &words, err);
	if (*line != ' ' && *line != '\t')
		r->name = absolute(r, words.items[n++]);
	if (!r->name)
		return err_set(err, ERR_CONFIG, "a record needs a name");
	for (; n < words.count; n++)
		if (!str_case_eq(words.items[n], "IN") &&
		    !str_to_int(words.items[n], &ttl))
			break;
	if (n == words.count)
		return err_set(err, ERR_CONFIG,
		    "a record needs a type: NAME [TTL] TYPE DATA");
	type = words.items[n++];
	data = n < words.count ? line + words.at[n] : "";
	end = strlen(data);
	while (end && isspace((unsigned char)data[end - 1]))
		end--;
	data = arena_strndup(r->zone->arena, data, end);
	return dns_zone_add(
	    r->zone, r->name, type, absolute_data(r, type, data), ttl, err);
}

bool dns_zone_add_text(struct dns_zone *zone, const char *text, struct err *err)
{
	struct reader r = {.zone = zone, .origin = "", .ttl = DEFAULT_TTL};
	struct buf line = BUF_INIT;
	int number = 1, lines;
	bool ok = true, open;

	while (*text && ok) {
		buf_reset(&line);
		text = take_record(text, &line, &lines, &open);
		ok = !open ||
		     err_set(err, ERR_CONFIG, "a parenthesis is never closed");
		ok = ok && read_record(&r, buf_str(&line), err);
		if (!ok)
			(void)err_prefix(err, "line %d", number);
		number += lines;
	}
	buf_release(&line);
	return ok;
}

/* ---- answers ---- */

static bool is_below(const char *name, const char *top)
{
	size_t len = strlen(name), top_len = strlen(top);

	return len > top_len && name[len - top_len - 1] == '.' &&
	       str_eq(name + len - top_len, top);
}

static bool is_failing(const struct dns_zone *zone, const char *name)
{
	for (size_t i = 0; i < zone->records.count; i++) {
		const struct record *r = &zone->records.items[i];

		if (r->type == TYPE_FAIL &&
		    (!*r->name || str_eq(r->name, name) ||
			is_below(name, r->name)))
			return true;
	}
	return false;
}

/* The name itself, or something below it. */
static bool exists(const struct dns_zone *zone, const char *name)
{
	for (size_t i = 0; i < zone->records.count; i++)
		if (str_eq(zone->records.items[i].name, name) ||
		    is_below(zone->records.items[i].name, name))
			return true;
	return false;
}

/* The owner of the records that answer for `name`; NULL: nobody. */
static const char *owner_of(
    const struct dns_zone *zone, const char *name, struct arena *arena)
{
	if (exists(zone, name))
		return name;
	for (const char *dot = strchr(name, '.'); dot;
	     dot = strchr(dot + 1, '.')) {
		const char *wildcard = arena_printf(arena, "*%s", dot);

		if (exists(zone, wildcard))
			return wildcard;
		if (exists(zone, dot + 1))
			return NULL;
	}
	return NULL;
}

static const struct record *cname_of(
    const struct dns_zone *zone, const char *owner)
{
	for (size_t i = 0; i < zone->records.count; i++)
		if (zone->records.items[i].type == DNS_CNAME &&
		    str_eq(zone->records.items[i].name, owner))
			return &zone->records.items[i];
	return NULL;
}

static void collect(const struct dns_zone *zone, const char *owner,
    enum dns_type type, struct arena *arena, struct dns_answer *out,
    int64_t *ttl)
{
	out->rows = ARENA_ARRAY(arena, struct dns_row, zone->records.count + 1);
	for (size_t i = 0; i < zone->records.count; i++) {
		const struct record *r = &zone->records.items[i];

		if (r->type != (int)type || !str_eq(r->name, owner))
			continue;
		out->rows[out->count] = r->row;
		/* The zone may be another one before the answer is used. */
		out->rows[out->count].name = arena_strdup(arena, r->row.name);
		if (r->row.data)
			out->rows[out->count].data =
			    arena_memdup(arena, r->row.data, r->row.len);
		out->count++;
		if (r->ttl < *ttl)
			*ttl = r->ttl;
	}
}

void dns_zone_answer(struct dns_zone *zone, const char *name,
    enum dns_type type, struct arena *arena, struct dns_answer *out,
    int64_t *ttl)
{
	const char *asked = canonical(arena, name), *owner;
	const struct record *cname;

	*out = (struct dns_answer){.status = DNS_NXDOMAIN};
	*ttl = DEFAULT_TTL;
	for (int i = 0; i < MOST_CNAMES; i++) {
		if (is_failing(zone, asked))
			break;
		owner = owner_of(zone, asked, arena);
		if (!owner) {
			out->why = arena_printf(arena, "%s %s: no such domain",
			    dns_type_name(type), name);
			return;
		}
		cname = cname_of(zone, owner);
		if (!cname || type == DNS_CNAME) {
			out->status = DNS_OK;
			out->canonical = i ? arena_strdup(arena, asked) : NULL;
			collect(zone, owner, type, arena, out, ttl);
			return;
		}
		asked = cname->row.name;
	}
	out->status = DNS_FAILED;
	out->why =
	    arena_printf(arena, "%s %s: the name servers failed (SERVFAIL)",
		dns_type_name(type), name);
}
