/*
 * bind.h - the tables that a policy sees, one file each
 *
 * Each open function fills or makes its table; nothing stays on the stack.
 * Functions entered from Lua are l_*.
 */
#ifndef LUA_BIND_H
#define LUA_BIND_H

#include <lauxlib.h>
#include <lua.h>

#include "lua/script.h"
#include "lua/script_state.h"

/* All of them, into the globals. */
void script_bind_open(lua_State *L);

/* The table `kumo` is on top of the stack. */
void bind_kumo_open(lua_State *L);    /* on, versions, limits, set-up */
void bind_make_open(lua_State *L);    /* make_*, start_*, configure_* */
void bind_bounce_open(lua_State *L);  /* configure_bounce_classifier */
void bind_log_open(lua_State *L);     /* log_*, print */
void bind_reject_open(lua_State *L);  /* reject, disconnect */
void bind_memoize_open(lua_State *L); /* memoize */
void bind_serde_open(lua_State *L);   /* serde.*, json_*, toml_* */
void bind_cidr_open(lua_State *L);    /* cidr.make_map */
void bind_digest_open(lua_State *L);  /* digest.* */
void bind_dkim_open(lua_State *L);    /* dkim.* */
void bind_dns_open(lua_State *L);     /* dns.* */
void bind_domain_map_open(lua_State *L);
void bind_epoch_open(lua_State *L);    /* the files of the policy */
void bind_encode_open(lua_State *L);   /* encode.* */
void bind_regex_open(lua_State *L);    /* regex, regex_set_map */
void bind_secrets_open(lua_State *L);  /* secrets.load */
void bind_shaping_open(lua_State *L);  /* shaping.load */
void bind_string_open(lua_State *L);   /* string.* */
void bind_time_open(lua_State *L);     /* time.* */
void bind_uuid_open(lua_State *L);     /* uuid.* */
void bind_fs_open(lua_State *L);       /* fs.*, glob, read_dir */
void bind_invoke_open(lua_State *L);   /* invoke_get_* */
void bind_http_open(lua_State *L);     /* http.* */
void bind_throttle_open(lua_State *L); /* make_throttle */
void bind_dsn_open(lua_State *L);      /* generate_rfc3464_message */
void bind_missing_open(lua_State *L);  /* what is not supported, by name */
/* Metatables and tables of their own. */
void bind_sqlite_open(lua_State *L); /* require 'sqlite' */
void bind_address_open(lua_State *L);
void bind_address_list_open(lua_State *L);
void bind_message_open(lua_State *L);
void bind_headers_open(lua_State *L);  /* methods, into the table on top */
void bind_report_open(lua_State *L);   /* the same */
void bind_schedule_open(lua_State *L); /* the same */
void bind_conn_meta_open(lua_State *L);
void bind_penstock_open(lua_State *L);    /* the global `penstock` */
void bind_suppression_open(lua_State *L); /* require penstock.suppression */

/* ---- objects ---- */

/* A copy of `a` as an EnvelopeAddress. */
void script_address_push(lua_State *L, const struct address *a);
/* NULL when it is none. */
const struct address *script_address_test(lua_State *L, int index);
/* An EnvelopeAddress or text; a text is parsed into `arena`.  Raises. */
struct address script_address_check(
    lua_State *L, int index, struct arena *arena);

/* An object with the addresses of a field that is called `name`.  Raises. */
struct header_field;
void script_address_list_push(
    lua_State *L, const char *name, const struct header_field *field);

/* Handles on what a call brought along.  When the call ends script_handle_end
 * takes the thing away again: a handle that the policy kept says so. */
void script_message_push(lua_State *L, struct message *m); /* takes a ref */
struct message *script_message_check(lua_State *L, int index);
int script_message_l_make(lua_State *L);   /* kumo.make_message */
int script_message_l_inject(lua_State *L); /* kumo.inject_message */
int script_dkim_l_sign(lua_State *L);      /* message:dkim_sign */
void script_conn_meta_push(lua_State *L, struct meta *meta); /* borrows */
void script_message_end(lua_State *L, int index);
void script_handle_end(lua_State *L, int index); /* of either kind */

/* meta:get_meta and set_meta, on the meta given; name at 2, value at 3. */
int script_meta_get(lua_State *L, const struct meta *meta);
int script_meta_set(lua_State *L, struct meta *meta);

/* Maps that a policy fills.  As values they are maps of these kinds, so that
 * memoize can hand them on. */
#define SCRIPT_DOMAIN_MAP "domain_map"
#define SCRIPT_CIDR_MAP "cidr_map"
/* Pushes the table behind the map; false: it is none, nothing is pushed. */
bool script_domain_map_read(lua_State *L, int index);
bool script_cidr_map_read(lua_State *L, int index);
void script_domain_map_push(
    lua_State *L, struct arena *arena, const struct value *value);
void script_cidr_map_push(
    lua_State *L, struct arena *arena, const struct value *value);

/* The object of kumo.shaping.load, in the same way. */
#define SCRIPT_SHAPING "shaping"
bool script_shaping_read(lua_State *L, int index);
void script_shaping_push(
    lua_State *L, struct arena *arena, const struct value *value);
int script_l_site_names(lua_State *L); /* penstock.site_names */

/* A TimeDelta of so many milliseconds. */
void script_time_delta_push(lua_State *L, int64_t ms);

/* Bytes with .bytes, .hex, .base64 and so on; as text they are hex. */
void script_bytes_push(lua_State *L, const void *p, size_t len);
/* The bytes behind the key source at `index`, as text on top.  Raises. */
void script_key_source_push(lua_State *L, int index);

/* Raises as kumo.reject does. */
NORETURN void script_reject_raise(lua_State *L, int code, const char *text);
/* A rejection raised by kumo.reject; NULL: something else.  The text lives as
 * long as the object. */
const struct script_reject *script_reject_test(lua_State *L, int index);

/* A duration, as number of seconds or text, in milliseconds.  Raises. */
int64_t script_check_duration(lua_State *L, int index);
/* Sleeps, and raises when the event's time is over. */
void script_sleep(lua_State *L, int64_t ms);

/* Appends text as it may stand in one line: control characters and what is not
 * UTF-8 as \xNN. */
void script_log_escape(struct buf *out, const char *text, size_t len);

/* Is it still time for what belongs into init?  Raises when not.  True: this
 * state's declarations count. */
bool script_may_declare(lua_State *L, const char *name);

/* Parses the table at `index` with `set` into the object's arena, or raises
 * `deserialize error: ...`; pushes nothing. */
const struct value *script_params_check(lua_State *L, int index,
    const struct param_set *set, struct arena *arena, void **record);

#endif
