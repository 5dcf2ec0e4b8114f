/*
 * bind_make.c - kumo.make_*, start_esmtp_listener, configure_local_logs
 *
 * One C function for all constructors, with the param_set as upvalue.  Errors:
 * `deserialize error: <reason>, while processing <the table as JSON>`.
 */
#include "base/diag.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_object.h"
#include "lua/script_pool.h"
#include "lua/script_value.h"
#include "policy/egress_source.h"
#include "policy/free_floor.h"
#include "policy/param_rows.h"

#define MOST_JSON 600

static bool is_secret(const struct param_set *set, const char *key)
{
	for (size_t i = 0; set && i < set->count; i++)
		if (str_eq(set->specs[i].key, key))
			return set->specs[i].flags & PARAM_SECRET;
	return str_eq(key, "key_data");
}

/* The same tree without what must not be printed. */
static struct value redact(
    const struct param_set *set, const struct value *v, struct arena *arena)
{
	struct value copy = *v;

	if (v->type == VALUE_LIST) {
		copy.items = ARENA_ARRAY(arena, struct value, v->count);
		for (size_t i = 0; i < v->count; i++)
			copy.items[i] = redact(NULL, &v->items[i], arena);
	} else if (v->type == VALUE_MAP) {
		copy.entries = ARENA_ARRAY(arena, struct value_entry, v->count);
		for (size_t i = 0; i < v->count; i++) {
			const struct value_entry *from = &v->entries[i];

			copy.entries[i].key = from->key;
			copy.entries[i].value =
			    is_secret(set, from->key)
				? value_string(arena, "***", 3)
				: redact(NULL, &from->value, arena);
		}
	}
	return copy;
}

const struct value *script_params_check(lua_State *L, int index,
    const struct param_set *set, struct arena *arena, void **record)
{
	struct value *value = ARENA_NEW(arena, struct value), shown;
	struct err err = {0};
	struct buf *json;

	*record = arena_alloc(arena, set->record_size);
	if (lua_isnoneornil(L, index))
		luaL_error(L, "kumo.%s wants a table of parameters", set->name);
	if (!script_value_read(L, index, arena, value, &err))
		luaL_error(L, "deserialize error: %s: %s", set->name, err.text);
	if (param_parse(set, value, arena, *record, &err))
		return value;
	shown = redact(set, value, arena);
	json = script_box_buf(L);
	json_write(json, &shown);
	if (json->len > MOST_JSON) {
		json->len = MOST_JSON;
		buf_addstr(json, "...");
	}
	luaL_error(L, "deserialize error: %s, while processing %s", err.text,
	    buf_str(json));
	abort(); /* not reached */
}

static int l_make(lua_State *L)
{
	const struct param_set *set = lua_touserdata(L, lua_upvalueindex(1));
	struct arena *arena;
	struct value *value;
	void *record;

	lua_settop(L, 1);
	arena = script_box_arena(L);
	value = ARENA_NEW(arena, struct value);
	*value = *script_params_check(L, 1, set, arena, &record);
	value->kind = set->name;
	script_config_push(L, arena, value);
	return 1;
}

/* ---- what belongs to init ---- */

bool script_may_declare(lua_State *L, const char *name)
{
	const struct script_state *state = script_state_of(L);

	if (state->phase == SCRIPT_EVENT)
		luaL_error(L, "kumo.%s belongs into the event init", name);
	return state->is_first;
}

/* One more pointer in an array of the setup, which is freed with the pool. */
#define APPEND(list, count, item)                                              \
	((list) = xrealloc((list), ((count) + 1) * sizeof *(list)),            \
	    (list)[count] = (item))

/* Of two for one address the first counts, whatever the second allows. */
static void warn_if_taken(const struct policy_setup *setup,
    const struct listener *listener, const char *where)
{
	for (size_t i = 0; i < setup->listener_count; i++)
		if (str_eq(setup->listeners[i]->listen, listener->listen)) {
			diag_warn("%s: start_esmtp_listener: %s has a listener "
				  "already, at %s: this one has no effect",
			    where, listener->listen, setup->listener_where[i]);
			return;
		}
}

