/*
 * param_scalar.c - reading and printing single values
 *
 * A reader gets a value that is not NIL and either fills the field or says
 * `invalid type` (another sort of value) or `invalid value` (the right sort,
 * but it cannot be meant).  A printer is its inverse: what it returns would
 * read back into the same field.
 */
#include <inttypes.h>
#include <stdarg.h>

#include "base/diag.h"
#include "base/duration.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/str.h"
#include "policy/param_rows.h"
#include "policy/param_type.h"
#include "policy/rate.h"

/* So much of a value stands in an error. */
#define SHOWN 80

static void describe(char out[SHOWN + 24], const struct value *v)
{
	struct buf json = BUF_INIT;
	static const char *const sorts[] = {
	    [VALUE_NIL] = "",
	    [VALUE_BOOL] = "boolean ",
	    [VALUE_INT] = "integer ",
	    [VALUE_NUMBER] = "number ",
	    [VALUE_STRING] = "string ",
	    [VALUE_LIST] = "list ",
	    [VALUE_MAP] = "table ",
	};

	/* JSON has no infinity, and whoever wrote one should see it. */
	if (v->type == VALUE_NUMBER)
		buf_addf(&json, "%.14g", v->n);
	else if (v->type == VALUE_NIL)
		buf_addstr(&json, "nil");
	else
		json_write(&json, v);
	(void)snprintf(out, SHOWN + 24, "%s%.*s%s", sorts[v->type], SHOWN,
	    buf_str(&json), json.len > SHOWN ? "..." : "");
	buf_release(&json);
}

bool param_type_error(
    struct err *err, const struct value *v, const char *expected)
{
	char shown[SHOWN + 24];

	describe(shown, v);
	return err_set(
	    err, ERR_CONFIG, "invalid type: %s, expected %s", shown, expected);
}

bool param_value_error(
    struct err *err, const struct value *v, const char *fmt, ...)
{
	char shown[SHOWN + 24];
	char why[768];
	va_list ap;

	describe(shown, v);
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	return err_set(err, ERR_CONFIG, "invalid value: %s, %s", shown, why);
}

bool param_refused(struct err *err, const struct err *why)
{
	const char *text = why->text;

	if (str_starts(text, "invalid "))
		text += strlen("invalid ");
	return err_set(err, ERR_CONFIG, "invalid value: %s", text);
}

bool param_check_word(const char *key, const char *s, struct err *err)
{
	const char *at = s;
	char shown[SHOWN];

	if (!s)
		return true;
	while (*at > ' ' && *at < 127)
		at++;
	if (!*at && at != s)
		return true;
	return err_set(err, ERR_CONFIG,
	    "%s: invalid value: \"%s\", expected a name in ASCII", key,
	    diag_quote(shown, sizeof shown, s, strlen(s)));
}

bool param_is_empty_table(const struct value *v)
{
	return (v->type == VALUE_MAP || v->type == VALUE_LIST) && v->count == 0;
}

struct value param_text(struct arena *arena, const char *s)
{
	if (!s)
		return (struct value){.type = VALUE_NIL};
	return value_string(arena, s, strlen(s));
}

/* Text with a NUL inside would be taken for its beginning. */
bool param_plain_text(const struct value *v, struct err *err)
{
	if (v->type != VALUE_STRING)
		return param_type_error(err, v, "a string");
	if (memchr(v->s, '\0', v->len))
		return param_value_error(err, v, "it contains a NUL byte");
	return true;
}

void param_type_names(
    const struct param_enum_name *names, const char *between, struct buf *out)
{
	for (const struct param_enum_name *n = names; n->name; n++)
		buf_addf(out, "%s%s", n == names ? "" : between, n->name);
}

static bool not_one_of(
    const struct param_spec *spec, const struct value *v, struct err *err)
{
	struct buf names = BUF_INIT;

	param_type_names(spec->names, ", ", &names);
	(void)param_value_error(err, v, "expected one of %s", buf_str(&names));
	buf_release(&names);
	return false;
}

static bool read_string(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	if (!param_plain_text(v, err))
		return false;
	if (spec->names) {
		const struct param_enum_name *n = spec->names;

		while (n->name && !str_eq(n->name, v->s))
			n++;
		if (!n->name)
			return not_one_of(spec, v, err);
	}
	*(const char **)field = arena_strndup(arena, v->s, v->len);
	return true;
}

static struct value print_string(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	return param_text(arena, *(const char *const *)field);
}

static bool read_bool(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	if (v->type == VALUE_STRING)
		return param_value_error(err, v, "expected true or false");
	if (v->type != VALUE_BOOL)
		return param_type_error(err, v, "true or false");
	*(bool *)field = v->b;
	return true;
}

static struct value print_bool(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	return (struct value){.type = VALUE_BOOL, .b = *(const bool *)field};
}

/* A float with an integral value is as good as an integer. */
static bool whole_number(const struct value *v, int64_t *out, struct err *err)
{
	if (value_to_int(v, out))
		return true;
	if (v->type != VALUE_NUMBER)
		return param_type_error(err, v, "an integer");
	return param_value_error(err, v, "expected an integer");
}

void param_type_bounds(
    const struct param_spec *spec, int64_t *min, int64_t *max)
{
	bool none = spec->min == 0 && spec->max == 0;

	*min = spec->type == PARAM_LIMIT ? 1 : spec->min;
	*max = none ? INT64_MAX : spec->max;
}

