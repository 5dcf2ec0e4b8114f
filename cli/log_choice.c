/*
 * log_choice.c - which log records an operator asked for
 */
#include "cli/log_choice.h"

#include <sysexits.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/datetime.h"
#include "base/duration.h"
#include "base/str.h"
#include "cli/output.h"
#include "mail/queue_name.h"

/* ---- options ---- */

static bool read_type(const char *name, size_t len, struct log_choice *out)
{
	for (int i = 0; i < LOG_TYPE_COUNT; i++) {
		const char *known = log_type_name((enum log_type)i);

		if (strlen(known) == len && str_ncase_eq(known, name, len)) {
			out->types[i] = true;
			return true;
		}
	}
	return false;
}

static bool refuse_type(const struct cli *cli, const char *name, size_t len)
{
	struct buf known = BUF_INIT;

	for (int i = 0; i < LOG_TYPE_COUNT; i++)
		buf_addf(&known, "%s%s", i ? ", " : "",
		    log_type_name((enum log_type)i));
	(void)cli_fail(cli, EX_USAGE,
	    "--type: \"%.*s\" is no type of record; there are %s",
	    len < 40 ? (int)len : 40, name, buf_str(&known));
	buf_release(&known);
	return false;
}

static bool read_types(const struct cli *cli, struct log_choice *out)
{
	const char *p = cli->logs.types;

	out->any_type = !p;
	while (p) {
		size_t len = strcspn(p, ",");

		if (!read_type(p, len, out))
			return refuse_type(cli, p, len);
		p = p[len] ? p + len + 1 : NULL;
	}
	return true;
}

static bool read_limit(const struct cli *cli, const char *option,
    const char *text, bool end, int64_t *ms)
{
	struct err err = {0};

	if (!text || log_choice_time(text, clock_unix_ms(), end, ms, &err))
		return true;
	(void)cli_fail(cli, EX_USAGE, "--%s: %s", option, err.text);
	return false;
}

bool log_choice_read(const struct cli *cli, struct log_choice *out)
{
	const char *id = cli->selector.id;

	*out =
	    (struct log_choice){.until_ms = INT64_MAX, .what = &cli->selector};
	if (id && strlen(id) < 6) {
		(void)cli_fail(cli, EX_USAGE,
		    "--id: expected at least 6 digits of an id, got \"%s\"",
		    id);
		return false;
	}
	return read_types(cli, out) &&
	       read_limit(
		   cli, "since", cli->logs.since, false, &out->since_ms) &&
	       read_limit(cli, "until", cli->logs.until, true, &out->until_ms);
}

/* ---- times ---- */

/* Local time, with the parts that people leave out; *unit_ms: how long what was
 * named lasts. */
static bool parse_local(
    const char *text, int64_t now_ms, int64_t *ms, int64_t *unit_ms)
{
	static const struct {
		const char *form;
		int64_t unit_ms;
		bool date;
	} forms[] = {
	    {"%Y-%m-%d %H:%M:%S", 1000, true},
	    {"%Y-%m-%dT%H:%M:%S", 1000, true},
	    {"%Y-%m-%d %H:%M", 60000, true},
	    {"%Y-%m-%dT%H:%M", 60000, true},
	    {"%Y-%m-%d", 0, true},
	    {"%H:%M:%S", 1000, false},
	    {"%H:%M", 60000, false},
	};

	for (size_t i = 0; i < COUNT(forms); i++) {
		time_t now = (time_t)(now_ms / 1000), t;
		struct tm tm = {0}, next;
		const char *end;

		if (!forms[i].date && !localtime_r(&now, &tm))
			continue;
		tm.tm_sec = 0;
		end = strptime(text, forms[i].form, &tm);
		if (!end || *end)
			continue;
		tm.tm_isdst = -1;
		next = tm;
		t = mktime(&tm);
		if (t == (time_t)-1)
			return false;
		*ms = (int64_t)t * 1000;
		*unit_ms = forms[i].unit_ms;
		if (*unit_ms)
			return true;
		/* Days have 23 to 25 hours. */
		next.tm_mday++;
		*unit_ms = ((int64_t)mktime(&next) - t) * 1000;
		return true;
	}
	return false;
}

