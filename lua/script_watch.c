/*
 * script_watch.c - the files that a policy is made of, and when they change
 */
#include "lua/script_watch.h"

#include <dirent.h>
#include <fnmatch.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "lua/script_pool.h"

#define PERIOD_MS 10000
#define MOST_FILES 10000
#define MOST_DEPTH 12
#define MOST_FILE (64 << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stop_cond;
static struct watch_paths watched; /* patterns, owned */
static uint64_t mark;              /* the last hash */
static bool has_mark, stopping, running;
static script_reload_fn *reload;
static void *reload_ctx;
static pthread_t watcher;

/* ---- patterns ---- */

void watch_patterns(
    const struct script_policy *p, struct arena *arena, struct watch_paths *out)
{
	static const char *const endings[] = {"lua", "json", "toml", "yaml"};

	if (p->monitor_globs) {
		for (size_t i = 0; i < p->monitor_globs->count; i++)
			*ARRAY_ADD(out) = p->monitor_globs->items[i];
		return;
	}
	for (size_t i = 0; i < COUNT(endings); i++)
		*ARRAY_ADD(out) =
		    arena_printf(arena, "%s/**/*.%s", p->dir, endings[i]);
}

/* The directory before the first part that is no plain name. */
static char *plain_directory(struct arena *arena, const char *pattern)
{
	size_t len = strcspn(pattern, "*?[");

	while (len > 0 && pattern[len - 1] != '/')
		len--;
	return len == 0 ? arena_strdup(arena, ".")
			: arena_strndup(arena, pattern, len);
}

/* "**" + "/" may also stand for nothing at all. */
static bool matches(struct arena *arena, const char *pattern, const char *path)
{
	const char *stars = strstr(pattern, "**/");

	if (!stars)
		return fnmatch(pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0;
	if (fnmatch(pattern, path, 0) == 0)
		return true;
	return fnmatch(arena_printf(arena, "%.*s%s", (int)(stars - pattern),
			   pattern, stars + 3),
		   path, 0) == 0;
}

struct walk {
	struct arena *arena;
	const char *pattern;
	struct watch_paths *out;
};

static void walk(struct walk *w, const char *dir, int depth)
{
	const char *slash = str_ends(dir, "/") ? "" : "/";
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct stat st;

	if (!d)
		return;
	while ((entry = readdir(d)) != NULL && w->out->count < MOST_FILES) {
		const char *path;

		if (entry->d_name[0] == '.')
			continue;
		path =
		    arena_printf(w->arena, "%s%s%s", dir, slash, entry->d_name);
		if (stat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < MOST_DEPTH)
			walk(w, path, depth + 1);
		else if (S_ISREG(st.st_mode) &&
			 matches(w->arena, w->pattern, path))
			*ARRAY_ADD(w->out) = path;
	}
	(void)closedir(d);
}

/* One pattern without braces. */
static void expand_plain(
    const char *pattern, struct arena *arena, struct watch_paths *out)
{
	struct walk w = {arena, pattern, out};
	struct stat st;

	if (pattern[strcspn(pattern, "*?[")] == '\0') {
		if (stat(pattern, &st) == 0 && S_ISREG(st.st_mode))
			*ARRAY_ADD(out) = arena_strdup(arena, pattern);
		return;
	}
	walk(&w, plain_directory(arena, pattern),
	    strstr(pattern, "**/") ? 0 : MOST_DEPTH - 1);
}

/* The first {a,b} becomes each of its parts. */
static void expand(
    const char *pattern, struct arena *arena, struct watch_paths *out)
{
	const char *open = strchr(pattern, '{');
	const char *close = open ? strchr(open, '}') : NULL;
	const char *part;

	if (!close) {
		expand_plain(pattern, arena, out);
		return;
	}
	for (part = open + 1; part <= close;) {
		size_t len = strcspn(part, ",}");

		expand(arena_printf(arena, "%.*s%.*s%s", (int)(open - pattern),
			   pattern, (int)len, part, close + 1),
		    arena, out);
		part += len + 1;
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void watch_expand(const struct watch_paths *patterns, struct arena *arena,
    struct watch_paths *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < patterns->count; i++)
		expand(patterns->items[i], arena, out);
	if (out->count == 0)
		return;
	qsort(out->items, out->count, sizeof *out->items, by_name);
	for (size_t i = 0; i < out->count; i++)
		if (i == 0 || !str_eq(out->items[i], out->items[kept - 1]))
			out->items[kept++] = out->items[i];
	out->count = kept;
}

/* ---- hashing: FNV-1a, which is enough to notice an edit ---- */

static uint64_t add(uint64_t hash, const void *p, size_t len)
{
	const unsigned char *bytes = p;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3;
	return hash;
}

uint64_t watch_hash(const struct watch_paths *paths)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < paths->count; i++) {
		size_t len = 0;
		char *text =
		    fd_read_file(paths->items[i], MOST_FILE, &len, NULL);

		hash = add(hash, paths->items[i], strlen(paths->items[i]) + 1);
		hash = add(hash, text, len);
		hash = add(hash, &len, sizeof len);
		free(text);
	}
	return hash;
}

