/*
 * report_field.c - the fields of delivery and feedback reports, as tables
 */
#include "mail/report_field.h"

#include "base/array.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/datetime.h"
#include "base/diag.h"
#include "base/map.h"
#include "base/str.h"
#include "mail/header.h"
#include "mail/report_address.h"

/* ---- reading lines ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* A fold, and the blanks around it, is one space: what an author folds for
 * the width of a line is not part of the text. */
static void unfold(const struct header_field *f, struct buf *out)
{
	const char *p = f->value, *end = p + f->value_len;

	buf_reset(out);
	buf_reserve(out, f->value_len);
	while (p < end) {
		if (*p != '\n' &&
		    !(*p == '\r' && p + 1 < end && p[1] == '\n')) {
			buf_addch(out, *p ? *p : '?');
			p++;
			continue;
		}
		while (out->len > 0 && is_blank(out->data[out->len - 1]))
			out->len--;
		while (p < end && (is_blank(*p) || *p == '\r' || *p == '\n'))
			p++;
		buf_addch(out, ' ');
	}
	while (out->len > 0 && is_blank(out->data[out->len - 1]))
		out->data[--out->len] = '\0';
}

static void add_pair(
    struct report_group *out, const struct header_field *f, struct arena *arena)
{
	struct header_field line = *f;
	struct buf value = BUF_INIT;

	unfold(f, &value);
	line.value = buf_str(&value);
	line.value_len = value.len;
	*ARRAY_ADD(out) = (struct report_pair){
	    .name = str_lower(arena_strndup(arena, f->name, f->name_len)),
	    .value = header_decode(&line, arena),
	    .raw = arena_strdup(arena, skip_blanks(line.value)),
	};
	buf_release(&value);
}

void report_group_read(
    const char *text, size_t len, struct arena *arena, struct report_group *out)
{
	struct header_field f;
	size_t pos = 0;

	while (pos < len) {
		while (header_next(text, len, &pos, &f))
			add_pair(out, &f, arena);
		while (pos < len && (text[pos] == '\r' || text[pos] == '\n'))
			pos++;
	}
}

void report_group_release(struct report_group *group)
{
	ARRAY_FREE(group);
}

/* ---- reading values ---- */

/*	typed = [ type ";" ] rest	; type: one word
 * The rest; *type is NULL when there is none. */
static const char *split_type(
    const char *value, struct arena *arena, const char **type)
{
	const char *end = value + strcspn(value, "; \t@<\"");
	const char *semicolon = skip_blanks(end);

	*type = NULL;
	if (end == value || *semicolon != ';')
		return value;
	*type = arena_strndup(arena, value, (size_t)(end - value));
	return skip_blanks(semicolon + 1);
}

static bool bad(struct err *err, const char *what, const char *value)
{
	char quoted[120];

	return err_set(err, ERR_PERM, "%s \"%s\"", what,
	    diag_quote(quoted, sizeof quoted, value, strlen(value)));
}

static bool read_text(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	if (!*value)
		return err_set(err, ERR_PERM, "empty");
	*(const char **)at = value;
	return true;
}

static bool read_mta(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	struct report_mta *mta = at;
	const char *type, *name = split_type(value, arena, &type);

	if (!*value)
		return err_set(err, ERR_PERM, "empty");
	mta->type = type ? type : "dns";
	mta->name = name;
	return true;
}

/* "rfc822; rfc822; bob@example.com", and ";" alone: said twice. */
static const char *skip_types(const char *p, struct arena *arena)
{
	const char *type, *rest;

	while (*p == ';')
		p = skip_blanks(p + 1);
	rest = split_type(p, arena, &type);
	return type && str_case_eq(type, "rfc822") ? rest : p;
}

/* Some give the addresses of a complaint the type that those of a bounce have.
 */
static const char *skip_rfc822(const char *value, struct arena *arena)
{
	const char *type, *rest = split_type(value, arena, &type);

	return type && str_case_eq(type, "rfc822") ? rest : value;
}

static bool read_address(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	return report_address_parse(skip_rfc822(value, arena), arena, at, err);
}

