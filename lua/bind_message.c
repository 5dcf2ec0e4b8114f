/*
 * bind_message.c - the message object: envelope, metadata, content
 *
 * A handle counts a reference while its call lives.  Afterwards it is empty:
 * what a policy keeps in a global must not touch a message that belongs to
 * another thread by then.  Messages that the policy made itself stay.
 */
#include "base/diag.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_call.h"
#include "lua/script_services.h"
#include "lua/script_table.h"
#include "lua/script_value.h"

#define MESSAGE "penstock.message"
#define INJECTED_MOST 100 /* by one event whose caller collects */
#define NULL_QUEUE "null" /* mail that nobody wants (10.5) */

struct handle {
	struct message *message; /* NULL: the call is over */
	bool is_own;             /* made by kumo.make_message */
	bool is_injected;
	size_t charged; /* for one of our own */
};

/* What the message holds in memory, apart from content that it shares. */
static size_t held_by(const struct message *m, bool is_own)
{
	size_t size = arena_used(m->arena) + m->prefix.size;

	if (is_own || m->content_changed)
		size +=
		    m->content ? (size_t)content_facts(m->content)->size : 0;
	return size;
}

/* A message that the policy made is the state's; the message of an event is
 * not, but must not grow without end either. */
static void account(lua_State *L, struct handle *handle)
{
	size_t size = held_by(handle->message, handle->is_own);

	if (!handle->is_own) {
		if (size > script_state_of(L)->limit)
			luaL_error(L, "not enough memory for this message");
	} else if (size > handle->charged) {
		size_t more = size - handle->charged;

		handle->charged += more;
		script_charge(L, more);
	}
}

static void push(lua_State *L, struct message *m, bool is_own)
{
	struct handle *handle = lua_newuserdatauv(L, sizeof *handle, 0);

	handle->message = NULL;
	handle->is_own = is_own;
	handle->is_injected = false;
	handle->charged = 0;
	luaL_setmetatable(L, MESSAGE);
	handle->message = message_ref(m);
}

void script_message_push(lua_State *L, struct message *m)
{
	push(L, m, false);
}

struct message *script_message_check(lua_State *L, int index)
{
	struct handle *handle = luaL_checkudata(L, index, MESSAGE);

	if (handle->message)
		account(L, handle);
	else
		luaL_error(L, "this message belongs to an event that is over");
	return handle->message;
}

void script_message_end(lua_State *L, int index)
{
	struct handle *handle = luaL_testudata(L, index, MESSAGE);

	if (!handle || !handle->message)
		return;
	message_unref(handle->message);
	handle->message = NULL;
	script_uncharge(L, handle->charged);
	handle->charged = 0;
}

static int l_gc(lua_State *L)
{
	script_message_end(L, 1);
	return 0;
}

/* ---- identity and envelope ---- */

static int l_id(lua_State *L)
{
	lua_pushstring(L, script_message_check(L, 1)->id);
	return 1;
}

static int l_sender(lua_State *L)
{
	struct message *m = script_message_check(L, 1);

	script_address_push(L, &m->sender.address);
	return 1;
}