static int l_start_esmtp_listener(lua_State *L)
{
	struct policy_setup *setup = &script_state_of(L)->policy->setup;
	bool counts = script_may_declare(L, listener_params.name);
	struct arena *arena;
	const struct value *value;
	const char *where;
	void *record;

	lua_settop(L, 1);
	arena = counts ? setup->arena : script_box_arena(L);
	value = script_params_check(L, 1, &listener_params, arena, &record);
	if (!counts)
		return 0;
	warn_if_taken(setup, record, script_where(L, 1));
	APPEND(setup->listeners, setup->listener_count, record);
	APPEND(setup->listener_values, setup->listener_count, value);
	where = arena_strdup(arena, script_where(L, 1));
	APPEND(setup->listener_where, setup->listener_count, where);
	setup->listener_count++;
	return 0;
}

static int l_configure_local_logs(lua_State *L)
{
	struct policy_setup *setup = &script_state_of(L)->policy->setup;
	bool counts = script_may_declare(L, log_config_params.name);
	struct arena *arena;
	void *record;

	lua_settop(L, 1);
	arena = counts ? setup->arena : script_box_arena(L);
	(void)script_params_check(L, 1, &log_config_params, arena, &record);
	if (!counts)
		return 0;
	APPEND(setup->logs, setup->log_count, record);
	setup->log_count++;
	return 0;
}

/* Both kinds of hooks share their names. */
static int l_configure_hook(lua_State *L)
{
	const struct param_set *set = lua_touserdata(L, lua_upvalueindex(1));
	struct policy_setup *setup = &script_state_of(L)->policy->setup;
	bool counts = script_may_declare(L, set->name);
	struct log_hook *hook;
	struct arena *arena;
	void *record;

	lua_settop(L, 1);
	arena = counts ? setup->arena : script_box_arena(L);
	(void)script_params_check(L, 1, set, arena, &record);
	if (!counts)
		return 0;
	hook = record;
	if (set == &log_disposition_params)
		hook->event =
		    arena_printf(arena, "log_disposition_%s", hook->name);
	for (size_t i = 0; i < setup->hook_count; i++)
		if (str_eq(setup->hooks[i]->name, hook->name) &&
		    !setup->hooks[i]->event == !hook->event)
			return luaL_error(L,
			    "kumo.%s: there is a hook \"%s\" already",
			    set->name, hook->name);
	APPEND(setup->hooks, setup->hook_count, hook);
	setup->hook_count++;
	return 0;
}

static void add_hook(lua_State *L, const struct param_set *set)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)set);
	lua_pushcclosure(L, l_configure_hook, 1);
	lua_setfield(L, -2, set->name);
}

/* ---- spools and sources by definition ---- */

struct spool {
	uint64_t given[2];
	const char *name, *path;
	struct free_floor min_free_space, min_free_inodes;
};

FREE_FLOOR_FIELD(spool, min_free_space)
FREE_FLOOR_FIELD(spool, min_free_inodes)

static const struct param_enum_name spool_kinds[] = {
    {"LocalDisk", 0}, {"RocksDB", 1}, {NULL, 0}};

#define S spool
static const struct param_spec spool_specs[] = {
    P_STRING(S, name, .flags = PARAM_REQUIRED, .help = "Its name."),
    P_STRING(S, path, .flags = PARAM_REQUIRED, .help = "Its directory."),
    P_NOWHERE("kind", PARAM_STRING, .names = spool_kinds,
	.help = "Ignored: the queue is one SQLite file."),
    P_NOWHERE("flush", PARAM_BOOL, .help = "Ignored: custody is synced."),
    P_FREE_FLOOR(S, min_free_space,
	.help = "Free space where the queue is below which the milter refuses "
		"mail (421 and 451 4.3.2): text as 10%, or a number of bytes. "
		"Without it only --free-floor holds."),
    P_FREE_FLOOR(S, min_free_inodes, .help = "The same for inodes."),
    P_NOWHERE("rocks_params", PARAM_MAP, .help = "Ignored."),
};
#undef S

static const struct param_set spool_params = {
    .name = "define_spool",
    .intro = "Where the queue is, when no option says so.",
    .record_size = sizeof(struct spool),
    .specs = spool_specs,
    .count = COUNT(spool_specs),
};