/* ---- the watcher ---- */

static uint64_t hash_now(void)
{
	struct arena *arena = arena_new(0);
	struct watch_paths patterns = {NULL, 0, 0}, paths = {NULL, 0, 0};
	uint64_t hash;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < watched.count; i++)
		*ARRAY_ADD(&patterns) = arena_strdup(arena, watched.items[i]);
	pthread_mutex_unlock(&lock);
	watch_expand(&patterns, arena, &paths);
	hash = watch_hash(&paths);
	free(patterns.items);
	free(paths.items);
	arena_unref(arena);
	return hash;
}

/* False: stop. */
static bool wait_a_period(int64_t period_ms)
{
	struct timespec until = clock_timespec(clock_now_ms() + period_ms);
	bool go_on;

	pthread_mutex_lock(&lock);
	while (
	    !stopping && pthread_cond_timedwait(&stop_cond, &lock, &until) == 0)
		;
	go_on = !stopping;
	pthread_mutex_unlock(&lock);
	return go_on;
}

/* Makes `now` the mark.  True: it differs from the one before. */
static bool differs(uint64_t now)
{
	bool changed;

	pthread_mutex_lock(&lock);
	changed = has_mark && now != mark;
	mark = now;
	has_mark = true;
	pthread_mutex_unlock(&lock);
	return changed;
}

static void *watch(void *ctx)
{
	int64_t period_ms = *(int64_t *)ctx;

	free(ctx);
	do {
		if (differs(hash_now())) {
			diag_info("files of the policy have changed");
			(void)watch_ask_reload();
		}
	} while (wait_a_period(period_ms));
	return NULL;
}

void watch_note_load(void)
{
	bool is_watched;

	pthread_mutex_lock(&lock);
	is_watched = has_mark;
	pthread_mutex_unlock(&lock);
	if (is_watched)
		(void)differs(hash_now());
}

void script_reload_by_signal(void *ctx)
{
	(void)kill(getpid(), SIGUSR1);
}

void script_watch_start(script_reload_fn *fn, void *ctx, int64_t period_ms)
{
	int64_t *period = xcalloc(1, sizeof *period);
	pthread_condattr_t attr;

	invariant(!running);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&stop_cond, &attr);
	pthread_condattr_destroy(&attr);
	*period = period_ms ? period_ms : PERIOD_MS;
	pthread_mutex_lock(&lock);
	reload = fn;
	reload_ctx = ctx;
	stopping = false;
	running = true;
	pthread_mutex_unlock(&lock);
	watcher = worker_thread_start("lua-watch", watch, period);
}

void script_watch_stop(void)
{
	if (!running)
		return;
	pthread_mutex_lock(&lock);
	stopping = true;
	reload = NULL;
	pthread_cond_broadcast(&stop_cond);
	pthread_mutex_unlock(&lock);
	pthread_join(watcher, NULL);
	running = false;
	watch_set_policy(NULL);
}

bool watch_ask_reload(void)
{
	script_reload_fn *fn;
	void *ctx;

	pthread_mutex_lock(&lock);
	fn = reload;
	ctx = reload_ctx;
	pthread_mutex_unlock(&lock);
	if (fn)
		fn(ctx);
	return fn != NULL;
}

static bool same(const struct watch_paths *a, const struct watch_paths *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (!str_eq(a->items[i], b->items[i]))
			return false;
	return a->count == b->count;
}

void watch_set_policy(struct script_policy *p)
{
	struct watch_paths patterns = {NULL, 0, 0};
	struct arena *arena = arena_new(0);

	if (p)
		watch_patterns(p, arena, &patterns);
	pthread_mutex_lock(&lock);
	/* Other files: the next hash is the first. */
	if (!same(&watched, &patterns))
		has_mark = false;
	for (size_t i = 0; i < watched.count; i++)
		free((char *)(uintptr_t)watched.items[i]);
	watched.count = 0;
	for (size_t i = 0; i < patterns.count; i++)
		*ARRAY_ADD(&watched) = xstrdup(patterns.items[i]);
	if (!p) {
		free(watched.items);
		memset(&watched, 0, sizeof watched);
	}
	pthread_mutex_unlock(&lock);
	free(patterns.items);
	arena_unref(arena);
}