static bool read_recipient(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	struct report_recipient *r = at;
	const char *type, *rest = split_type(value, arena, &type);
	struct err why = {0};
	bool ok;

	if (type && str_case_eq(type, "rfc822"))
		rest = skip_types(rest, arena);
	r->type = type ? type : "rfc822";
	r->address = str_eq(rest, "<>") ? "" : rest;
	if (!*r->address || !str_case_eq(r->type, "rfc822"))
		return true;
	/* Without a type it should at least look like one. */
	ok = type || strchr(rest, '@')
		 ? report_address_parse(rest, arena, &r->address, &why)
		 : bad(&why, "no address type in", value);
	if (!ok)
		r->why_not = arena_strdup(arena, why.text);
	return ok || err_set(err, ERR_PERM, "%s", why.text);
}

static const char *const action_names[] = {
    [REPORT_FAILED] = "failed",
    [REPORT_DELAYED] = "delayed",
    [REPORT_DELIVERED] = "delivered",
    [REPORT_RELAYED] = "relayed",
    [REPORT_EXPANDED] = "expanded",
};

/* The first word; what it is explained with is not looked at. */
static bool read_action(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	size_t len = strcspn(value, " \t(;,.:");

	for (size_t i = REPORT_FAILED; i < COUNT(action_names); i++) {
		if (len == strlen(action_names[i]) &&
		    str_ncase_eq(value, action_names[i], len)) {
			*(enum report_action *)at = (enum report_action)i;
			return true;
		}
	}
	return bad(err, "unknown action", value);
}

