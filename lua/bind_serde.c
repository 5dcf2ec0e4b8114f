/*
 * bind_serde.c - kumo.serde: JSON, TOML and YAML from and to values
 */
#include "base/fd.h"
#include "base/json.h"
#include "base/str.h"
#include "base/toml.h"
#include "base/yaml.h"
#include "lua/bind.h"
#include "lua/script_value.h"

#define MOST_FILE (64 << 20)

/* Blanks out //, # and C comments, outside of strings. */
static void strip_comments(char *text, size_t len)
{
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char next = i + 1 < len ? text[i + 1] : '\0';

		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '#' || (text[i] == '/' && next == '/')) {
			while (i < len && text[i] != '\n')
				text[i++] = ' ';
		} else if (text[i] == '/' && next == '*') {
			text[i++] = ' ';
			text[i++] = ' ';
			while (i < len && (text[i] != '*' || i + 1 == len ||
					      text[i + 1] != '/')) {
				if (text[i] != '\n')
					text[i] = ' ';
				i++;
			}
			if (i < len)
				text[i++] = ' ';
			if (i < len)
				text[i] = ' ';
		}
	}
}

static bool json_with_comments(const char *text, size_t len,
    struct arena *arena, struct value *out, struct err *err)
{
	char *copy = arena_strndup(arena, text, len);

	strip_comments(copy, len);
	return json_parse(copy, len, arena, out, err);
}

typedef bool parse_fn(const char *text, size_t len, struct arena *arena,
    struct value *out, struct err *err);

#define VALUE_BYTES 150 /* of a value: ours and the library's */

/* More than what it says can take.  A text beyond the limit is refused before
 * it is read: reading ends neither at the limit nor at the deadline. */
static size_t most_memory(const char *text, size_t len)
{
	size_t values = 1;

	for (size_t i = 0; i < len; i++)
		values += text[i] == ',' || text[i] == '\n' || text[i] == '[' ||
			  text[i] == '{' || text[i] == '=';
	return values * VALUE_BYTES + 2 * len;
}

/* Pushes what `text` says; `what` goes in front of an error. */
static int parse(lua_State *L, parse_fn *read, const char *what,
    const char *text, size_t len)
{
	struct arena *arena = script_box_arena(L);
	struct value value;
	struct err err = {0};
	size_t charged = most_memory(text, len);

	script_charge(L, charged);
	script_uncharge(L, charged);
	if (!read(text, len, arena, &value, &err))
		return luaL_error(L, "%s: %s", what, err.text);
	script_value_push(L, &value);
	return 1;
}

static int parse_arg(lua_State *L, parse_fn *read, const char *what)
{
	size_t len;
	const char *text = luaL_checklstring(L, 1, &len);

	return parse(L, read, what, text, len);
}

/* The file at 1. */
static int load(lua_State *L, parse_fn *read)
{
	const char *path = luaL_checkstring(L, 1);
	struct buf *text;
	struct err err = {0};
	size_t len;
	char *bytes;

	script_check_file(L, path);
	text = script_box_buf(L);
	bytes = fd_read_file(path, MOST_FILE, &len, &err);
	if (!bytes)
		script_raise(L, &err);
	buf_add(text, bytes, len);
	free(bytes);
	parse(L, read, path, buf_str(text), text->len);
	buf_release(text); /* do not wait for the collector */
	return 1;
}

static int l_json_parse(lua_State *L)
{
	return parse_arg(L, json_with_comments, "json_parse");
}

static int l_json_load(lua_State *L)
{
	return load(L, json_with_comments);
}

static int l_toml_parse(lua_State *L)
{
	return parse_arg(L, toml_parse, "toml_parse");
}

static int l_toml_load(lua_State *L)
{
	return load(L, toml_parse);
}

static int l_yaml_parse(lua_State *L)
{
	return parse_arg(L, yaml_parse, "yaml_parse");
}

static int l_yaml_load(lua_State *L)
{
	return load(L, yaml_parse);
}

/* ---- writing ---- */

