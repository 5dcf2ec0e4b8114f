/*
 * egress_path.h - how to speak to one site from one source (policy, 12.5)
 */
#ifndef POLICY_EGRESS_PATH_H
#define POLICY_EGRESS_PATH_H

#include "base/cidr.h"
#include "base/duration.h"
#include "policy/named_limits.h"
#include "policy/param.h"
#include "policy/rate.h"

enum tls_mode {
	TLS_DISABLED,
	TLS_OPPORTUNISTIC,
	TLS_OPPORTUNISTIC_INSECURE,
	TLS_REQUIRED,
	TLS_REQUIRED_INSECURE,
};

enum ip_lookup_strategy {
	LOOKUP_V4_AND_V6,
	LOOKUP_V4_ONLY,
	LOOKUP_V6_ONLY,
	LOOKUP_V4_THEN_V6,
	LOOKUP_V6_THEN_V4,
};

enum reconnect_strategy {
	RECONNECT_NEXT_HOST,
	RECONNECT_SAME_HOST,
	RECONNECT_TERMINATE,
};

struct egress_path {
	uint64_t given[2];
	int64_t connection_limit;
	struct named_limits additional_connection_limits;
	const struct rate *max_connection_rate; /* NULL: none */
	const struct rate *max_message_rate;
	struct named_rates additional_message_rate_throttles;
	const struct rate *source_selection_rate;
	struct named_rates additional_source_selection_rates;
	int64_t max_deliveries_per_connection;
	int64_t max_ready;
	int64_t max_recipients_per_batch;
	int64_t smtp_port;
	const char *ehlo_domain; /* NULL: the source's, else the host's name */
	enum tls_mode enable_tls;
	bool enable_mta_sts, enable_dane;
	bool implicit_tls; /* not given: on port 465 */
	const struct value *tls_certificate, *tls_private_key;
	const struct value *tls_ca_certificates;
	bool opportunistic_tls_reconnect_on_failed_handshake;
	struct duration remember_broken_tls;
	bool tls_prefer_openssl;
	const char *openssl_cipher_list, *openssl_cipher_suites;
	const char *openssl_options;
	struct string_list rustls_cipher_suites;
	const char *smtp_auth_plain_username;
	const struct value *smtp_auth_plain_password;
	bool allow_smtp_auth_plain_without_tls;
	bool allow_smtp_auth_plain_without_valid_certificate;
	struct duration connect_timeout, banner_timeout, ehlo_timeout;
	struct duration auth_timeout, starttls_timeout, rset_timeout;
	struct duration mail_from_timeout, rcpt_to_timeout;
	struct duration data_timeout, data_dot_timeout, idle_timeout;
	struct duration system_shutdown_timeout;
	struct cidr_list prohibited_hosts, skip_hosts;
	enum ip_lookup_strategy ip_lookup_strategy;
	bool use_lmtp, enable_pipelining, enable_rset;
	int64_t consecutive_connection_failures_before_delay;
	enum reconnect_strategy reconnect_strategy;
	bool try_next_host_on_transport_error;
	bool ignore_8bit_checks;
	struct duration dispatcher_progress_watchdog_timeout; /* 0: none */
	const char *provider_name;
	struct duration refresh_interval;
	int refresh_strategy; /* enum refresh_strategy, queue_config.h */
};

extern const struct param_set egress_path_params; /* make_egress_path */
const struct egress_path *egress_path_defaults(void);
/* Is TLS the first thing on a connection to this port? */
bool egress_path_implicit_tls(const struct egress_path *path, uint16_t port);
/* How long opportunistic TLS that failed is left alone; 0: not at all. */
int64_t egress_path_broken_tls_ms(const struct egress_path *path);
/* What a session may still take when the router stops. */
#define EGRESS_PATH_SHUTDOWN_MS 30000
int64_t egress_path_shutdown_ms(const struct egress_path *path);
/* The words of openssl_options; ends with NULL. */
extern const char *const egress_path_openssl_options[];

#endif
