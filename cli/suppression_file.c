/*
 * suppression_file.c - the suppression list as a file: read and written
 */
#include "cli/suppression_file.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/datetime.h"
#include "base/str.h"
#include "base/terminal.h"
#include "cli/output.h"

enum column {
	ADDRESS,
	SCOPE,
	TENANT,
	CLASS,
	REASON,
	RECORD,
	MESSAGE,
	HITS,
	CREATED,
	UNTIL,
	COLUMNS,
};

static const char *const names[COLUMNS] = {"address", "scope", "tenant",
    "class", "reason", "record", "message", "hits", "created", "until"};

/* ---- reading ---- */

struct reader {
	const struct suppression_entry *like;
	struct arena *arena;
	int order[COLUMNS]; /* the column that stands at this place */
	size_t places;      /* 0: no CSV */
};

static char *take_quoted(const char **p, struct arena *arena)
{
	char *field = arena_alloc(arena, strlen(*p) + 1), *to = field;
	const char *from = *p + 1;

	while (*from && (*from != '"' || from[1] == '"')) {
		from += *from == '"';
		*to++ = *from++;
	}
	if (*from != '"')
		return NULL;
	*to = '\0';
	*p = from + 1;
	return field;
}

/* The next field of the line; NULL: err. */
static char *take_field(const char **p, struct arena *arena, struct err *err)
{
	size_t len;
	char *field;

	if (**p == '"') {
		field = take_quoted(p, arena);
		if (field && (!**p || **p == ','))
			return field;
		(void)err_set(err, ERR_PERM, "a quoted field does not end");
		return NULL;
	}
	len = strcspn(*p, ",");
	field = arena_strndup(arena, *p, len);
	*p += len;
	return field;
}

static int column_of(const char *name)
{
	for (int i = 0; i < COLUMNS; i++)
		if (str_case_eq(names[i], name))
			return i;
	return -1;
}

static bool read_names(struct reader *r, const char *line, struct err *err)
{
	const char *p = line;

	for (;;) {
		char *name = take_field(&p, r->arena, err);
		int column = name ? column_of(name) : -1;

		if (!name)
			return false;
		if (column < 0)
			return err_set(err, ERR_PERM,
			    "\"%.40s\" is no column; there are address, scope, "
			    "tenant, class, reason, record, message, hits, "
			    "created, until",
			    name);
		for (size_t i = 0; i < r->places; i++)
			if (r->order[i] == column)
				return err_set(err, ERR_PERM,
				    "the column \"%s\" stands there twice",
				    name);
		r->order[r->places++] = column;
		if (!*p)
			return true;
		p++;
	}
}

bool suppression_time_parse(const char *text, int64_t *out, struct err *err)
{
	struct datetime when;
	char whole[24];

	if (str_to_int(text, out) && *out >= 0)
		return true;
	(void)snprintf(whole, sizeof whole, "%.10sT00:00:00Z", text);
	if (!datetime_parse_rfc3339(
		strlen(text) == 10 ? whole : text, &when, NULL))
		return err_set(err, ERR_PERM,
		    "\"%.40s\" is not a time; expected 2026-11-21, "
		    "2026-11-21T03:24:00Z or unix seconds",
		    text);
	*out = when.unix_seconds;
	return true;
}

static bool read_scope(struct suppression_entry *e, char *const *fields,
    const struct suppression_entry *like, struct err *err)
{
	const char *scope = fields[SCOPE] ? fields[SCOPE] : "";
	const char *tenant = fields[TENANT] ? fields[TENANT] : "";

	if (str_eq(scope, "all") && *tenant)
		return err_set(err, ERR_PERM,
		    "scope is \"all\", and there is a tenant, \"%.60s\"",
		    tenant);
	if (*scope && !str_eq(scope, "all") && !str_eq(scope, "tenant"))
		return err_set(err, ERR_PERM,
		    "scope: expected all or tenant, got \"%.40s\"", scope);
	if (*tenant || str_eq(scope, "tenant"))
		e->scope = (struct suppression_scope){false, tenant};
	else if (str_eq(scope, "all"))
		e->scope = (struct suppression_scope){true, ""};
	else
		e->scope = like->scope;
	return true;
}

static bool given(char *const *fields, enum column column)
{
	return fields[column] && *fields[column];
}

static bool read_entry(struct reader *r, char *const *fields,
    struct suppression_entry *e, struct err *err)
{
	*e = *r->like;
	if (!given(fields, ADDRESS))
		return err_set(err, ERR_PERM, "there is no address");
	if (!suppression_key_parse(
		fields[ADDRESS], r->arena, &e->address, err) ||
	    !read_scope(e, fields, r->like, err))
		return false;
	if (given(fields, CLASS))
		e->class = fields[CLASS];
	if (given(fields, REASON))
		e->reason = fields[REASON];
	if (given(fields, RECORD))
		e->record = fields[RECORD];
	if (given(fields, MESSAGE))
		e->message = fields[MESSAGE];
	if (given(fields, HITS) &&
	    (!str_to_int(fields[HITS], &e->hits) || e->hits < 1))
		return err_set(err, ERR_PERM,
		    "hits: expected a number above 0, got \"%.40s\"",
		    fields[HITS]);
	if (given(fields, CREATED) &&
	    !suppression_time_parse(fields[CREATED], &e->created_at, err))
		return err_prefix(err, "created");
	if (given(fields, UNTIL) &&
	    !suppression_time_parse(fields[UNTIL], &e->until, err))
		return err_prefix(err, "until");
	return true;
}

