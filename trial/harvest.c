/*
 * harvest.c - the names and addresses that a policy speaks of
 *
 *	Lua	short strings in either quotes, long brackets, comments skipped;
 *		identifiers are words
 *	data	words between white space, quotes, brackets, commas, '='
 */
#include "trial/harvest.h"

#include <ctype.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/str.h"

#define MOST_DOMAINS 200
#define MOST_WORDS 400
#define MOST_BLOCKS 200
#define MOST_FILES 64
#define MOST_FILE (4 << 20)
#define WORD_MAX 253

/* ---- keeping ---- */

static void add_word(
    struct harvest *h, struct words *list, size_t most, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (str_eq(list->items[i], word))
			return;
	if (list->count < most)
		*ARRAY_ADD(list) = arena_strdup(h->arena, word);
}

void harvest_add_block(struct harvest *h, const struct cidr *block)
{
	for (size_t i = 0; i < h->blocks.count; i++)
		if (h->blocks.items[i].len == block->len &&
		    ip_eq(&h->blocks.items[i].ip, &block->ip))
			return;
	if (h->blocks.count < MOST_BLOCKS)
		*ARRAY_ADD(&h->blocks) = *block;
}

bool harvest_has_domain(const struct harvest *h, const char *domain)
{
	for (size_t i = 0; i < h->domains.count; i++)
		if (str_case_eq(h->domains.items[i], domain))
			return true;
	return false;
}

/* ---- what is it? ---- */

/* Labels of letters, digits and hyphens, the last one without a digit. */
static bool is_domain(const char *s)
{
	size_t label = 0, dots = 0;
	bool digit = false;

	if (strlen(s) > WORD_MAX)
		return false;
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '.') {
			if (!label)
				return false;
			dots++;
			label = 0;
			digit = false;
			continue;
		}
		if (!isalnum(c) && c != '-' && c < 0x80)
			return false;
		digit = digit || isdigit(c);
		label++;
	}
	return dots > 0 && label > 1 && !digit;
}

static bool take_block(struct harvest *h, const char *word)
{
	struct cidr block;
	struct err err;

	if (!isxdigit((unsigned char)*word) && *word != ':')
		return false;
	if (!cidr_parse(word, &block, &err))
		return false;
	/* "0.0.0.0", where something listens, is nobody's address. */
	if (!ip_is_any(&block.ip) || block.len == 0)
		harvest_add_block(h, &block);
	return true;
}

/* "10.0.0.1:25", "[::1]:25", "[::1]" */
static bool take_endpoint(struct harvest *h, const char *word)
{
	struct cidr block;
	uint16_t port;

	if (!ip_port_parse(word, &block.ip, &port))
		return false;
	block.len = block.ip.family == AF_INET6 ? 128 : 32;
	if (!ip_is_any(&block.ip))
		harvest_add_block(h, &block);
	return true;
}

/* "%." is ".", "^", "$" and "*" are not there, a leading dot is "x.". */
static void without_pattern(const char *word, char *out, size_t size)
{
	size_t n = 0;

	for (const char *p = word; *p && n + 3 < size; p++) {
		if (*p == '%' && p[1] && ispunct((unsigned char)p[1]))
			p++;
		else if (*p == '^' || *p == '$' || *p == '*' || *p == '+')
			continue;
		if (n == 0 && *p == '.')
			out[n++] = 'x';
		out[n++] = *p;
	}
	out[n] = '\0';
}

static void take_word(struct harvest *h, const char *word)
{
	char plain[WORD_MAX + 4];
	const char *at;

	if (!*word || strlen(word) > WORD_MAX || take_block(h, word) ||
	    take_endpoint(h, word))
		return;
	add_word(h, &h->words, MOST_WORDS, word);
	without_pattern(word, plain, sizeof plain);
	at = strrchr(plain, '@');
	(void)str_lower(plain);
	if (is_domain(at ? at + 1 : plain))
		add_word(h, &h->domains, MOST_DOMAINS, at ? at + 1 : plain);
}

/* ---- reading ---- */

static const char separators[] = " \t\r\n\f\"'`,;=(){}<>|";

static void take_words(struct harvest *h, const char *text)
{
	struct buf word = BUF_INIT;

	while (*text) {
		size_t n;

		text += strspn(text, separators);
		n = strcspn(text, separators);
		buf_reset(&word);
		buf_add(&word, text, n);
		text += n;
		/* [via.'10.0.0.1'] of TOML, "key": of JSON and YAML */
		while (word.len && strchr("[].:", word.data[word.len - 1]) &&
		       !strchr(buf_str(&word), '/'))
			word.data[--word.len] = '\0';
		n = strspn(buf_str(&word), "[");
		if (word.len > n)
			take_word(h, buf_str(&word) + n);
	}
	buf_release(&word);
}