/* May a comment follow here?  A number or a word would be part of the code. */
static bool ends_status(const char *p)
{
	if (*p == '.')
		p++;
	return !((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
		 (*p >= 'A' && *p <= 'Z'));
}

static bool read_status(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	struct report_status *status = at;
	const char *p = value;

	for (int i = 0; i < 3; i++) {
		int n = 0, digits = 0;

		for (; *p >= '0' && *p <= '9' && digits < 4; digits++)
			n = n * 10 + (*p++ - '0');
		if (digits == 0 || digits > 3 || (i < 2 && *p != '.'))
			return bad(err, "not a status code", value);
		status->part[i] = n;
		p += i < 2;
	}
	if (!ends_status(p))
		return bad(err, "not a status code", value);
	if (*p && strchr(";,:.", *p))
		p++;
	p = skip_blanks(p);
	if (*p)
		status->comment = arena_strdup(arena, p);
	return true;
}

/* "550 no such user" without a type is an answer in SMTP. */
static bool looks_like_smtp(const char *text)
{
	return text[0] >= '2' && text[0] <= '5' && text[1] >= '0' &&
	       text[1] <= '9' && text[2] >= '0' && text[2] <= '9' &&
	       (text[3] == ' ' || text[3] == '-');
}

static bool read_diagnostic(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	struct report_diagnostic *d = at;
	const char *type, *text = split_type(value, arena, &type);

	if (!*value)
		return err_set(err, ERR_PERM, "empty");
	d->text = text;
	d->type = type ? type : looks_like_smtp(text) ? "smtp" : "unknown";
	return true;
}

static bool read_date(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	struct report_date *date = at;
	struct datetime time;

	if (!datetime_parse_rfc2822(value, &time, err))
		return false;
	date->known = true;
	date->unix_seconds = time.unix_seconds;
	return true;
}

static bool read_number(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	struct report_number *number = at;

	number->known = str_to_int(value, &number->n) && number->n >= 0;
	return number->known || bad(err, "not a number", value);
}

static void add_text(
    struct report_texts *texts, const char *text, struct arena *arena)
{
	/* What an arena holds cannot grow: the old one stays behind. */
	if (texts->count == texts->size) {
		size_t size = texts->size ? texts->size * 2 : 4;
		const char **items = ARENA_ARRAY(arena, const char *, size);

		for (size_t i = 0; i < texts->count; i++)
			items[i] = texts->items[i];
		texts->items = items;
		texts->size = size;
	}
	texts->items[texts->count++] = text;
}

static bool read_texts(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	add_text(at, value, arena);
	return true;
}

static bool read_addresses(
    const char *value, void *at, struct arena *arena, struct err *err)
{
	const char *address;

	if (!report_address_parse(
		skip_rfc822(value, arena), arena, &address, err))
		return false;
	if (!*address)
		return bad(err, "the null address", value);
	add_text(at, address, arena);
	return true;
}

/* ---- showing values ---- */

static struct value text_value(struct arena *arena, const char *s)
{
	if (!s)
		return (struct value){.type = VALUE_NIL};
	return value_string(arena, s, strlen(s));
}

static struct value int_value(int64_t n)
{
	return (struct value){.type = VALUE_INT, .i = n};
}

static struct value pair_value(struct arena *arena, const char *first_key,
    const char *first, const char *second_key, const char *second)
{
	struct value v = {.type = VALUE_MAP, .count = 2};

	if (!first)
		return (struct value){.type = VALUE_NIL};
	v.entries = ARENA_ARRAY(arena, struct value_entry, 2);
	v.entries[0] =
	    (struct value_entry){first_key, text_value(arena, first)};
	v.entries[1] =
	    (struct value_entry){second_key, text_value(arena, second)};
	return v;
}

static struct value show_text(const void *at, struct arena *arena)
{
	return text_value(arena, *(const char *const *)at);
}

static struct value show_mta(const void *at, struct arena *arena)
{
	const struct report_mta *mta = at;

	return pair_value(arena, "mta_type", mta->type, "name", mta->name);
}

static struct value show_recipient(const void *at, struct arena *arena)
{
	const struct report_recipient *r = at;

	return pair_value(
	    arena, "recipient_type", r->type, "recipient", r->address);
}

static struct value show_action(const void *at, struct arena *arena)
{
	return text_value(arena, action_names[*(const enum report_action *)at]);
}

static struct value show_status(const void *at, struct arena *arena)
{
	static const char *const keys[] = {"class", "subject", "detail"};
	const struct report_status *status = at;
	struct value v = {.type = VALUE_MAP, .count = 4};

	v.entries = ARENA_ARRAY(arena, struct value_entry, 4);
	for (int i = 0; i < 3; i++)
		v.entries[i] =
		    (struct value_entry){keys[i], int_value(status->part[i])};
	v.entries[3] =
	    (struct value_entry){"comment", text_value(arena, status->comment)};
	return v;
}

static struct value show_diagnostic(const void *at, struct arena *arena)
{
	const struct report_diagnostic *d = at;

	return pair_value(
	    arena, "diagnostic_type", d->type, "diagnostic", d->text);
}

/* RFC 3339 in UTC; the fields have no fractions. */
static struct value show_date(const void *at, struct arena *arena)
{
	const struct report_date *date = at;
	char text[40], *dot;

	if (!date->known)
		return (struct value){.type = VALUE_NIL};
	(void)clock_rfc3339(text, date->unix_seconds * 1000);
	dot = strchr(text, '.');
	if (dot)
		memmove(dot, "Z", sizeof "Z");
	return text_value(arena, text);
}

static struct value show_number(const void *at, struct arena *arena)
{
	const struct report_number *number = at;

	return number->known ? int_value(number->n)
			     : (struct value){.type = VALUE_NIL};
}

static struct value show_texts(const void *at, struct arena *arena)
{
	const struct report_texts *texts = at;
	struct value v = {.type = VALUE_LIST, .count = texts->count};

	v.items = ARENA_ARRAY(arena, struct value, texts->count + 1);
	for (size_t i = 0; i < texts->count; i++)
		v.items[i] = text_value(arena, texts->items[i]);
	return v;
}

static const struct {
	bool (*read)(const char *, void *, struct arena *, struct err *);
	struct value (*show)(const void *, struct arena *);
	bool repeats, addresses;
} kinds[] = {
    [REPORT_TEXT] = {read_text, show_text, false, false},
    [REPORT_ADDRESS] = {read_address, show_text, false, true},
    [REPORT_MTA] = {read_mta, show_mta, false, false},
    [REPORT_RECIPIENT] = {read_recipient, show_recipient, false, true},
    [REPORT_ACTION] = {read_action, show_action, false, false},
    [REPORT_STATUS] = {read_status, show_status, false, false},
    [REPORT_DIAGNOSTIC] = {read_diagnostic, show_diagnostic, false, false},
    [REPORT_DATE] = {read_date, show_date, false, false},
    [REPORT_NUMBER] = {read_number, show_number, false, false},
    [REPORT_TEXTS] = {read_texts, show_texts, true, false},
    [REPORT_ADDRESSES] = {read_addresses, show_texts, true, true},
};

/* ---- groups ---- */

static const struct report_field_spec *find_spec(
    const struct report_table *table, const char *name)
{
	for (size_t i = 0; table && i < table->count; i++)
		if (str_case_eq(table->specs[i].name, name))
			return &table->specs[i];
	return NULL;
}

bool report_group_has(
    const struct report_group *group, const struct report_table *table)
{
	for (size_t i = 0; i < group->count; i++)
		if (find_spec(table, group->items[i].name))
			return true;
	return false;
}

static void add_extension(
    struct map *found, const struct report_pair *pair, struct arena *arena)
{
	struct report_texts *texts = map_get(found, pair->name);

	if (!texts) {
		texts = ARENA_NEW(arena, struct report_texts);
		(void)map_put(found, pair->name, texts);
	}
	add_text(texts, pair->value, arena);
}

static struct value extension_value(
    const struct map *found, struct arena *arena)
{
	struct value v = {.type = VALUE_MAP};
	size_t pos = 0;
	const char *name;
	void *texts;

	v.entries =
	    ARENA_ARRAY(arena, struct value_entry, map_count(found) + 1);
	while (map_each(found, &pos, &name, &texts))
		v.entries[v.count++] = (struct value_entry){
		    arena_strdup(arena, name), show_texts(texts, arena)};
	return v;
}

/* An address is never written in encoded words (RFC 2047, 5), yet it may look
 * as if it were. */
static const char *value_of(
    const struct report_pair *pair, enum report_kind kind, struct arena *arena)
{
	const char *type;

	if (kinds[kind].addresses && !str_eq(pair->raw, pair->value) &&
	    report_address_is_whole(split_type(pair->raw, arena, &type), arena))
		return pair->raw;
	return pair->value;
}

/* One field into the record.  False: malformed; *kept says whether the record
 * has it. */
static bool take(const struct report_pair *pair,
    const struct report_table *table, const struct report_field_spec *spec,
    uint64_t *seen, void *record, bool *kept, struct arena *arena,
    struct err *err)
{
	uint64_t bit = (uint64_t)1 << (spec - table->specs);
	struct err why = {0};

	*kept = false;
	if (!kinds[spec->kind].repeats && (*seen & bit))
		return (table->first_counts && !spec->required) ||
		       err_set(err, ERR_PERM, "%s: given twice", spec->name);
	*seen |= bit;
	*kept = kinds[spec->kind].read(value_of(pair, spec->kind, arena),
	    (char *)record + spec->offset, arena, &why);
	*kept = *kept || spec->judged;
	if (*kept || !(spec->required || spec->strict))
		return true;
	(void)err_set(err, ERR_PERM, "%s: %s", spec->name, why.text);
	return false;
}

static bool has_required(
    const struct report_table *table, uint64_t seen, struct err *err)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->specs[i].required && !(seen & (uint64_t)1 << i))
			return err_set(err, ERR_PERM, "%s is missing",
			    table->specs[i].name);
	return true;
}

