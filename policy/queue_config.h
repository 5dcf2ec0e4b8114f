/*
 * queue_config.h - how a scheduled queue treats its mail (policy, 10.2, 10.4)
 */
#ifndef POLICY_QUEUE_CONFIG_H
#define POLICY_QUEUE_CONFIG_H

#include "base/duration.h"
#include "base/ip.h"
#include "policy/param.h"
#include "policy/rate.h"

enum protocol_kind { PROTOCOL_SMTP, PROTOCOL_MAILDIR, PROTOCOL_LUA };
enum refresh_strategy { REFRESH_TTL, REFRESH_EPOCH };

struct template;

/* One entry of protocol.smtp.mx_list: text, or {name=, addr=}. */
struct mx_entry {
	const char *label; /* for the site name: the text, or addr */
	const char *name;  /* what records show; the host name to verify */
	const char *path;  /* a unix socket; the rest is unset */
	const char *host;  /* a name to resolve; NULL when ip is set */
	struct ip_addr ip; /* family 0: resolve host */
	uint16_t port;     /* 0: the path's smtp_port */
};

enum maildir_lines { MAILDIR_CRLF, MAILDIR_LF };

struct protocol {
	uint64_t given[2];
	enum protocol_kind kind;
	struct mx_entry *mx_list; /* count 0: resolve MX */
	size_t mx_count;
	bool treat_mx_list_as_secure;
	const char *maildir_path;                /* template */
	const struct template *maildir_template; /* the same, compiled */
	int64_t dir_mode, file_mode;             /* -1: umask decides */
	bool return_path, delivered_to;          /* fields for a maildir */
	enum maildir_lines line_endings;
	const char *constructor;
	int64_t batch_size, min_batch_size;
	struct duration max_batch_latency;
};

struct queue_config {
	uint64_t given[2];
	struct protocol protocol;
	const char *egress_pool; /* NULL: "unspecified" */
	struct duration retry_interval, max_retry_interval, max_age;
	bool has_max_retry_interval;
	const struct rate *max_message_rate;
	struct duration refresh_interval;
	enum refresh_strategy refresh_strategy;
	struct duration reap_interval;
	const char *provider_name;
};

/* One text of an mx_list: name, name:port, [ip], [ipv6:addr], ip, ip:port,
 * [ip]:port, or the absolute path of a unix socket (policy language, 3.8). */
bool mx_entry_parse(const char *text, struct arena *arena, struct mx_entry *out,
    struct err *err) MUST_USE;

/* "Ttl", "Epoch"; for tables */
extern const struct param_enum_name refresh_strategy_names[];

extern const struct param_set queue_config_params; /* make_queue_config */
const struct queue_config *queue_config_defaults(void);
/* Of the queue of new mail that waits for the router's part of the policy
 * (policy language, 17.3). */
const struct queue_config *queue_config_deferred(void);

#endif
