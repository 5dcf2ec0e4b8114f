/*
 * address.c - an envelope address
 *
 *	path      = [ "<" ] [ route ] [ local [ "@" domain ] ] [ ">" ]
 *	route     = "@" domain *( "," "@" domain ) ":"
 *	local     = word *( "." word )     ; also empty words: a..b is in use
 *	word      = *atext / quoted
 *	quoted    = DQUOTE *( qtext / "\" any ) DQUOTE
 *	domain    = label *( "." label ) [ "." ] / "[" address "]"
 *
 * More liberal than RFC 5321, because the MTA in front of us has already
 * accepted it; what is refused could not be written into another SMTP
 * conversation.
 */
#include "mail/address.h"

#include <idn2.h>

#include "base/diag.h"
#include "base/ip.h"
#include "base/str.h"

#define LOCAL_MOST 512
#define DOMAIN_MOST 255
#define WHOLE_MOST 1024
#define LABEL_MOST 63

static bool refuse(
    struct err *err, const char *text, size_t len, const char *why)
{
	char quoted[120];

	return err_set(err, ERR_PERM, "invalid address \"%s\": %s",
	    diag_quote(quoted, sizeof quoted, text, len), why);
}

static bool is_atext(char c)
{
	unsigned char u = (unsigned char)c;

	return u >= 0x80 ||
	       (u > ' ' && u < 0x7f && !strchr("()<>[]:;@\\,\"", c));
}

static bool has_control(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			return true;
	return false;
}

/* The end of a quoted string that begins at p, NULL when it has none. */
static const char *skip_quoted(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && ++p == end)
			return NULL;
	}
	return NULL;
}

/* The end of the local part; NULL when a quoted string does not end. */
static const char *skip_local(const char *p, const char *end)
{
	bool word_begins = true;

	while (p < end) {
		if (*p == '"' && word_begins) {
			p = skip_quoted(p, end);
			if (!p)
				return NULL;
			if (p < end && *p != '.')
				return p;
			continue;
		}
		if (!is_atext(*p))
			return p;
		word_begins = *p == '.';
		p++;
	}
	return p;
}

static char *unquote(const char *p, const char *end, struct arena *arena)
{
	char *user = arena_strndup(arena, p, (size_t)(end - p)), *out = user;

	for (; p < end; p++) {
		if (*p == '"')
			continue;
		if (*p == '\\' && p + 1 < end)
			p++;
		*out++ = *p;
	}
	*out = '\0';
	return user;
}

static const char *skip_route(const char *p, const char *end)
{
	const char *colon;

	if (p == end || *p != '@')
		return p;
	colon = memchr(p, ':', (size_t)(end - p));
	if (!colon)
		return NULL;
	for (bool item_begins = true; p < colon; p++) {
		if (item_begins ? *p != '@' : !is_atext(*p) && *p != ',')
			return NULL;
		item_begins = *p == ',';
	}
	return colon + 1;
}

static bool is_literal(const char *s, size_t len)
{
	char text[IP_TEXT];
	struct ip_addr ip;
	bool v6 = len > 7 && str_ncase_eq(s + 1, "IPv6:", 5);
	size_t skip = v6 ? 6 : 1;

	if (len < skip + 2 || s[len - 1] != ']' || len - skip > sizeof text)
		return false;
	memcpy(text, s + skip, len - skip - 1);
	text[len - skip - 1] = '\0';
	return ip_parse(text, &ip) && v6 == (strchr(text, ':') != NULL);
}

