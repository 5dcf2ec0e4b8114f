/*
 * bind_headers.c - the message object: header fields
 *
 * The header block is the prefix followed by the header of the content.  Fields
 * put in front go into the prefix; every other edit gives the message content
 * of its own, written in pieces, so that a large body is never in Lua's hands.
 */
#include <ctype.h>

#include "base/str.h"
#include "lua/bind.h"
#include "mail/header.h"

#define MOST_HEADER (4 << 20)
#define PIECE 65536

/* Prefix and header of the content, the empty line included. */
static const char *read_block(
    lua_State *L, const struct message *m, struct arena *arena, size_t *len)
{
	int64_t size = m->content ? content_facts(m->content)->header_size : 0;
	struct err err = {0};
	char *block;

	if (size > MOST_HEADER)
		luaL_error(
		    L, "the header is larger than %d bytes", MOST_HEADER);
	block = arena_alloc(arena, m->prefix.len + (size_t)size + 1);
	if (m->prefix.len > 0)
		memcpy(block, m->prefix.data, m->prefix.len);
	if (size > 0 && !content_read(m->content, 0, block + m->prefix.len,
			    (size_t)size, &err))
		script_raise(L, &err);
	*len = m->prefix.len + (size_t)size;
	return block;
}

/* `block` instead of prefix and header. */
static bool replace_block(
    struct message *m, const char *block, size_t len, struct err *err)
{
	/* In memory: it never spills, so the directory is not used. */
	struct content_builder *builder =
	    content_builder_new("/tmp", INT64_MAX);
	const struct content_facts *facts;
	struct content *content;
	char piece[PIECE];

	if (!m->content) {
		err_set(err, ERR_TEMP, "the message has no content here");
		goto failed;
	}
	facts = content_facts(m->content);
	if (!content_builder_add(builder, block, len, err))
		goto failed;
	for (int64_t at = facts->header_size; at < facts->size;) {
		int64_t left = facts->size - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;

		if (!content_read(m->content, at, piece, n, err) ||
		    !content_builder_add(builder, piece, n, err))
			goto failed;
		at += (int64_t)n;
	}
	content = content_builder_finish(builder, err);
	if (!content)
		return false;
	content_unref(m->content);
	m->content = content;
	buf_reset(&m->prefix);
	m->content_changed = true;
	return true;

failed:
	content_builder_free(builder);
	return false;
}

/* ---- adding ---- */

static const char *check_name(lua_State *L, int index)
{
	size_t len;
	const char *name = luaL_checklstring(L, index, &len);

	for (size_t i = 0; i < len; i++)
		luaL_argcheck(L,
		    name[i] > ' ' && name[i] < 0x7f && name[i] != ':', index,
		    "not the name of a header field");
	luaL_argcheck(
	    L, len > 0 && len <= 998, index, "not the name of a header field");
	return name;
}

/* The value at `index` with CRLF for its folds; a line break that would begin
 * a new field is refused. */
static struct buf *check_field(lua_State *L, int index)
{
	size_t len;
	const char *value = luaL_checklstring(L, index, &len);
	struct buf *out = script_box_buf(L);

	for (size_t i = 0; i < len; i++) {
		if (value[i] == '\0')
			luaL_argerror(L, index, "NUL in a header field");
		if (value[i] == '\r' && value[i + 1] == '\n')
			continue;
		if (value[i] != '\n') {
			if (value[i] == '\r')
				luaL_argerror(L, index, "CR in a header field");
			buf_addch(out, value[i]);
			continue;
		}
		if (value[i + 1] != ' ' && value[i + 1] != '\t')
			luaL_argerror(L, index,
			    "a line break must be followed by a space or tab");
		buf_addstr(out, "\r\n");
	}
	return out;
}

/* The value at 3, encoded when the argument at 4 says so. */
static struct buf *check_value(lua_State *L, const char *name)
{
	struct err err = {0};
	const char *text;
	struct buf *out;
	size_t len;

	if (!lua_toboolean(L, 4))
		return check_field(L, 3);
	text = luaL_checklstring(L, 3, &len);
	out = script_box_buf(L);
	if (!header_encode(name, text, len, out, &err))
		script_raise(L, &err);
	return out;
}

static int l_prepend_header(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	const char *name = check_name(L, 2);

	message_prepend_header(m, name, buf_str(check_value(L, name)));
	return 0;
}

/* Where the empty line of the block begins; false: there is none. */
static bool find_separator(const char *block, size_t len, size_t *at)
{
	if (len < 2 || memcmp(block + len - 2, "\r\n", 2) != 0)
		return false;
	*at = len - 2;
	return *at == 0 ||
	       (*at >= 2 && memcmp(block + *at - 2, "\r\n", 2) == 0);
}

static int l_append_header(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	const char *name = check_name(L, 2), *block;
	struct buf *value, *out;
	struct arena *scratch;
	struct err err = {0};
	size_t len, at;

	value = check_value(L, name);
	scratch = script_box_arena(L);
	out = script_box_buf(L);
	block = read_block(L, m, scratch, &len);
	if (!find_separator(block, len, &at))
		return luaL_error(L,
		    "append_header: the message has no empty line after its "
		    "header");
	buf_add(out, block, at);
	buf_addf(out, "%s: %s\r\n", name, buf_str(value));
	buf_add(out, block + at, len - at);
	if (!replace_block(m, out->data, out->len, &err))
		script_raise(L, &err);
	return 0;
}

/* ---- reading ---- */

/* The first field of that name of the message at 1, with a box for what is made
 * of it on the stack. */