static void indent(struct buf *out, int depth)
{
	buf_addch(out, '\n');
	for (int i = 0; i < depth; i++)
		buf_addstr(out, "  ");
}

static void write_pretty(struct buf *out, const struct value *v, int depth)
{
	bool is_list = v->type == VALUE_LIST;

	if ((!is_list && v->type != VALUE_MAP) || v->count == 0) {
		json_write(out, v);
		return;
	}
	buf_addch(out, is_list ? '[' : '{');
	for (size_t i = 0; i < v->count; i++) {
		if (i > 0)
			buf_addch(out, ',');
		indent(out, depth + 1);
		if (is_list) {
			write_pretty(out, &v->items[i], depth + 1);
			continue;
		}
		json_write_string(
		    out, v->entries[i].key, strlen(v->entries[i].key));
		buf_addstr(out, ": ");
		write_pretty(out, &v->entries[i].value, depth + 1);
	}
	indent(out, depth);
	buf_addch(out, is_list ? ']' : '}');
}

static bool json_compact(
    struct buf *out, const struct value *v, struct err *err)
{
	json_write(out, v);
	return true;
}

static bool json_pretty(struct buf *out, const struct value *v, struct err *err)
{
	write_pretty(out, v, 0);
	return true;
}

static bool toml_compact(
    struct buf *out, const struct value *v, struct err *err)
{
	return toml_write(out, v, false, err);
}

static bool toml_pretty(struct buf *out, const struct value *v, struct err *err)
{
	return toml_write(out, v, true, err);
}

static bool yaml_block(struct buf *out, const struct value *v, struct err *err)
{
	yaml_write(out, v);
	return true;
}

static int encode(lua_State *L, const char *what,
    bool (*write)(struct buf *, const struct value *, struct err *))
{
	struct arena *arena;
	struct buf *out;
	struct value value;
	struct err err = {0};

	luaL_checkany(L, 1);
	lua_settop(L, 1);
	arena = script_box_arena(L);
	out = script_box_buf(L);
	if (!script_value_read(L, 1, arena, &value, &err) ||
	    !write(out, &value, &err))
		return luaL_error(L, "%s: %s", what, err.text);
	lua_pushlstring(L, buf_str(out), out->len);
	buf_release(out);
	return 1;
}

static int l_json_encode(lua_State *L)
{
	return encode(L, "json_encode", json_compact);
}

static int l_json_encode_pretty(lua_State *L)
{
	return encode(L, "json_encode_pretty", json_pretty);
}

static int l_toml_encode(lua_State *L)
{
	return encode(L, "toml_encode", toml_compact);
}

static int l_toml_encode_pretty(lua_State *L)
{
	return encode(L, "toml_encode_pretty", toml_pretty);
}

static int l_yaml_encode(lua_State *L)
{
	return encode(L, "yaml_encode", yaml_block);
}

static const luaL_Reg functions[] = {
    /* (path): the file's value; comments allowed */
    {"json_load", l_json_load},
    /* (text): its value */
    {"json_parse", l_json_parse},
    /* (value): one line */
    {"json_encode", l_json_encode},
    /* (value): indented, keys sorted */
    {"json_encode_pretty", l_json_encode_pretty},
    /* (path): the file's table */
    {"toml_load", l_toml_load},
    /* (text): its table */
    {"toml_parse", l_toml_parse},
    /* (table): text */
    {"toml_encode", l_toml_encode},
    /* (table): text, long lists over lines */
    {"toml_encode_pretty", l_toml_encode_pretty},
    {NULL, NULL},
};

static const luaL_Reg new_functions[] = {
    /* (path): the value of the file's first document */
    {"yaml_load", l_yaml_load},
    /* (text): the value of its first document */
    {"yaml_parse", l_yaml_parse},
    /* (value): text */
    {"yaml_encode", l_yaml_encode},
    {NULL, NULL},
};

void bind_serde_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0); /* the old names */
	luaL_getsubtable(L, -1, "serde");
	luaL_setfuncs(L, functions, 0);
	luaL_setfuncs(L, new_functions, 0);
	lua_pop(L, 1);
}
