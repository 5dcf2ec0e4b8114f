/*
 * log_setup.c - from kumo.configure_local_logs to a running log
 */
#include "logs/log_setup.h"

/* When the policy names no floor: that much, or 10 % where that is less. */
#define BYTES_KEPT (INT64_C(256) << 20)
#define INODES_KEPT 1000

static bool read_config(const struct log_config *config,
    struct logger_settings *out, struct err *err)
{
	*out = (struct logger_settings){
	    .log_dir = config->log_dir,
	    .max_file_size = config->max_file_size,
	    .max_segment_duration = config->max_segment_duration,
	    .compression_level = (int)config->compression_level,
	    .meta = {config->meta.items, config->meta.count},
	    .headers = {config->headers.items, config->headers.count},
	    .back_pressure = config->back_pressure,
	    .filter_event = config->filter_event,
	    .floors = {config->min_free_space, config->min_free_inodes},
	};
	if (out->floors.bytes.percent == 0)
		out->floors.bytes = (struct free_floor){BYTES_KEPT, 10};
	if (out->floors.inodes.percent == 0)
		out->floors.inodes = (struct free_floor){INODES_KEPT, 10};
	for (int i = 0; i < LOG_TYPE_COUNT; i++) {
		const char *type = log_type_name((enum log_type)i);
		const struct log_per_record *r =
		    log_per_record_for(&config->per_record, type);

		if (r->suffix && strchr(r->suffix, '/'))
			return err_set(err, ERR_CONFIG,
			    "per_record: %s: suffix: \"/\" may not stand in it",
			    type);
		out->per_record[i].enabled = r->enable;
		out->per_record[i].suffix = r->suffix;
		out->per_record[i].log_dir = r->log_dir;
		out->per_record[i].template = r->template;
		out->per_record[i].segment_header = r->segment_header;
	}
	return true;
}

bool log_setup_read(const struct log_config *const *configs, size_t count,
    struct arena *arena, struct logger_settings **out, struct err *err)
{
	struct logger_settings *all =
	    ARENA_ARRAY(arena, struct logger_settings, count + 1);

	for (size_t i = 0; i < count; i++) {
		if (!read_config(configs[i], &all[i], err))
			return err_prefix(err, "configure_local_logs (%s)",
			    configs[i]->log_dir);
	}
	*out = all;
	return true;
}

struct log_writer *log_writer_start_config(
    const struct log_config *const *configs, size_t count, const char *role,
    const char *nodeid, struct err *err)
{
	struct arena *arena = arena_new(0);
	struct logger_settings *settings = NULL;
	struct log_writer *writer = NULL;

	if (log_setup_read(configs, count, arena, &settings, err))
		writer = log_writer_start(settings, count, role, nodeid, err);
	arena_unref(arena);
	return writer;
}

static bool same_config(const struct log_config *a, const struct log_config *b)
{
	struct arena *arena = arena_new(0);
	struct value va = param_read_all(&log_config_params, a, arena);
	struct value vb = param_read_all(&log_config_params, b, arena);
	bool same = value_eq(&va, &vb);

	arena_unref(arena);
	return same;
}

bool log_setup_same(const struct log_config *const *a, size_t a_count,
    const struct log_config *const *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++) {
		if (!same_config(a[i], b[i]))
			return false;
	}
	return true;
}
