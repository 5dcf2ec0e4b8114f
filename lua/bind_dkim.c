/*
 * bind_dkim.c - kumo.dkim: signers, and message:dkim_sign
 *
 * (policy language, 16)  A signer belongs to its state; keys are read once in
 * `ttl` and shared by all states of the process, by their source and the
 * generation of the policy, so that a reload reads them again.  One lock for
 * the list of keys; nobody holds it while reading or signing.
 */
#include <pthread.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "lua/bind.h"
#include "lua/script_pool.h"
#include "lua/script_table.h"
#include "lua/script_value.h"
#include "mail/dkim.h"
#include "policy/param_rows.h"

#define SIGNER "penstock.dkim_signer"
#define MOST_KEYS 10000
#define KEY_SIZE 4096 /* about what libcrypto keeps for one */

/* ---- keys ---- */

struct kept {
	struct sign_key *key;
	int64_t until;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map *keys; /* digest of the source -> struct kept */

static void drop(const char *name, struct kept *kept)
{
	(void)map_remove(keys, name);
	sign_key_unref(kept->key);
	free(kept);
}

/* Makes room: what is over, and when that is not enough, everything. */
static void sweep(int64_t now)
{
	for (int round = 0; round < 2; round++) {
		size_t pos = 0;
		const char *name;
		void *p;

		while (map_each(keys, &pos, &name, &p))
			if (round == 1 || ((struct kept *)p)->until <= now)
				drop(name, p);
		if (map_count(keys) < MOST_KEYS / 2)
			return;
	}
}

/* A reference, or NULL. */
static struct sign_key *find_key(const char *name)
{
	struct sign_key *key = NULL;
	struct kept *kept;