static bool read_line(struct reader *r, char *line, bool first,
    struct suppression_list *out, struct err *err)
{
	char *fields[COLUMNS] = {0}, *field;
	const char *p = line;
	struct suppression_entry e;

	if (first && (str_case_eq(line, "address") ||
			 str_ncase_eq(line, "address,", 8) ||
			 (strchr(line, ',') && !strchr(line, '@'))))
		return read_names(r, line, err);
	if (!r->places) {
		fields[ADDRESS] = line;
	} else {
		for (size_t i = 0;; i++) {
			if (i == r->places)
				return err_set(err, ERR_PERM,
				    "more than the %zu fields that the first "
				    "line names",
				    r->places);
			field = take_field(&p, r->arena, err);
			if (!field)
				return false;
			terminal_restore(field);
			fields[r->order[i]] = field;
			if (!*p)
				break;
			p++;
		}
	}
	if (!read_entry(r, fields, &e, err))
		return false;
	*ARRAY_ADD(out) = e;
	return true;
}

static char *trim(char *line)
{
	size_t len = strlen(line);

	while (len && strchr(" \t\r", line[len - 1]))
		line[--len] = '\0';
	return line + strspn(line, " \t");
}

bool suppression_file_read(const char *name, const char *text, size_t len,
    const struct suppression_entry *like, struct arena *arena,
    struct suppression_list *out, struct err *err)
{
	struct reader r = {.like = like, .arena = arena};
	const char *end = text + len, *p = text;
	bool first = true;

	/* What Windows puts in front. */
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (size_t number = 1; p < end; number++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((stop ? stop : end) - p);
		char *line;

		if (memchr(p, '\0', n))
			return err_set(err, ERR_PERM,
			    "%s:%zu: a NUL: this is no text", name, number);
		line = trim(arena_strndup(arena, p, n));
		p = stop ? stop + 1 : end;
		if (!*line || *line == '#')
			continue;
		if (!read_line(&r, line, first, out, err))
			return err_prefix(err, "%s:%zu", name, number);
		first = false;
	}
	for (size_t i = 0; r.places && i <= r.places; i++) {
		if (i == r.places)
			return err_set(err, ERR_PERM,
			    "%s: there is no column \"address\"", name);
		if (r.order[i] == ADDRESS)
			break;
	}
	return true;
}

/* ---- writing ---- */

void suppression_file_header(FILE *out)
{
	for (size_t i = 0; i < COLUMNS; i++)
		(void)fprintf(out, "%s%s", i ? "," : "", names[i]);
	(void)fputc('\n', out);
}

/* What could drive a terminal, and line breaks, are escaped: reasons are what
 * strangers said, and there is one record a line. */
static void write_field(FILE *out, const char *field)
{
	struct buf exact = BUF_INIT;
	const char *text;
	bool quoted;

	terminal_add_exact(&exact, field, strlen(field));
	text = buf_str(&exact);
	quoted = strpbrk(text, ",\"") || strchr(" #", *text);
	if (quoted && *text)
		(void)fputc('"', out);
	for (const char *p = text; *p; p++) {
		if (*p == '"')
			(void)fputc('"', out);
		(void)fputc(*p, out);
	}
	if (quoted && *text)
		(void)fputc('"', out);
	buf_release(&exact);
}

static const char *time_text(
    const struct value *row, const char *key, char text[40])
{
	if (!row_has(row, key))
		return "";
	return clock_rfc3339(text, row_int(row, key) * 1000);
}

void suppression_file_row(
    FILE *out, const struct value *row, struct arena *arena)
{
	char hits[24], created[40], until[40];
	const char *fields[COLUMNS] = {
	    [ADDRESS] = suppression_key_text(row_text(row, "address"), arena),
	    [SCOPE] = row_has(row, "tenant") ? "tenant" : "all",
	    [TENANT] = row_text(row, "tenant"),
	    [CLASS] = row_text(row, "class"),
	    [REASON] = row_text(row, "reason"),
	    [RECORD] = row_text(row, "record"),
	    [MESSAGE] = row_text(row, "message"),
	    [HITS] = hits,
	    [CREATED] = time_text(row, "created_at", created),
	    [UNTIL] = time_text(row, "until_at", until),
	};

	(void)snprintf(
	    hits, sizeof hits, "%lld", (long long)row_int(row, "hits"));
	for (size_t i = 0; i < COLUMNS; i++) {
		if (i)
			(void)fputc(',', out);
		if (fields[i])
			write_field(out, fields[i]);
	}
	(void)fputc('\n', out);
}
