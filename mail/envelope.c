/*
 * envelope.c - what the client said besides the content
 *
 *	arg     = keyword [ "=" value ]
 *	xtext   = *( xchar / "+" 2HEXDIG )     ; RFC 3461, 4
 *	NOTIFY  = "NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )
 *	ORCPT   = type ";" xtext
 */
#include "mail/envelope.h"

#include "base/str.h"

#define ENVID_MOST 100 /* RFC 3461, 4.4 */
#define ORCPT_MOST 500 /* RFC 3461, 4.2 */
#define AUTH_MOST 500  /* RFC 4954, 5 */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') ||
	       (c >= 'a' && c <= 'f');
}

/* UTF-8 may stand in it too: RFC 6533, 3. */
static bool is_xtext(const char *s)
{
	if (!str_is_utf8(s, strlen(s)))
		return false;
	for (; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '=')
			return false;
		if (*s == '+') {
			if (!is_hex(s[1]) || !is_hex(s[2]))
				return false;
			s += 2;
		}
	}
	return true;
}

/* The one of `known` that value is, in capitals; NULL: none. */
static const char *one_of(const char *value, const char *const *known)
{
	for (; *known; known++)
		if (str_case_eq(value, *known))
			return *known;
	return NULL;
}

static const char *short_xtext(
    const char *value, size_t most, struct arena *arena)
{
	if (!*value || strlen(value) > most || !is_xtext(value))
		return NULL;
	return arena_strdup(arena, value);
}

/* Cuts arg at its '='; *value is "" when there is none. */
static const char *split_arg(
    const char *arg, struct arena *arena, const char **value)
{
	char *keyword = arena_strdup(arena, arg), *equals;

	equals = strchr(keyword, '=');
	*value = equals ? equals + 1 : "";
	if (equals)
		*equals = '\0';
	return keyword;
}

/* Up to 20 digits (RFC 1870, 4): what does not fit is larger than anything. */
static int64_t read_size(const char *value)
{
	int64_t size;

	if (!*value || value[strspn(value, "0123456789")])
		return -1;
	return str_to_int(value, &size) ? size : INT64_MAX;
}

void envelope_sender_args(
    struct envelope_sender *s, char **args, struct arena *arena)
{
	static const char *const bodies[] = {"7BIT", "8BITMIME", NULL};
	static const char *const rets[] = {"FULL", "HDRS", NULL};
	const char *key, *v;

	s->body = s->ret = s->envid = s->auth = NULL;
	s->smtputf8 = false;
	s->size = -1;
	for (; args && *args; args++) {
		key = split_arg(*args, arena, &v);
		if (str_case_eq(key, "BODY"))
			s->body = one_of(v, bodies);
		else if (str_case_eq(key, "SMTPUTF8"))
			s->smtputf8 = *v == '\0';
		else if (str_case_eq(key, "RET"))
			s->ret = one_of(v, rets);
		else if (str_case_eq(key, "ENVID"))
			s->envid = short_xtext(v, ENVID_MOST, arena);
		else if (str_case_eq(key, "AUTH"))
			s->auth = short_xtext(v, AUTH_MOST, arena);
		else if (str_case_eq(key, "SIZE"))
			s->size = read_size(v);
	}
}

static const char *parse_notify(const char *value, struct arena *arena)
{
	static const char *const known[] = {
	    "SUCCESS", "FAILURE", "DELAY", NULL};
	char *copy = arena_strdup(arena, value), *save = NULL, *one;
	const char *list = NULL, *word;

	if (str_case_eq(value, "NEVER"))
		return "NEVER";
	for (one = strtok_r(copy, ",", &save); one;
	     one = strtok_r(NULL, ",", &save)) {
		word = one_of(one, known);
		if (!word)
			return NULL;
		list = list ? arena_printf(arena, "%s,%s", list, word) : word;
	}
	return list;
}

static bool is_orcpt(const char *value)
{
	const char *semicolon = strchr(value, ';');

	if (!semicolon || semicolon == value || !semicolon[1] ||
	    strlen(value) > ORCPT_MOST)
		return false;
	for (const char *p = value; p < semicolon; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			(*p >= '0' && *p <= '9') || *p == '-'))
			return false;
	return is_xtext(semicolon + 1);
}

void envelope_recipient_args(
    struct envelope_recipient *r, char **args, struct arena *arena)
{
	const char *key, *v;

	r->notify = r->orcpt = NULL;
	for (; args && *args; args++) {
		key = split_arg(*args, arena, &v);
		if (str_case_eq(key, "NOTIFY"))
			r->notify = parse_notify(v, arena);
		else if (str_case_eq(key, "ORCPT"))
			r->orcpt = is_orcpt(v) ? arena_strdup(arena, v) : NULL;
	}
}