bool report_group_parse(const struct report_group *group,
    const struct report_table *table, const struct report_table *other,
    void *record, struct value *extensions, struct arena *arena,
    struct err *err)
{
	struct map *unknown = map_new();
	uint64_t seen = 0;
	bool ok = true;

	invariant(table->count <= 64);
	for (size_t i = 0; ok && i < group->count; i++) {
		const struct report_pair *pair = &group->items[i];
		const struct report_field_spec *spec =
		    find_spec(table, pair->name);
		bool kept = false;

		if (spec)
			ok = take(pair, table, spec, &seen, record, &kept,
			    arena, err);
		else if (find_spec(other, pair->name))
			continue;
		if (ok && !kept)
			add_extension(unknown, pair, arena);
	}
	ok = ok && has_required(table, seen, err);
	if (ok)
		*extensions = extension_value(unknown, arena);
	map_free(unknown, NULL);
	return ok;
}

struct value report_value(const struct report_table *table, const void *record,
    size_t more, struct value_entry **next, struct arena *arena)
{
	struct value_entry *entries =
	    ARENA_ARRAY(arena, struct value_entry, table->count + more);
	struct value v = {.type = VALUE_MAP, .entries = entries};

	for (size_t i = 0; i < table->count; i++) {
		const struct report_field_spec *spec = &table->specs[i];

		if (spec->key)
			v.entries[v.count++] = (struct value_entry){spec->key,
			    kinds[spec->kind].show(
				(const char *)record + spec->offset, arena)};
	}
	*next = entries + v.count;
	v.count += more;
	return v;
}
