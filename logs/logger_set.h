/*
 * logger_set.h - the loggers of a process, and the files that they share
 *
 * Private to log_writer.c.  Each logger has for each type of record that it
 * wants a sink: a directory and a suffix, with a segment (log_segment.h).
 * Types of one logger that name the same place share its sink; loggers never
 * do, because their files have other settings.
 *
 * Threads: read by any once opened; segments, flush and tick are the log
 *	   thread's.
 * Errors:  opening: ERR_CONFIG, for the operator; flushing: as log_segment.h.
 */
#ifndef LOGS_LOGGER_SET_H
#define LOGS_LOGGER_SET_H

#include "logs/log_writer.h"

struct log_segment;
struct template;

struct log_sink {
	const char *dir, *suffix;
	struct free_floors floors;
	struct log_segment *segment;
};

struct logger {
	struct string_list_view meta, headers;
	const struct template *templates[LOG_TYPE_COUNT]; /* NULL: JSON */
	const char *filter_event;                         /* NULL: none */
	int sink[LOG_TYPE_COUNT]; /* index; -1: not wanted */
};

struct logger_set {
	struct arena *arena; /* the writer's */
	struct logger *loggers;
	size_t logger_count;
	struct log_sink *sinks;
	size_t sink_count;
	int64_t back_pressure; /* records; the least of all loggers' */
};

/* Creates directories, compiles templates; texts are copied to the arena.
 * Release it when this fails, too. */
bool logger_set_open(struct logger_set *set,
    const struct logger_settings *loggers, size_t count, const char *role,
    struct arena *arena, struct err *err) MUST_USE;
/* Finishes the segments; fine for one that is all zeros. */
void logger_set_release(struct logger_set *set);

/* Has to ask the policy before it writes this type. */
bool logger_must_ask(const struct logger *logger, enum log_type type);
/* Number i of those that ask; NULL: there are not so many. */
const struct logger *logger_set_asking(const struct logger_set *set, size_t i);

/* False (ERR_TEMP): a directory has less room than its logger demands. */
bool logger_set_has_room(const struct logger_set *set, struct err *err)
    MUST_USE;
/* True: all that was put is in the files. */
bool logger_set_flush(struct logger_set *set, struct err *err) MUST_USE;
/* Segments do what is due; returns when to call again, clock_now_ms();
 * INT64_MAX: not needed. */
int64_t logger_set_tick(struct logger_set *set);

#endif
