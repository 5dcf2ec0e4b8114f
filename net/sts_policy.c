/*
 * sts_policy.c - what a domain says about TLS to its mail hosts
 *
 *	policy = *( key ":" value ( CRLF / LF ) )	; RFC 8461, 3.2
 *	record = "v=STSv1" *( ";" key "=" value ) [ ";" ]	; RFC 8461, 3.1
 *
 * Unknown keys are skipped; of a key that may stand once the first counts.
 */
#include "net/sts_policy.h"

#include "base/arena.h"
#include "base/str.h"

#define MOST_PATTERNS 200
#define MOST_AGE 31557600 /* a year: RFC 8461, 3.2 */

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* [*p, *end) without the blanks around it. */
static void trim(const char **p, const char **end)
{
	while (*p < *end && is_space(**p))
		(*p)++;
	while (*p < *end && is_space((*end)[-1]))
		(*end)--;
}

static bool is_word(const char *p, const char *end, const char *word)
{
	return (size_t)(end - p) == strlen(word) &&
	       memcmp(p, word, strlen(word)) == 0;
}

static bool is_host(const char *p, const char *end)
{
	if (end - p > 2 && p[0] == '*' && p[1] == '.')
		p += 2;
	if (p == end || end - p > 253)
		return false;
	for (const char *c = p; c < end; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= 'A' && *c <= 'Z') &&
		    !(*c >= '0' && *c <= '9') && *c != '-' && *c != '.' &&
		    *c != '_')
			return false;
	return true;
}

struct reading {
	struct sts_policy *policy;
	const char **patterns;
	bool version, mode, age;
};

static bool read_mode(struct reading *r, const char *p, const char *end)
{
	static const char *const names[] = {"none", "testing", "enforce"};

	for (size_t i = 0; i < COUNT(names); i++)
		if (is_word(p, end, names[i])) {
			r->policy->mode = (enum sts_mode)i;
			return true;
		}
	return false;
}

static bool read_age(struct reading *r, const char *p, const char *end)
{
	char digits[16];
	int64_t n;

	if (end - p < 1 || end - p > 10)
		return false;
	memcpy(digits, p, (size_t)(end - p));
	digits[end - p] = '\0';
	if (!str_to_int(digits, &n) || n < 0)
		return false;
	r->policy->max_age = n > MOST_AGE ? MOST_AGE : n;
	return true;
}

static bool read_pair(struct reading *r, const char *key, const char *key_end,
    const char *value, const char *end, struct arena *arena, struct err *err)
{
	if (is_word(key, key_end, "version")) {
		if (!r->version && !is_word(value, end, "STSv1"))
			return err_set(err, ERR_PERM, "its version is unknown");
		r->version = true;
	} else if (is_word(key, key_end, "mode") && !r->mode) {
		r->mode = read_mode(r, value, end);
		if (!r->mode)
			return err_set(err, ERR_PERM, "its mode is unknown");
	} else if (is_word(key, key_end, "max_age") && !r->age) {
		r->age = read_age(r, value, end);
		if (!r->age)
			return err_set(err, ERR_PERM, "its max_age is wrong");
	} else if (is_word(key, key_end, "mx")) {
		if (!is_host(value, end) || r->policy->count == MOST_PATTERNS)
			return err_set(err, ERR_PERM, "an mx of it is wrong");
		r->patterns[r->policy->count++] = str_lower(
		    arena_strndup(arena, value, (size_t)(end - value)));
	}
	return true;
}

bool sts_policy_parse(const char *text, size_t len, struct arena *arena,
    struct sts_policy *out, struct err *err)
{
	const char *p = text, *last = text + len;
	struct reading r = {.policy = out};

	*out = (struct sts_policy){0};
	if (len > STS_POLICY_MOST)
		return err_set(err, ERR_PERM, "it is too long");
	r.patterns = ARENA_ARRAY(arena, const char *, MOST_PATTERNS);
	out->patterns = r.patterns;
	while (p < last) {
		const char *end = memchr(p, '\n', (size_t)(last - p));
		const char *next = end ? end + 1 : last;
		const char *colon, *key_end, *value;

		end = end ? end : last;
		if (end > p && end[-1] == '\r')
			end--;
		trim(&p, &end);
		colon = p < end ? memchr(p, ':', (size_t)(end - p)) : NULL;
		if (p < end && !colon)
			return err_set(err, ERR_PERM, "a line has no colon");
		if (colon) {
			key_end = colon;
			value = colon + 1;
			trim(&p, &key_end);
			trim(&value, &end);
			if (!read_pair(&r, p, key_end, value, end, arena, err))
				return false;
		}
		p = next;
	}
	if (!r.version || !r.mode || !r.age)
		return err_set(
		    err, ERR_PERM, "version, mode or max_age is missing");
	if (out->mode != STS_NONE && !out->count)
		return err_set(err, ERR_PERM, "it names no mx");
	return true;
}

bool sts_policy_matches(const struct sts_policy *policy, const char *host)
{
	for (size_t i = 0; i < policy->count; i++) {
		const char *pattern = policy->patterns[i], *rest = host;

		if (pattern[0] == '*') {
			rest = strchr(host, '.');
			pattern++;
			if (!rest || rest == host)
				continue;
		}
		if (str_case_eq(pattern, rest))
			return true;
	}
	return false;
}

bool sts_record_parse(const char *text, size_t len, char id[STS_ID_MOST + 1])
{
	const char *p = text, *last = text + len;
	bool first = true, found = false;

	while (p < last) {
		const char *end = memchr(p, ';', (size_t)(last - p));
		const char *next = end ? end + 1 : last;

		end = end ? end : last;
		trim(&p, &end);
		if (first && !is_word(p, end, "v=STSv1"))
			return false;
		first = false;
		if (!found && end - p > 3 && memcmp(p, "id=", 3) == 0) {
			size_t n = (size_t)(end - p) - 3;

			if (n > STS_ID_MOST)
				return false;
			for (size_t i = 0; i < n; i++)
				if (!is_alnum(p[3 + i]))
					return false;
			memcpy(id, p + 3, n);
			id[n] = '\0';
			found = true;
		}
		p = next;
	}
	return found;
}