/* p is behind "[" of a long bracket with `level` equal signs; what it holds. */
static const char *take_long(
    struct harvest *h, const char *p, size_t level, bool is_comment)
{
	struct buf text = BUF_INIT;

	for (; *p; p++) {
		if (*p == ']' && strspn(p + 1, "=") == level &&
		    p[1 + level] == ']') {
			p += level + 2;
			break;
		}
		buf_addch(&text, *p);
	}
	if (!is_comment)
		take_words(h, buf_str(&text));
	buf_release(&text);
	return p;
}

/* NULL: no long bracket begins here. */
static const char *long_bracket(
    struct harvest *h, const char *p, bool is_comment)
{
	size_t level;

	if (*p != '[')
		return NULL;
	level = strspn(p + 1, "=");
	if (p[1 + level] != '[')
		return NULL;
	return take_long(h, p + level + 2, level, is_comment);
}

static const char *take_string(struct harvest *h, const char *p)
{
	struct buf text = BUF_INIT;
	char quote = *p++;

	for (; *p && *p != quote && *p != '\n'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_addch(&text, *p);
	}
	/* A word of its own, or several in a sentence. */
	if (strpbrk(buf_str(&text), separators))
		take_words(h, buf_str(&text));
	else
		take_word(h, buf_str(&text));
	buf_release(&text);
	return *p == quote ? p + 1 : p;
}

static const char *take_identifier(struct harvest *h, const char *p)
{
	struct buf name = BUF_INIT;

	while (isalnum((unsigned char)*p) || *p == '_')
		buf_addch(&name, *p++);
	add_word(h, &h->words, MOST_WORDS, buf_str(&name));
	buf_release(&name);
	return p;
}

static void take_lua(struct harvest *h, const char *p)
{
	while (*p) {
		const char *after;

		if (p[0] == '-' && p[1] == '-') {
			after = long_bracket(h, p + 2, true);
			p = after ? after : p + strcspn(p, "\n");
			continue;
		}
		after = long_bracket(h, p, false);
		if (after)
			p = after;
		else if (*p == '"' || *p == '\'')
			p = take_string(h, p);
		else if (isalpha((unsigned char)*p) || *p == '_')
			p = take_identifier(h, p);
		else
			p++;
	}
}

void harvest_text(struct harvest *h, const char *text, bool is_lua)
{
	if (!h->arena)
		h->arena = arena_new(0);
	if (is_lua)
		take_lua(h, text);
	else
		take_words(h, text);
}

/* ---- files ---- */

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       st.st_size <= MOST_FILE;
}

static bool read_file(struct harvest *h, const char *path, struct err *err)
{
	size_t len;
	char *text = fd_read_file(path, MOST_FILE, &len, err);

	if (!text)
		return false;
	harvest_text(h, text, str_ends(path, ".lua"));
	free(text);
	return true;
}

static void want_file(struct harvest *h, const char *path)
{
	if (is_file(path))
		add_word(h, &h->files, MOST_FILES, path);
}

/* A word may be a data file, or a module beside the policy. */
static void follow(struct harvest *h, const char *dir, const char *word)
{
	static const char *const kinds[] = {
	    ".toml", ".json", ".yaml", ".yml", ".lua", ".csv", ".txt"};
	char *module;

	for (size_t i = 0; i < COUNT(kinds); i++)
		if (str_ends(word, kinds[i]))
			want_file(h, *word == '/' ? word
						  : arena_printf(h->arena,
							"%s/%s", dir, word));
	if (strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "0123456789_.-") != strlen(word))
		return;
	module = arena_strdup(h->arena, word);
	for (char *p = module; *p; p++)
		if (*p == '.')
			*p = '/';
	want_file(h, arena_printf(h->arena, "%s/%s.lua", dir, module));
	want_file(h, arena_printf(h->arena, "%s/%s/init.lua", dir, module));
}

bool harvest_policy(struct harvest *h, const char *path, struct err *err)
{
	char dir[4096];
	size_t followed = 0;
	struct err ignored;

	if (!h->arena)
		h->arena = arena_new(0);
	if (!path_dir(dir, sizeof dir, path, err) || !read_file(h, path, err))
		return false;
	add_word(h, &h->files, MOST_FILES, path);
	for (size_t next = 1;; next++) {
		for (; followed < h->words.count; followed++)
			follow(h, dir, h->words.items[followed]);
		if (next >= h->files.count)
			return true;
		/* The policy may cope without it; so do we. */
		(void)read_file(h, h->files.items[next], &ignored);
	}
}

void harvest_release(struct harvest *h)
{
	ARRAY_FREE(&h->domains);
	ARRAY_FREE(&h->words);
	ARRAY_FREE(&h->blocks);
	ARRAY_FREE(&h->files);
	arena_unref(h->arena);
	*h = (struct harvest){0};
}