static int l_define_spool(lua_State *L)
{
	struct policy_setup *setup = &script_state_of(L)->policy->setup;
	bool counts = script_may_declare(L, "define_spool");
	const struct spool *spool;
	struct arena *arena;
	void *record;

	lua_settop(L, 1);
	arena = counts ? setup->arena : script_box_arena(L);
	(void)script_params_check(L, 1, &spool_params, arena, &record);
	spool = record;
	if (!counts)
		return 0;
	if (!setup->spool_path)
		setup->spool_path = spool->path;
	if (setup->spool_count == POLICY_SPOOLS)
		return luaL_error(
		    L, "define_spool: more than %d of them", POLICY_SPOOLS);
	setup->spool_floors[setup->spool_count++] =
	    (struct free_floors){spool->min_free_space, spool->min_free_inodes};
	return 0;
}

/* Used when get_egress_source says nothing; the last of a name wins (D28). */
static int l_define_egress_source(lua_State *L)
{
	struct script_policy *p = script_state_of(L)->policy;
	bool counts = script_may_declare(L, "define_egress_source");
	struct arena *arena;
	struct value *value;
	void *record;

	lua_settop(L, 1);
	arena = counts ? p->setup.arena : script_box_arena(L);
	value = ARENA_NEW(arena, struct value);
	*value =
	    *script_params_check(L, 1, &egress_source_params, arena, &record);
	value->kind = egress_source_params.name;
	if (counts)
		(void)map_put(p->egress_sources,
		    ((const struct egress_source *)record)->name, value);
	return 0;
}

/* ---- tasks ---- */

struct task {
	uint64_t given[2];
	const char *event_name;
	const struct value *args;
};

#define S task
static const struct param_spec task_specs[] = {
    P_STRING(S, event_name, .flags = PARAM_REQUIRED, .help = "What runs."),
    P_VALUE(
	S, args, .flags = PARAM_REQUIRED, .help = "Its argument, one table."),
};
#undef S

static const struct param_set task_params = {
    .name = "spawn_task",
    .intro = "An event that runs beside everything else.",
    .record_size = sizeof(struct task),
    .specs = task_specs,
    .count = COUNT(task_specs),
};

/* The router runs it; elsewhere it is only looked at. */
static int l_spawn_task(lua_State *L)
{
	const struct script_state *state = script_state_of(L);
	const struct task *task;
	struct arena *arena;
	struct err err = {0};
	void *record;

	if (state->phase == SCRIPT_LOADING)
		return luaL_error(
		    L, "kumo.spawn_task belongs into init or another event");
	lua_settop(L, 1);
	arena = script_box_arena(L);
	(void)script_params_check(L, 1, &task_params, arena, &record);
	task = record;
	if (task->args->type != VALUE_LIST && task->args->type != VALUE_MAP)
		return luaL_error(L, "spawn_task: args: invalid type: a table "
				     "is wanted");
	if (state->policy->role == SCRIPT_ROUTER &&
	    !script_task_spawn(
		state->policy, task->event_name, task->args, &err)) {
		(void)err_prefix(&err, "spawn_task");
		script_raise(L, &err);
	}
	return 0;
}

static const luaL_Reg functions[] = {
    {"spawn_task", l_spawn_task},
    {"start_esmtp_listener", l_start_esmtp_listener},
    {"configure_local_logs", l_configure_local_logs},
    {"define_spool", l_define_spool},
    {"define_egress_source", l_define_egress_source},
    {NULL, NULL},
};

void bind_make_open(lua_State *L)
{
	luaL_setfuncs(L, functions, 0);
	add_hook(L, &log_hook_params);
	add_hook(L, &log_disposition_params);
	for (size_t i = 0; i < param_set_count; i++) {
		const struct param_set *set = param_sets[i];

		if (!str_starts(set->name, "make_"))
			continue;
		lua_pushlightuserdata(L, (void *)(uintptr_t)set);
		lua_pushcclosure(L, l_make, 1);
		lua_setfield(L, -2, set->name);
	}
}
