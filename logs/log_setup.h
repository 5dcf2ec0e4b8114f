/*
 * log_setup.h - from kumo.configure_local_logs to a running log
 *
 * Both daemons start their log thread from what the policy declared
 * (policy_setup.logs); `penstock check` only reads it, to say what is wrong.
 */
#ifndef LOGS_LOG_SETUP_H
#define LOGS_LOG_SETUP_H

#include "logs/log_writer.h"
#include "policy/log_config.h"

/* Texts are those of the configurations; lists live in `arena`.  ERR_CONFIG
 * names the logger and the key. */
bool log_setup_read(const struct log_config *const *configs, size_t count,
    struct arena *arena, struct logger_settings **out, struct err *err)
    MUST_USE;

/* log_writer_start with what was declared; keeps nothing of it, so the policy
 * may go. */
struct log_writer *log_writer_start_config(
    const struct log_config *const *configs, size_t count, const char *role,
    const char *nodeid, struct err *err) MUST_USE;

/* Does a reloaded policy declare the same?  If not, a restart is needed, and
 * the one who reloads says so. */
bool log_setup_same(const struct log_config *const *a, size_t a_count,
    const struct log_config *const *b, size_t b_count);

#endif