static void push_recipients(lua_State *L, const struct message *m)
{
	lua_createtable(L, (int)m->recipients.count, 0);
	for (size_t i = 0; i < m->recipients.count; i++) {
		script_address_push(L, &m->recipients.items[i].address);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/* nil, one address, or an array of several. */
static int l_recipient(lua_State *L)
{
	struct message *m = script_message_check(L, 1);

	if (m->recipients.count == 0)
		lua_pushnil(L);
	else if (m->recipients.count == 1)
		script_address_push(L, &m->recipients.items[0].address);
	else
		push_recipients(L, m);
	return 1;
}

static int l_recipient_list(lua_State *L)
{
	push_recipients(L, script_message_check(L, 1));
	return 1;
}

static struct address to_arena(const struct address *a, struct arena *arena)
{
	return (struct address){
	    .local = arena_strdup(arena, a->local),
	    .user = arena_strdup(arena, a->user),
	    .domain = arena_strdup(arena, a->domain),
	    .email = arena_strdup(arena, a->email),
	};
}

static int l_set_sender(lua_State *L)
{
	struct message *m = script_message_check(L, 1);

	m->sender.address = script_address_check(L, 2, m->arena);
	m->sender_changed = true;
	return 0;
}

/* What the client said of this recipient (NOTIFY, ORCPT) stays with it. */
static struct envelope_recipient keep_options(
    const struct message *m, struct address address)
{
	struct envelope_recipient r = {.address = address};

	for (size_t i = 0; i < m->recipients.count; i++) {
		const struct envelope_recipient *old = &m->recipients.items[i];

		if (str_eq(old->address.email, address.email)) {
			r.notify = old->notify;
			r.orcpt = old->orcpt;
		}
	}
	return r;
}

/* All are read first, so that an error changes nothing. */
static int l_set_recipient(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct envelope_recipient *list;
	struct arena *scratch;
	size_t count = 1;

	luaL_checkany(L, 2);
	if (lua_istable(L, 2))
		count = lua_rawlen(L, 2);
	lua_settop(L, 2);
	scratch = script_box_arena(L);
	list = ARENA_ARRAY(scratch, struct envelope_recipient, count + 1);
	for (size_t i = 0; i < count; i++) {
		if (lua_istable(L, 2))
			lua_rawgeti(L, 2, (lua_Integer)i + 1);
		else
			lua_pushvalue(L, 2);
		list[i] = keep_options(
		    m, script_address_check(L, lua_gettop(L), scratch));
		lua_pop(L, 1);
	}
	m->recipients.count = 0;
	for (size_t i = 0; i < count; i++) {
		list[i].address = to_arena(&list[i].address, m->arena);
		*ARRAY_ADD(&m->recipients) = list[i];
	}
	m->recipients_changed = true;
	return 0;
}

/* ---- metadata, attempts ---- */

static int l_get_meta(lua_State *L)
{
	return script_meta_get(L, script_message_check(L, 1)->meta);
}

static int l_set_meta(lua_State *L)
{
	return script_meta_set(L, script_message_check(L, 1)->meta);
}

static int l_queue_name(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct buf *name = script_box_buf(L);
	struct err err = {0};

	if (!message_queue_name(m, name, &err))
		script_raise(L, &err);
	lua_pushlstring(L, buf_str(name), name->len);
	return 1;
}

static int l_num_attempts(lua_State *L)
{
	lua_pushinteger(L, script_message_check(L, 1)->attempts);
	return 1;
}

static int l_increment_num_attempts(lua_State *L)
{
	script_message_check(L, 1)->attempts++;
	return 0;
}

/* ---- content ---- */

static int l_get_data(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct buf *data = script_box_buf(L);
	struct err err = {0};

	if (!message_data(m, script_state_of(L)->limit, data, &err))
		script_raise(L, &err);
	lua_pushlstring(L, buf_str(data), data->len);
	buf_release(data); /* do not wait for the collector */
	return 1;
}

static int l_set_data(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	size_t len;
	const char *data = luaL_checklstring(L, 2, &len);

	content_unref(m->content);
	m->content = content_from_bytes(data, len);
	buf_reset(&m->prefix);
	m->content_changed = true;
	return 0;
}

/* Before acceptance there is nothing to write back; memory is not the hint's
 * business here. */
static int l_nothing(lua_State *L)
{
	(void)script_message_check(L, 1);
	return 0;
}

static int l_true(lua_State *L)
{
	(void)script_message_check(L, 1);
	lua_pushboolean(L, 1);
	return 1;
}

static const luaL_Reg methods[] = {
    {"id", l_id},
    {"sender", l_sender},
    {"recipient", l_recipient},
    {"recipient_list", l_recipient_list},
    {"set_sender", l_set_sender},
    {"set_recipient", l_set_recipient},
    {"get_meta", l_get_meta},
    {"set_meta", l_set_meta},
    {"queue_name", l_queue_name},
    {"num_attempts", l_num_attempts},
    {"increment_num_attempts", l_increment_num_attempts},
    {"get_data", l_get_data},
    {"set_data", l_set_data},
    {"dkim_sign", script_dkim_l_sign},
    {"save", l_nothing},
    {"set_force_sync", l_nothing},
    {"shrink", l_true},
    {"shrink_data", l_true},
    {NULL, NULL},
};

static const char *const missing[] = {"import_headers", "parse_mime",
    "append_text_plain", "append_text_html", "check_fix_conformance",
    "dkim_verify", "arc_verify", "arc_seal", "add_authentication_results"};

static int l_missing(lua_State *L)
{
	return luaL_error(L, "message:%s is not supported yet",
	    lua_tostring(L, lua_upvalueindex(1)));
}

static int l_tostring(lua_State *L)
{
	struct handle *handle = luaL_checkudata(L, 1, MESSAGE);

	lua_pushfstring(L, "message %s",
	    handle->message ? handle->message->id
			    : "(of an event that is over)");
	return 1;
}

/* kumo.make_message(sender, recipient, body): in memory only. */
int script_message_l_make(lua_State *L)
{
	struct message *m = message_new();
	size_t len;
	const char *body;

	lua_settop(L, 3);
	push(L, m, true);
	message_unref(m);
	body = luaL_checklstring(L, 3, &len);
	m->content = content_from_bytes(body, len);
	lua_insert(L, 1); /* message, sender, recipient, body */
	lua_pushcfunction(L, l_set_sender);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	lua_call(L, 2, 0);
	lua_pushcfunction(L, l_set_recipient);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 3);
	lua_call(L, 2, 0);
	lua_settop(L, 1);
	return 1;
}

/* To whoever collects, for the transaction that follows, as it is now; else to
 * the queue. */
static bool hand_over(lua_State *L, const struct message *m, struct err *err)
{
	struct script_state *state = script_state_of(L);
	struct script_call *call = state->call;

	if (!call || !call->collects)
		return script_inject(
		    (struct message *)(uintptr_t)m, state->deadline, err);
	if (call->injected_count == INJECTED_MOST)
		return err_set(
		    err, ERR_PERM, "more than %d messages", INJECTED_MOST);
	call->injected = xrealloc(call->injected,
	    (call->injected_count + 1) * sizeof(struct message *));
	call->injected[call->injected_count++] = message_copy(m);
	return true;
}

int script_message_l_inject(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	struct handle *handle = lua_touserdata(L, 1);
	struct buf *queue;
	struct err err = {0};

	if (!handle->is_own)
		return luaL_error(L,
		    "inject_message: only messages that kumo.make_message "
		    "made");
	if (handle->is_injected)
		return luaL_error(L, "inject_message: it was injected already");
	queue = script_box_buf(L);
	if (m->recipients.count == 0)
		return luaL_error(L, "inject_message: it has no recipient");
	if (!message_queue_name(m, queue, &err) ||
	    (!str_eq(buf_str(queue), NULL_QUEUE) && !hand_over(L, m, &err))) {
		(void)err_prefix(&err, "inject_message");
		script_raise(L, &err);
	}
	handle->is_injected = true;
	diag_info("%s: injected: from=<%s> to=<%s> nrcpt=%zu queue=%s", m->id,
	    m->sender.address.email, m->recipients.items[0].address.email,
	    m->recipients.count, buf_str(queue));
	return 0;
}

void bind_message_open(lua_State *L)
{
	luaL_newmetatable(L, MESSAGE);
	lua_pushcfunction(L, l_gc);
	lua_setfield(L, -2, "__gc");
	lua_pushcfunction(L, l_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	luaL_newlib(L, methods);
	bind_headers_open(L);
	bind_report_open(L);
	bind_schedule_open(L);
	for (size_t i = 0; i < COUNT(missing); i++) {
		lua_pushstring(L, missing[i]);
		lua_pushcclosure(L, l_missing, 1);
		lua_setfield(L, -2, missing[i]);
	}
	script_table_seal(L, "message", "metadata is message:get_meta(NAME)");
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}