static bool within(const struct param_spec *spec, int64_t n, struct err *err)
{
	int64_t min, max;

	param_type_bounds(spec, &min, &max);
	if (n >= min && n <= max)
		return true;
	if (max == INT64_MAX)
		return err_set(err, ERR_CONFIG,
		    "%" PRId64 " is less than %" PRId64, n, min);
	return err_set(err, ERR_CONFIG,
	    "%" PRId64 " is outside %" PRId64 "..%" PRId64, n, min, max);
}

static bool read_int(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	int64_t n = 0;

	if (!whole_number(v, &n, err) || !within(spec, n, err))
		return false;
	*(int64_t *)field = n;
	return true;
}

static struct value print_int(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	return (struct value){.type = VALUE_INT, .i = *(const int64_t *)field};
}

/*	limit = INTEGER / [ "local:" ] 1*( DIGIT / "," / "_" )	*/
static bool read_limit(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	int64_t n = 0;
	const char *s;

	if (v->type != VALUE_STRING)
		return read_int(spec, v, field, arena, err);
	s = str_starts(v->s, "local:") ? v->s + 6 : v->s;
	if (*s < '0' || *s > '9')
		return param_value_error(err, v, "expected a whole number");
	for (; s < v->s + v->len; s++) {
		if (*s == ',' || *s == '_')
			continue;
		if (*s < '0' || *s > '9' || n > (INT64_MAX - 9) / 10)
			return param_value_error(
			    err, v, "expected a whole number");
		n = n * 10 + (*s - '0');
	}
	if (!within(spec, n, err))
		return false;
	*(int64_t *)field = n;
	return true;
}

static bool read_duration(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	struct err why = {0};
	bool ok;

	if (v->type == VALUE_INT)
		ok = duration_from_seconds((double)v->i, field, &why);
	else if (v->type == VALUE_NUMBER)
		ok = duration_from_seconds(v->n, field, &why);
	else if (v->type != VALUE_STRING)
		return param_type_error(
		    err, v, "a duration such as \"5 mins\", or seconds");
	else if (!param_plain_text(v, err))
		return false;
	else
		ok = duration_parse(v->s, field, &why);
	return ok || param_refused(err, &why);
}

static struct value print_duration(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	char text[128];

	return param_text(
	    arena, duration_print(text, *(const struct duration *)field));
}

static bool read_rate(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	struct rate *rate = ARENA_NEW(arena, struct rate);
	struct err why = {0};

	if (v->type != VALUE_STRING)
		return param_type_error(err, v, "a rate such as \"100/s\"");
	if (!param_plain_text(v, err))
		return false;
	if (!rate_parse(v->s, rate, &why))
		return param_refused(err, &why);
	*(const struct rate **)field = rate;
	return true;
}

static struct value print_rate(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct rate *rate = *(const struct rate *const *)field;
	char text[96];

	return param_text(arena, rate ? rate_print(text, rate) : NULL);
}

static bool read_address(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	struct ip_addr *ip = ARENA_NEW(arena, struct ip_addr);

	if (!param_plain_text(v, err))
		return false;
	if (!ip_parse(v->s, ip))
		return param_value_error(err, v, "expected an IP address");
	*(const struct ip_addr **)field = ip;
	return true;
}

static struct value print_address(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct ip_addr *ip = *(const struct ip_addr *const *)field;
	char text[IP_TEXT];

	return param_text(arena, ip ? ip_print(text, ip) : NULL);
}

static bool read_endpoint(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	struct endpoint *endpoint = ARENA_NEW(arena, struct endpoint);
	struct err why = {0};

	if (!param_plain_text(v, err))
		return false;
	if (!endpoint_parse(v->s, arena, endpoint, &why))
		return param_refused(err, &why);
	*(const struct endpoint **)field = endpoint;
	return true;
}

static struct value print_endpoint(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	const struct endpoint *endpoint =
	    *(const struct endpoint *const *)field;
	char text[ENDPOINT_TEXT];

	if (!endpoint)
		return param_text(arena, NULL);
	if (endpoint->path)
		return param_text(arena, endpoint->path);
	if (endpoint->ip.family)
		return param_text(
		    arena, ip_port_print(text, &endpoint->ip, endpoint->port));
	return param_text(arena,
	    arena_printf(arena, "%s:%u", endpoint->host, endpoint->port));
}

static bool read_enum(const struct param_spec *spec, const struct value *v,
    void *field, struct arena *arena, struct err *err)
{
	if (!param_plain_text(v, err))
		return false;
	for (const struct param_enum_name *n = spec->names; n->name; n++) {
		if (str_eq(n->name, v->s)) {
			*(int *)field = n->value;
			return true;
		}
	}
	return not_one_of(spec, v, err);
}

static struct value print_enum(
    const struct param_spec *spec, const void *field, struct arena *arena)
{
	for (const struct param_enum_name *n = spec->names; n->name; n++)
		if (n->value == *(const int *)field)
			return param_text(arena, n->name);
	return param_text(arena, NULL);
}

const struct param_type_row param_type_string = {
    "TEXT", read_string, print_string};
const struct param_type_row param_type_bool = {
    "true | false", read_bool, print_bool};
const struct param_type_row param_type_int = {"NUMBER", read_int, print_int};
const struct param_type_row param_type_limit = {
    "NUMBER", read_limit, print_int};
const struct param_type_row param_type_duration = {
    "DURATION", read_duration, print_duration};
const struct param_type_row param_type_rate = {"RATE", read_rate, print_rate};
const struct param_type_row param_type_address = {
    "ADDRESS", read_address, print_address};
const struct param_type_row param_type_endpoint = {
    "ADDRESS:PORT", read_endpoint, print_endpoint};
const struct param_type_row param_type_enum = {NULL, read_enum, print_enum};
