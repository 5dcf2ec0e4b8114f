/*
 * log_config.h - kumo.configure_local_logs (policy language, 15.1)
 */
#ifndef POLICY_LOG_CONFIG_H
#define POLICY_LOG_CONFIG_H

#include "base/duration.h"
#include "policy/param.h"

/* What per_record says of one type of record. */
struct log_per_record {
	uint64_t given[2];
	const char *type; /* "Delivery", or "Any" */
	bool enable;
	const char *suffix;  /* NULL: none */
	const char *log_dir; /* NULL: the log's own */
	const char *template;
	const char *segment_header;
};

struct log_config {
	uint64_t given[2];
	const char *log_dir;
	int64_t max_file_size;                /* uncompressed bytes */
	struct duration max_segment_duration; /* 0: none */
	int64_t compression_level;
	struct string_list meta, headers;
	const struct log_per_record *per_record;
	size_t per_record_count;
	const char *filter_event;
	int64_t back_pressure;
	const struct value *min_free_space, *min_free_inodes;
};

/* What holds for records of this type: its own entry, that of "Any", or the
 * defaults.  Never NULL. */
const struct log_per_record *log_config_for(
    const struct log_config *config, const char *type);

extern const struct param_set log_config_params; /* configure_local_logs */

#endif