bool log_choice_time(
    const char *text, int64_t now_ms, bool end, int64_t *ms, struct err *err)
{
	struct duration ago;
	struct datetime t;
	int64_t unit_ms = 0;

	if (str_eq(text, "now")) {
		*ms = now_ms;
		return true;
	}
	if (duration_parse(text, &ago, NULL)) {
		*ms = now_ms - ago.ms;
		return true;
	}
	if (datetime_parse_rfc3339(text, &t, NULL)) {
		*ms = t.unix_seconds * 1000 + t.nanoseconds / 1000000;
		return true;
	}
	if (parse_local(text, now_ms, ms, &unit_ms)) {
		if (end)
			*ms += unit_ms - 1;
		return true;
	}
	return err_set(err, ERR_PERM,
	    "expected a time like \"10 mins\" (ago), \"2026-11-21\", "
	    "\"2026-11-21 03:24\" or \"03:24\", got \"%.40s\"",
	    text);
}

/* ---- records ---- */

size_t log_recipients(const struct value *record)
{
	const struct value *v = value_get(record, "recipient");

	if (!v)
		return 0;
	if (v->type == VALUE_LIST)
		return v->count;
	return v->type == VALUE_STRING;
}

const char *log_recipient(const struct value *record, size_t i)
{
	const struct value *v = value_get(record, "recipient");

	if (v->type == VALUE_LIST)
		v = &v->items[i];
	return v->type == VALUE_STRING ? v->s : "";
}

static bool type_wanted(const struct log_choice *c, const struct value *record)
{
	enum log_type type;

	return c->any_type ||
	       (log_type_parse(row_text(record, "type"), &type) &&
		   c->types[type]);
}

static bool recipient_wanted(
    const struct log_choice *c, const struct value *record)
{
	for (size_t i = 0; i < log_recipients(record); i++) {
		if (str_case_eq(log_recipient(record, i), c->what->recipient))
			return true;
	}
	return !c->what->recipient;
}

static bool text_wanted(
    const char *wanted, const struct value *record, const char *key)
{
	const char *text = row_text(record, key);

	return !wanted || (text && str_case_eq(text, wanted));
}

static bool id_wanted(const struct log_choice *c, const struct value *record)
{
	const char *id = row_text(record, "id");

	return !c->what->id ||
	       (id && str_ncase_eq(id, c->what->id, strlen(c->what->id)));
}

/* The queue's name has it; a record without one may have it as metadata. */
static bool tenant_wanted(
    const struct log_choice *c, const struct value *record)
{
	const char *queue = row_text(record, "queue"), *tenant = NULL;
	const struct value *meta = value_get(record, "meta");
	struct arena *arena;
	bool wanted;

	if (!c->what->tenant)
		return true;
	arena = arena_new(0);
	if (queue)
		tenant = queue_name_parse(queue, arena).tenant;
	if (!tenant && meta && meta->type == VALUE_MAP)
		tenant = row_text(meta, "tenant");
	wanted = str_eq(tenant, c->what->tenant);
	arena_unref(arena);
	return wanted;
}

bool log_choice_wants(
    const struct log_choice *c, const struct log_stream_line *line)
{
	const struct queue_selector *s = c->what;
	const struct value *record = line->record;

	if (line->ms < c->since_ms || line->ms > c->until_ms)
		return false;
	if (!record)
		return c->any_type && !s->id && !s->sender && !s->recipient &&
		       !s->queue && !s->tenant;
	return type_wanted(c, record) && id_wanted(c, record) &&
	       text_wanted(s->sender, record, "sender") &&
	       text_wanted(s->queue, record, "queue") &&
	       recipient_wanted(c, record) && tenant_wanted(c, record);
}