static bool first_named(lua_State *L, const char *name,
    struct header_field *field, struct arena **scratch)
{
	struct message *m = script_message_check(L, 1);
	size_t len, pos = 0;
	const char *block;

	*scratch = script_box_arena(L);
	block = read_block(L, m, *scratch, &len);
	while (header_next(block, len, &pos, field))
		if (header_name_is(field, name))
			return true;
	return false;
}

static int l_get_first_named_header_value(lua_State *L)
{
	struct header_field field;
	struct arena *scratch;

	if (first_named(L, luaL_checkstring(L, 2), &field, &scratch))
		lua_pushstring(L, header_decode(&field, scratch));
	else
		lua_pushnil(L);
	return 1;
}

/* The addresses in the first field of that name, or nil. */
static int push_addresses(lua_State *L, const char *name)
{
	struct header_field field;
	struct arena *scratch;

	if (first_named(L, name, &field, &scratch))
		script_address_list_push(L, name, &field);
	else
		lua_pushnil(L);
	return 1;
}

static int l_get_address_header(lua_State *L)
{
	return push_addresses(L, luaL_checkstring(L, 2));
}

static int l_from_header(lua_State *L)
{
	return push_addresses(L, "From");
}

static int l_to_header(lua_State *L)
{
	return push_addresses(L, "To");
}

static int l_get_all_named_header_values(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	const char *name = luaL_checkstring(L, 2);
	struct arena *scratch = script_box_arena(L);
	struct header_field field;
	size_t len, pos = 0;
	const char *block = read_block(L, m, scratch, &len);
	lua_Integer n = 0;

	lua_newtable(L);
	while (header_next(block, len, &pos, &field)) {
		if (!header_name_is(&field, name))
			continue;
		lua_pushstring(L, header_decode(&field, scratch));
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* {{name, value}, ...} */
static int l_get_all_headers(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct arena *scratch = script_box_arena(L);
	struct header_field field;
	size_t len, pos = 0;
	const char *block = read_block(L, m, scratch, &len);
	lua_Integer n = 0;

	lua_newtable(L);
	while (header_next(block, len, &pos, &field)) {
		lua_createtable(L, 2, 0);
		lua_pushlstring(L, field.name, field.name_len);
		lua_rawseti(L, -2, 1);
		lua_pushstring(L, header_decode(&field, scratch));
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* ---- choosing by name ---- */

/* Is it one of the names in the table at `index`; without a table: X-*? */
static bool is_chosen(lua_State *L, int index, const struct header_field *field)
{
	bool chosen = false;

	if (!lua_istable(L, index))
		return field->name_len > 2 && field->name[1] == '-' &&
		       tolower((unsigned char)field->name[0]) == 'x';
	for (lua_Integer i = 1; !chosen; i++) {
		if (lua_rawgeti(L, index, i) != LUA_TSTRING) {
			lua_pop(L, 1);
			break;
		}
		chosen = header_name_is(field, lua_tostring(L, -1));
		lua_pop(L, 1);
	}
	return chosen;
}

/* Without the fields that the table at `index` names. */
static void remove_chosen(lua_State *L, struct message *m, int index)
{
	struct arena *scratch = script_box_arena(L);
	struct buf *out = script_box_buf(L);
	struct header_field field;
	struct err err = {0};
	size_t len, pos = 0, kept = 0;
	const char *block = read_block(L, m, scratch, &len);

	while (header_next(block, len, &pos, &field)) {
		if (!is_chosen(L, index, &field))
			continue;
		buf_add(out, block + kept, field.offset - kept);
		kept = field.offset + field.len;
	}
	if (kept == 0)
		return;
	buf_add(out, block + kept, len - kept);
	if (!replace_block(m, out->data, out->len, &err))
		script_raise(L, &err);
}

static int l_remove_all_named_headers(lua_State *L)
{
	struct message *m = script_message_check(L, 1);

	luaL_checkstring(L, 2);
	lua_createtable(L, 1, 0);
	lua_pushvalue(L, 2);
	lua_rawseti(L, -2, 1);
	remove_chosen(L, m, lua_gettop(L));
	return 0;
}

static int l_remove_x_headers(lua_State *L)
{
	struct message *m = script_message_check(L, 1);

	lua_settop(L, 2);
	remove_chosen(L, m, 2);
	return 0;
}

/* Into meta as x_name; the last of several wins. */
static int l_import_x_headers(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct arena *scratch;
	struct header_field field;
	size_t len, pos = 0;
	const char *block;

	lua_settop(L, 2);
	scratch = script_box_arena(L);
	block = read_block(L, m, scratch, &len);
	while (header_next(block, len, &pos, &field)) {
		char *name;

		if (!is_chosen(L, 2, &field))
			continue;
		name = str_lower(
		    arena_strndup(scratch, field.name, field.name_len));
		for (char *p = name; *p; p++)
			if (*p == '-')
				*p = '_';
		meta_set_string(m->meta, name, header_decode(&field, scratch));
	}
	return 0;
}

static const luaL_Reg methods[] = {
    {"prepend_header", l_prepend_header},
    {"append_header", l_append_header},
    {"get_first_named_header_value", l_get_first_named_header_value},
    {"get_all_named_header_values", l_get_all_named_header_values},
    {"get_all_headers", l_get_all_headers},
    {"get_address_header", l_get_address_header},
    {"from_header", l_from_header},
    {"to_header", l_to_header},
    {"remove_all_named_headers", l_remove_all_named_headers},
    {"remove_x_headers", l_remove_x_headers},
    {"import_x_headers", l_import_x_headers},
    {NULL, NULL},
};

void bind_headers_open(lua_State *L)
{
	luaL_setfuncs(L, methods, 0);
}