static bool is_name(const char *s)
{
	size_t label = 0;

	if (strlen(s) > DOMAIN_MOST)
		return false;
	for (; *s; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') ||
			     (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || *s == '-' || *s == '_';

		if (*s == '.' ? label == 0 : !plain)
			return false;
		label = *s == '.' ? 0 : label + 1;
		if (label > LABEL_MOST)
			return false;
	}
	return label > 0;
}

/* A-labels, letter case of ASCII names kept.  NULL and *why when refused. */
static const char *name_to_ascii(
    const char *name, size_t len, struct arena *arena, const char **why)
{
	char *text, *ascii = NULL;
	const char *result;
	int rc;

	if (len > 1 && name[len - 1] == '.')
		len--;
	text = arena_strndup(arena, name, len);
	if (!str_is_ascii(text, len)) {
		rc = idn2_lookup_u8((const uint8_t *)text, (uint8_t **)&ascii,
		    IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
		if (rc != IDN2_OK) {
			*why = idn2_strerror(rc);
			return NULL;
		}
		text = arena_strdup(arena, ascii);
		idn2_free(ascii);
	}
	result = is_name(text) ? text : NULL;
	if (!result)
		*why = "that is no domain name";
	return result;
}

static void set_bare(
    const char *p, size_t len, struct arena *arena, struct address *out)
{
	out->local = arena_strndup(arena, p, len);
	out->user = "postmaster";
	out->domain = "";
	out->email = "Postmaster";
}

bool address_parse(const char *text, size_t len, struct arena *arena,
    struct address *out, struct err *err)
{
	const char *p = text, *end = text + len, *local_end, *why = NULL;

	*out = (struct address){"", "", "", ""};
	if (len > WHOLE_MOST)
		return refuse(err, text, len, "too long");
	if (has_control(text, len))
		return refuse(err, text, len, "it has control characters");
	if (!str_is_utf8(text, len))
		return refuse(err, text, len, "it is not UTF-8");
	while (p < end && *p == ' ')
		p++;
	while (end > p && end[-1] == ' ')
		end--;
	if (p < end && *p == '<') {
		if (end[-1] != '>' || end - p < 2)
			return refuse(err, text, len, "\">\" is missing");
		p++;
		end--;
	}
	if (p == end)
		return true;

	p = skip_route(p, end);
	if (!p)
		return refuse(err, text, len, "malformed source route");
	if (end - p == 10 && str_ncase_eq(p, "postmaster", 10)) {
		set_bare(p, 10, arena, out);
		return true;
	}

	local_end = skip_local(p, end);
	if (!local_end)
		return refuse(err, text, len, "a quote is not closed");
	if (local_end == p)
		return refuse(err, text, len, "the local part is missing");
	if (local_end - p > LOCAL_MOST)
		return refuse(err, text, len, "the local part is too long");
	out->local = arena_strndup(arena, p, (size_t)(local_end - p));
	out->user = unquote(p, local_end, arena);
	if (local_end == end) {
		out->email = out->local;
		return true;
	}
	if (*local_end != '@')
		return refuse(err, text, len, "unexpected characters");

	p = local_end + 1;
	if (p == end)
		return refuse(err, text, len, "the domain is missing");
	if (*p == '[' && is_literal(p, (size_t)(end - p)))
		out->domain = arena_strndup(arena, p, (size_t)(end - p));
	else if (*p == '[')
		return refuse(err, text, len, "malformed address literal");
	else
		out->domain = name_to_ascii(p, (size_t)(end - p), arena, &why);
	if (!out->domain)
		return refuse(err, text, len, why);
	out->email = arena_printf(arena, "%s@%s", out->local, out->domain);
	return true;
}

bool address_is_null(const struct address *a)
{
	return !a->email || !*a->email;
}

const char *address_domain_lower(const struct address *a, struct arena *arena)
{
	return str_lower(arena_strdup(arena, a->domain));
}

bool address_is_routed(const struct address *a)
{
	return strpbrk(a->user, "@%!") != NULL;
}

bool domain_to_ascii(
    const char *name, struct arena *arena, const char **out, struct err *err)
{
	const char *ascii, *why = NULL;
	char quoted[120];
	size_t len = strlen(name);

	/* Checked here: what comes from Lua may be anything. */
	if (len > WHOLE_MOST || has_control(name, len))
		why = "that is no domain name";
	ascii = why ? NULL : name_to_ascii(name, len, arena, &why);
	if (!ascii)
		return err_set(err, ERR_PERM, "invalid domain \"%s\": %s",
		    diag_quote(quoted, sizeof quoted, name, len), why);
	*out = str_lower(arena_strdup(arena, ascii));
	return true;
}
