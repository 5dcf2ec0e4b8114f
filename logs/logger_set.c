/*
 * logger_set.c - the loggers of a process, and the files that they share
 */
#include "logs/logger_set.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_segment.h"
#include "policy/template.h"

#define BACK_PRESSURE 128000

static struct string_list_view copy_names(
    struct arena *arena, struct string_list_view names)
{
	const char **items = ARENA_ARRAY(arena, const char *, names.count + 1);

	for (size_t i = 0; i < names.count; i++)
		items[i] = arena_strdup(arena, names.items[i]);
	return (struct string_list_view){items, names.count};
}

static bool directory_ready(const char *dir, const char *role, struct err *err)
{
	bool ready = false;

	if (!fd_make_dirs(dir, 0750, err))
		goto out;
	if (access(dir, R_OK | W_OK | X_OK) < 0) {
		(void)err_errno(err, ERR_CONFIG, "%s", dir);
		goto out;
	}
	ready = log_segment_close_leftovers(dir, role, err);
out:
	/* At start this is for the operator, whatever errno says. */
	if (!ready) {
		(void)err_prefix(err, "log_dir");
		err->class = ERR_CONFIG;
	}
	return ready;
}

/* The sink of a logger for this directory and suffix; sinks before `from`
 * belong to other loggers, whose files have other settings. */
static bool sink_for(struct logger_set *set, size_t from,
    const struct logger_settings *settings, const char *dir, const char *suffix,
    const char *header, const char *role, int *out, struct err *err)
{
	struct log_sink *sink;
	struct log_segment_options options;

	for (size_t i = from; i < set->sink_count; i++) {
		if (str_eq(set->sinks[i].dir, dir) &&
		    str_eq(set->sinks[i].suffix, suffix)) {
			*out = (int)i;
			return true;
		}
	}
	if (!directory_ready(dir, role, err))
		return false;
	sink = &set->sinks[set->sink_count];
	sink->dir = arena_strdup(set->arena, dir);
	sink->suffix = arena_strdup(set->arena, suffix);
	sink->floors = settings->floors;
	options = (struct log_segment_options){
	    .dir = dir,
	    .suffix = suffix,
	    .header = header,
	    .role = role,
	    .compression_level = settings->compression_level,
	    .max_file_size = settings->max_file_size > 0
				 ? settings->max_file_size
				 : 1000000000,
	    .max_duration_ms = settings->max_segment_duration.ms,
	};
	sink->segment = log_segment_new(&options);
	*out = (int)set->sink_count++;
	return true;
}

static bool add_logger(struct logger_set *set,
    const struct logger_settings *settings, const char *role, struct err *err)
{
	struct logger *logger = &set->loggers[set->logger_count++];
	size_t from = set->sink_count;

	logger->meta = copy_names(set->arena, settings->meta);
	logger->headers = copy_names(set->arena, settings->headers);
	logger->filter_event = arena_strdup(set->arena, settings->filter_event);
	if (settings->back_pressure > 0 &&
	    settings->back_pressure < set->back_pressure)
		set->back_pressure = settings->back_pressure;
	for (int type = 0; type < LOG_TYPE_COUNT; type++) {
		const char *dir = settings->per_record[type].log_dir;
		const char *suffix = settings->per_record[type].suffix;

		logger->sink[type] = -1;
		if (settings->per_record[type].template) {
			logger->templates[type] = template_compile(
			    settings->per_record[type].template, set->arena,
			    err);
			if (!logger->templates[type])
				return false;
		}
		if (settings->per_record[type].enabled &&
		    !sink_for(set, from, settings,
			dir ? dir : settings->log_dir, suffix ? suffix : "",
			settings->per_record[type].segment_header, role,
			&logger->sink[type], err))
			return false;
	}
	return true;
}

bool logger_set_open(struct logger_set *set,
    const struct logger_settings *loggers, size_t count, const char *role,
    struct arena *arena, struct err *err)
{
	set->arena = arena;
	set->loggers = xcalloc(count + 1, sizeof *set->loggers);
	set->sinks = xcalloc(count * LOG_TYPE_COUNT + 1, sizeof *set->sinks);
	set->back_pressure = BACK_PRESSURE;
	for (size_t i = 0; i < count; i++)
		if (!add_logger(set, &loggers[i], role, err))
			return false;
	return true;
}

void logger_set_release(struct logger_set *set)
{
	for (size_t i = 0; i < set->sink_count; i++)
		log_segment_free(set->sinks[i].segment);
	free(set->sinks);
	free(set->loggers);
}

bool logger_must_ask(const struct logger *logger, enum log_type type)
{
	return logger->filter_event && type != LOG_REJECTION;
}

const struct logger *logger_set_asking(const struct logger_set *set, size_t i)
{
	for (size_t n = 0; n < set->logger_count; n++)
		if (set->loggers[n].filter_event && i-- == 0)
			return &set->loggers[n];
	return NULL;
}

static bool same_floors(
    const struct free_floors *a, const struct free_floors *b)
{
	return a->bytes.least == b->bytes.least &&
	       a->bytes.percent == b->bytes.percent &&
	       a->inodes.least == b->inodes.least &&
	       a->inodes.percent == b->inodes.percent;
}

bool logger_set_has_room(const struct logger_set *set, struct err *err)
{
	for (size_t i = 0; i < set->sink_count; i++) {
		const struct log_sink *sink = &set->sinks[i];

		/* Another suffix in the same directory. */
		if (i > 0 && str_eq(sink->dir, sink[-1].dir) &&
		    same_floors(&sink->floors, &sink[-1].floors))
			continue;
		if (!free_space_enough(sink->dir, &sink->floors, err))
			return err_prefix(err, "log_dir");
	}
	return true;
}

bool logger_set_flush(struct logger_set *set, struct err *err)
{
	bool all = true;

	/* A full disk behind one sink does not keep the others from theirs. */
	for (size_t i = 0; i < set->sink_count; i++)
		all = log_segment_flush(set->sinks[i].segment, err) && all;
	return all;
}

int64_t logger_set_tick(struct logger_set *set)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < set->sink_count; i++) {
		int64_t at;

		log_segment_tick(set->sinks[i].segment);
		at = log_segment_due(set->sinks[i].segment);
		if (at < due)
			due = at;
	}
	/* Look every second, so that a test's clock that jumps is seen. */
	if (due != INT64_MAX && due > clock_now_ms() + 1000)
		due = clock_now_ms() + 1000;
	return due;
}