	pthread_mutex_lock(&lock);
	kept = keys ? map_get(keys, name) : NULL;
	if (kept && kept->until > clock_now_ms())
		key = sign_key_ref(kept->key);
	pthread_mutex_unlock(&lock);
	return key;
}

static void keep_key(const char *name, struct sign_key *key, int64_t ttl_ms)
{
	int64_t now = clock_now_ms();
	struct kept *kept;

	pthread_mutex_lock(&lock);
	if (!keys)
		keys = map_new();
	if (map_count(keys) >= MOST_KEYS)
		sweep(now);
	kept = map_get(keys, name);
	if (kept)
		drop(name, kept);
	kept = xcalloc(1, sizeof *kept);
	kept->key = sign_key_ref(key);
	kept->until = now + ttl_ms;
	(void)map_put(keys, name, kept);
	pthread_mutex_unlock(&lock);
}

/* ---- signers ---- */

struct held {
	struct arena *arena;
	struct dkim_signer signer;
	struct sign_key *key;
};

struct dkim_config {
	uint64_t given[2];
	const char *domain, *selector, *atps, *atpsh, *agent_user_identifier;
	struct string_list headers;
	const struct value *key;
	int64_t expiration;
	bool body_length, reporting, over_sign;
	enum dkim_canon header_canonicalization, body_canonicalization;
	struct duration ttl;
};

static const struct param_enum_name canons[] = {
    {"Relaxed", DKIM_RELAXED}, {"Simple", DKIM_SIMPLE}, {NULL, 0}};

#define S dkim_config
static const struct param_spec specs[] = {
    P_STRING(
	S, domain, .flags = PARAM_REQUIRED, .help = "Whose signature it is."),
    P_STRING(S, selector, .flags = PARAM_REQUIRED,
	.help = "Where below its _domainkey the public key is."),
    P_STRING_LIST(S, headers, .flags = PARAM_REQUIRED,
	.help = "Names of the fields that are signed; From is one of them."),
    P_KEY_SOURCE(S, key, .flags = PARAM_REQUIRED, .help = "The private key."),
    P_STRING(S, atps, .help = "RFC 6541."),
    P_STRING(S, atpsh, .help = "RFC 6541."),
    P_STRING(S, agent_user_identifier, .help = "i=."),
    P_INT(S, expiration, 1, INT32_MAX, .help = "x=, seconds from now."),
    P_BOOL(S, body_length, .fallback = "false", .help = "l=."),
    P_BOOL(S, reporting, .fallback = "false", .help = "r=y (RFC 6651)."),
    P_BOOL(S, over_sign, .fallback = "false",
	.help = "Name each field once more than it is there."),
    P_ENUM(S, header_canonicalization, canons, .fallback = "Relaxed",
	.help = "Of the header."),
    P_ENUM(S, body_canonicalization, canons, .fallback = "Relaxed",
	.help = "Of the body."),
    P_DURATION(S, ttl, .fallback = "300s",
	.help = "How long the key may be used before it is read again."),
};
#undef S

static const struct param_set rsa_params = {
    .name = "dkim.rsa_sha256_signer",
    .intro = "A signer for DKIM.",
    .record_size = sizeof(struct dkim_config),
    .specs = specs,
    .count = COUNT(specs),
};

static const struct param_set ed25519_params = {
    .name = "dkim.ed25519_signer",
    .intro = "A signer for DKIM.",
    .record_size = sizeof(struct dkim_config),
    .specs = specs,
    .count = COUNT(specs),
};

static int l_gc(lua_State *L)
{
	struct held *held = luaL_checkudata(L, 1, SIGNER);

	if (held->key)
		script_uncharge(L, KEY_SIZE);
	sign_key_unref(held->key);
	arena_unref(held->arena);
	memset(held, 0, sizeof *held);
	return 0;
}

/* What names a key in the list: kind, generation and source, hashed, because
 * the source may be the key itself. */
static void key_name(lua_State *L, enum sign_kind kind,
    const struct value *source, char out[2 * 32 + 1])
{
	struct buf *text = script_box_buf(L);
	unsigned char digest[32];
	struct digest_sum *sum = digest_sum_new();

	buf_addf(text, "%d %lld ", kind,
	    (long long)script_state_of(L)->policy->generation);
	json_write(text, source);
	digest_sum_add(sum, text->data, text->len);
	digest_sum_end(sum, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* The key behind field `key` of the table at 1, into `held`. */
static void load_key(lua_State *L, struct held *held, enum sign_kind kind,
    const struct dkim_config *config)
{
	struct err err = {0};
	const char *bytes;
	char name[2 * 32 + 1];
	size_t len;

	key_name(L, kind, config->key, name);
	held->key = find_key(name);
	if (!held->key) {
		script_value_push(L, config->key);
		script_key_source_push(L, lua_gettop(L));
		bytes = lua_tolstring(L, -1, &len);
		held->key = sign_key_read(kind, bytes, len, &err);
		if (!held->key) {
			(void)err_prefix(&err, "key");
			script_raise(L, &err);
		}
		keep_key(name, held->key, config->ttl.ms);
	}
	script_charge(L, KEY_SIZE);
}

/* ({...}): a signer */
static int make(lua_State *L, const struct param_set *set, enum sign_kind kind)
{
	const struct dkim_config *config;
	struct err err = {0};
	struct held *held;
	void *record;

	lua_settop(L, 1);
	held = lua_newuserdatauv(L, sizeof *held, 0);
	memset(held, 0, sizeof *held);
	luaL_setmetatable(L, SIGNER);
	held->arena = arena_new(0);
	(void)script_params_check(L, 1, set, held->arena, &record);
	config = record;
	held->signer = (struct dkim_signer){
	    .domain = config->domain,
	    .selector = config->selector,
	    .headers = config->headers.items,
	    .header_count = config->headers.count,
	    .header_canon = config->header_canonicalization,
	    .body_canon = config->body_canonicalization,
	    .over_sign = config->over_sign,
	    .body_length = config->body_length,
	    .reporting = config->reporting,
	    .expiration_seconds = config->expiration,
	    .atps = config->atps,
	    .atpsh = config->atpsh,
	    .agent_user_identifier = config->agent_user_identifier,
	};
	if (!dkim_check(&held->signer, &err))
		script_raise(L, &err);
	load_key(L, held, kind, config);
	held->signer.key = held->key;
	lua_settop(L, 2);
	return 1;
}

static int l_rsa_sha256_signer(lua_State *L)
{
	return make(L, &rsa_params, SIGN_RSA);
}

static int l_ed25519_signer(lua_State *L)
{
	return make(L, &ed25519_params, SIGN_ED25519);
}

int script_dkim_l_sign(lua_State *L)
{
	struct message *m = script_message_check(L, 1);
	const struct held *held = luaL_checkudata(L, 2, SIGNER);
	struct buf *value = script_box_buf(L);
	struct err err = {0};

	if (!dkim_sign(&held->signer, m, clock_unix(), value, &err)) {
		(void)err_prefix(&err, "dkim_sign");
		script_raise(L, &err);
	}
	script_check_time(L);
	message_prepend_header(m, "DKIM-Signature", buf_str(value));
	return 0;
}

static const luaL_Reg functions[] = {
    {"rsa_sha256_signer", l_rsa_sha256_signer},
    {"ed25519_signer", l_ed25519_signer},
    {NULL, NULL},
};

void bind_dkim_open(lua_State *L)
{
	script_table_class(L, SIGNER, NULL, l_gc);
	luaL_getsubtable(L, -1, "dkim");
	luaL_setfuncs(L, functions, 0);
	lua_pop(L, 1);
}
