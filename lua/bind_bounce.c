/*
 * bind_bounce.c - kumo.configure_bounce_classifier: reads the files of rules
 */
#include "base/fd.h"
#include "base/str.h"
#include "lua/bind.h"
#include "lua/script_pool.h"
#include "policy/bounce_class.h"

#define MOST_FILE (16 << 20)

/* Where the file is: a plain name is one of those that are installed. */
static const char *find(
    const struct script_policy *p, const char *file, struct arena *arena)
{
	if (strchr(file, '/'))
		return file;
	return arena_printf(arena, "%s/%s", p->share_dir, file);
}

static bool add(struct bounce_classifier *c, const char *path, struct err *err)
{
	size_t len;
	char *text = fd_read_file(path, MOST_FILE, &len, err);
	bool ok = text && bounce_classifier_add(c, path, text, len, err);

	free(text);
	return ok;
}

/* No call of Lua in here: an error would leak what is half made. */
static struct bounce_classifier *load(
    const struct bounce_config *config, struct err *err)
{
	struct bounce_classifier *c = bounce_classifier_new(config);

	for (size_t i = 0; i < config->files.count; i++) {
		if (add(c, config->files.items[i], err))
			continue;
		bounce_classifier_free(c);
		return NULL;
	}
	return c;
}

static int l_configure_bounce_classifier(lua_State *L)
{
	struct script_policy *p = script_state_of(L)->policy;
	const char *name = bounce_classifier_params.name;
	bool counts = script_may_declare(L, name);
	struct bounce_config *config;
	struct err err = {0};
	struct arena *arena;
	const char **paths;
	void *record;

	lua_settop(L, 1);
	arena = script_box_arena(L);
	(void)script_params_check(
	    L, 1, &bounce_classifier_params, arena, &record);
	if (!counts)
		return 0;
	if (p->setup.classifier)
		return luaL_error(L,
		    "kumo.%s: it has been called already; one call takes all "
		    "files",
		    name);
	config = record;
	paths = ARENA_ARRAY(arena, const char *, config->files.count + 1);
	for (size_t i = 0; i < config->files.count; i++) {
		paths[i] = find(p, config->files.items[i], arena);
		script_check_file(L, paths[i]);
	}
	config->files.items = paths;
	p->setup.classifier = load(config, &err);
	if (!p->setup.classifier) {
		(void)err_prefix(&err, "%s", name);
		script_raise(L, &err);
	}
	return 0;
}

void bind_bounce_open(lua_State *L)
{
	lua_pushcfunction(L, l_configure_bounce_classifier);
	lua_setfield(L, -2, bounce_classifier_params.name);
}
