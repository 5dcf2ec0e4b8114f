/*
 * egress_path.c - the rows of kumo.make_egress_path
 *
 * The timeouts are longer than an impatient sender would like because RFC 5321,
 * 4.5.3.2, asks for them.
 */
#include "policy/egress_path.h"

#include "policy/param_rows.h"
#include "policy/queue_config.h"

static const struct param_enum_name tls_names[] = {
    {"Disabled", TLS_DISABLED},
    {"Opportunistic", TLS_OPPORTUNISTIC},
    {"OpportunisticInsecure", TLS_OPPORTUNISTIC_INSECURE},
    {"Required", TLS_REQUIRED},
    {"RequiredInsecure", TLS_REQUIRED_INSECURE},
    {NULL, 0},
};

static const struct param_enum_name lookup_names[] = {
    {"Ipv4AndIpv6", LOOKUP_V4_AND_V6},
    {"Ipv4Only", LOOKUP_V4_ONLY},
    {"Ipv6Only", LOOKUP_V6_ONLY},
    {"Ipv4ThenIpv6", LOOKUP_V4_THEN_V6},
    {"Ipv6ThenIpv4", LOOKUP_V6_THEN_V4},
    {NULL, 0},
};

static const struct param_enum_name reconnect_names[] = {
    {"ConnectNextHost", RECONNECT_NEXT_HOST},
    {"ReconnectSameHost", RECONNECT_SAME_HOST},
    {"TerminateSession", RECONNECT_TERMINATE},
    {NULL, 0},
};

/* For keys that are only checked. */
static const struct param_enum_name wakeup_names[] = {
    {"Aggressive", 0},
    {"Relaxed", 1},
    {NULL, 0},
};

static const struct param_enum_name shrink_names[] = {
    {"ShrinkDataAndMeta", 0},
    {"ShrinkData", 1},
    {"NoShrink", 2},
    {NULL, 0},
};

/* Rows without PARAM_AT_ONCE decide how a connection is made, used or trusted:
 * another answer there ends those that are open. */
#define S egress_path
static const struct param_spec specs[] = {
    P_LIMIT(S, connection_limit, .flags = PARAM_AT_ONCE, .fallback = "32",
	.help = "Connections at one time from one source to one site."),
    P_LIMIT_MAP(S, additional_connection_limits, .flags = PARAM_AT_ONCE,
	.fallback = "{}",
	.help = "Further limits of connections at one time, by name. All "
		"paths that use a name share its connections, and every limit "
		"has to allow a new one."),
    P_RATE(S, max_connection_rate, .flags = PARAM_AT_ONCE,
	.help = "How fast new connections are made, from one source to one "
		"site. Messages wait for a connection in memory while that "
		"takes less than idle_timeout, else in the queue."),
    P_RATE(S, max_message_rate, .flags = PARAM_AT_ONCE,
	.help = "How fast messages are sent, from one source to one site. "
		"They wait on an open connection while that takes less than "
		"idle_timeout, else in the queue, with attempts unchanged."),
    P_RATE_MAP(S, additional_message_rate_throttles, .flags = PARAM_AT_ONCE,
	.fallback = "{}",
	.help = "Further rates of messages, by name. All paths that use a "
		"name with the same rate share it, and every rate has to allow "
		"a message."),
    P_RATE(S, source_selection_rate, .flags = PARAM_AT_ONCE,
	.help = "How often the source may be chosen for the site. While that "
		"is too often, another source of the pool is chosen; without "
		"another the message is deferred: 451 4.4.4."),
    P_RATE_MAP(S, additional_source_selection_rates, .flags = PARAM_AT_ONCE,
	.fallback = "{}",
	.help = "Further rates of choice, by name. All paths that use a name "
		"with the same rate share it."),
    P_INT(S, max_deliveries_per_connection, 1, INT64_MAX, .fallback = "1024",
	.help = "Messages on one connection; then a new one is made."),
    P_INT(S, max_ready, 1, INT64_MAX, .flags = PARAM_AT_ONCE,
	.fallback = "1024",
	.help = "Messages that wait in memory for a connection."),
    P_INT(S, max_recipients_per_batch, 1, INT64_MAX, .fallback = "100",
	.help = "Recipients of one transaction; further ones follow at once "
		"in another."),
    P_INT(S, smtp_port, 1, 65535, .fallback = "25",
	.help = "The port to connect to, unless the source, an mx_list or the "
		"domain names one."),
    P_STRING(S, ehlo_domain, .shown = "the source's, or the host's name",
	.help = "Name to present in EHLO. It wins over the source's."),
    P_ENUM(S, enable_tls, tls_names, .fallback = "Opportunistic",
	.help = "Whether to use STARTTLS. Opportunistic verifies the "
		"certificate when the peer offers it; with "
		"OpportunisticInsecure any certificate will do."),
    P_BOOL(S, enable_mta_sts, .fallback = "true",
	.help = "Whether to follow the MTA-STS policies of domains (RFC "
		"8461): one that enforces makes TLS Required and allows only "
		"the hosts that it names, one that tests makes it "
		"OpportunisticInsecure. See penstock-router(8)."),
    P_BOOL(S, enable_dane, .fallback = "false",
	.help = "Whether to verify certificates by the TLSA records of hosts "
		"that DNSSEC leads to (RFC 7672). A host whose records cannot "
		"be had is passed over. Needs a trust anchor: see "
		"penstock-router(8)."),
    P_BOOL(S, implicit_tls, .shown = "true on port 465",
	.help = "Whether TLS begins with the first byte, without STARTTLS "
		"(RFC 8314). Not in the original language."),
    P_KEY_SOURCE(S, tls_certificate,
	.help = "The certificate to present to the peer, and those that lead "
		"to an authority, as PEM. With tls_private_key. Looked at "
		"again every 5 minutes."),
    P_KEY_SOURCE(S, tls_private_key, .flags = PARAM_SECRET,
	.help = "The key that belongs to tls_certificate."),
    P_KEY_SOURCE(S, tls_ca_certificates,
	.shown = "those of the router's --ca-file, or the system's",
	.help = "Certificate authorities to trust here, and no others, as "
		"PEM: for a smart host with an authority of its own. Not in "
		"the original language."),
    P_BOOL(S, opportunistic_tls_reconnect_on_failed_handshake,
	.fallback = "false",
	.help = "Whether to connect again without TLS when an opportunistic "
		"handshake failed, a certificate that does not hold "
		"included."),
    P_DURATION(S, remember_broken_tls,
	.shown = "15 minutes with "
		 "opportunistic_tls_reconnect_on_failed_handshake",
	.help = "How long to do without opportunistic TLS at a site where it "
		"failed."),
    P_BOOL(S, tls_prefer_openssl, .flags = PARAM_IGNORED, .fallback = "false",
	.help = "Ignored: TLS is always OpenSSL's."),
    P_STRING(S, openssl_cipher_list,
	.help = "Ciphers up to TLS 1.2, as openssl-ciphers(1) writes them."),
    P_STRING(S, openssl_cipher_suites,
	.help = "Cipher suites of TLS 1.3, joined by colons."),
    P_STRING(S, openssl_options,
	.help = "Options of OpenSSL, joined by |: the names of "
		"SSL_CTX_set_options(3) without SSL_OP_, in capitals, such as "
		"NO_TLSV1_2|NO_TICKET."),
    P_STRING_LIST(S, rustls_cipher_suites, .flags = PARAM_IGNORED,
	.fallback = "{}", .help = "Ignored: TLS is always OpenSSL's."),
    P_STRING(S, smtp_auth_plain_username,
	.help = "User for AUTH PLAIN, or LOGIN where the host offers only "
		"that. A host that refuses is passed over."),
    P_KEY_SOURCE(S, smtp_auth_plain_password, .flags = PARAM_SECRET,
	.help = "Password for AUTH. Looked at again every 5 minutes."),
    P_BOOL(S, allow_smtp_auth_plain_without_tls, .fallback = "false",
	.help = "Whether the password may be sent in clear text."),
    P_BOOL(S, allow_smtp_auth_plain_without_valid_certificate,
	.fallback = "false",
	.help = "Whether the password may be sent to a host whose certificate "
		"was not verified."),
    P_DURATION(S, connect_timeout, .fallback = "60s",
	.help = "How long a connection may take."),
    P_DURATION(S, banner_timeout, .fallback = "60s",
	.help = "How long the greeting may take."),
    P_DURATION(S, ehlo_timeout, .fallback = "300s",
	.help = "How long the answer to EHLO may take."),
    P_DURATION(S, auth_timeout, .fallback = "60s",
	.help = "How long the answer to AUTH may take."),
    P_DURATION(S, starttls_timeout, .fallback = "5s",
	.help = "How long STARTTLS and the handshake may take."),
    P_DURATION(S, rset_timeout, .fallback = "5s",
	.help = "How long the answer to RSET may take."),
    P_DURATION(S, mail_from_timeout, .fallback = "300s",
	.help = "How long the answer to MAIL may take."),
    P_DURATION(S, rcpt_to_timeout, .fallback = "300s",
	.help = "How long the answer to a RCPT may take."),
    P_DURATION(S, data_timeout, .fallback = "300s",
	.help = "How long the answer to DATA, and each write of the content, "
		"may take."),
    P_DURATION(S, data_dot_timeout, .fallback = "300s",
	.help = "How long the answer to the content may take. Giving up early "
		"makes duplicates."),
    P_DURATION(S, idle_timeout, .fallback = "5s",
	.help = "How long an idle connection is kept for another message."),
    P_DURATION(S, system_shutdown_timeout, .flags = PARAM_AT_ONCE,
	.help = "How long a session may go on with what it is at when the "
		"router stops; then it is dropped, and the message tried "
		"again. Absent: 30 seconds. Beyond a minute the service "
		"manager has to be patient, too (TimeoutStopSec)."),
    P_CIDR_LIST(S, prohibited_hosts,
	.fallback = "127.0.0.0/8, ::1, 0.0.0.0, ::",
	.help = "Addresses never to connect to. A site that has one of them "
		"bounces: 550 5.4.4."),
    P_CIDR_LIST(S, skip_hosts, .fallback = "{}",
	.help = "Addresses to leave out of a site's."),
    P_ENUM(S, ip_lookup_strategy, lookup_names, .fallback = "Ipv4AndIpv6",
	.help = "Which families of addresses to look up, and in which order "
		"to try them."),
    P_BOOL(S, use_lmtp, .fallback = "false",
	.help = "Whether to speak LMTP (RFC 2033) instead of SMTP: the host "
		"answers for each recipient."),
    P_BOOL(S, enable_pipelining, .fallback = "true",
	.help = "Whether to send commands in one flight when the peer offers "
		"PIPELINING."),
    P_BOOL(S, enable_rset, .fallback = "true",
	.help = "Whether to send RSET before the second and later messages of "
		"a connection. After a failed transaction it is always sent."),
    P_INT(S, consecutive_connection_failures_before_delay, 0, INT64_MAX,
	.flags = PARAM_AT_ONCE, .fallback = "100",
	.help = "After more failures in a row than this, what waits for the "
		"site is deferred without a try of its own."),
    P_ENUM(S, reconnect_strategy, reconnect_names,
	.fallback = "ConnectNextHost",
	.help = "What to do when a connection is lost while messages wait for "
		"it."),
    P_BOOL(S, try_next_host_on_transport_error, .fallback = "false",
	.help = "Whether to try a message on the site's next host, instead of "
		"deferring it, when the connection is lost or times out "
		"before the whole content was sent."),
    P_BOOL(S, ignore_8bit_checks, .fallback = "false",
	.help = "Whether to send 8-bit content and addresses to a peer that "
		"does not offer to take them."),
    P_STRING(S, provider_name, .flags = PARAM_AT_ONCE,
	.help = "Whose site it is; copied to log records."),
    P_DURATION(S, refresh_interval, .flags = PARAM_AT_ONCE, .fallback = "60s",
	.help = "How long the parameters are used before asking again."),
    P_ENUM(S, refresh_strategy, refresh_strategy_names, .flags = PARAM_AT_ONCE,
	.fallback = "Ttl",
	.help = "Whether to ask again after refresh_interval, or only when "
		"the policy changes."),
    P_DURATION(S, dispatcher_progress_watchdog_timeout,
	.shown = "the timeouts of the steps",
	.help =
	    "How long a connection may be at the same step of a delivery "
	    "(connected, without a reply, or without taking any of the "
	    "content; for custom_lua, in send or send_batch), where that is "
	    "shorter than the step's own limit: then it is dropped, and the "
	    "attempt has failed with 451 4.4.1.  0: the limits of the steps "
	    "alone."),
    P_NOWHERE("aggressive_connection_opening", PARAM_BOOL,
	.flags = PARAM_IGNORED, .fallback = "false",
	.help = "Ignored: tuning of another engine."),
    P_NOWHERE("dispatcher_wakeup_strategy", PARAM_STRING,
	.flags = PARAM_IGNORED, .names = wakeup_names,
	.help = "Ignored: tuning of another engine."),
    P_NOWHERE("maintainer_wakeup_strategy", PARAM_STRING,
	.flags = PARAM_IGNORED, .names = wakeup_names,
	.help = "Ignored: tuning of another engine."),
    P_NOWHERE("readyq_pool_name", PARAM_STRING, .flags = PARAM_IGNORED,
	.help = "Ignored: tuning of another engine."),
    P_NOWHERE("low_memory_reduction_policy", PARAM_STRING,
	.flags = PARAM_IGNORED, .names = shrink_names,
	.help = "Ignored: tuning of another engine."),
    P_NOWHERE("no_memory_reduction_policy", PARAM_STRING,
	.flags = PARAM_IGNORED, .names = shrink_names,
	.help = "Ignored: tuning of another engine."),
};
#undef S

_Static_assert(COUNT(specs) <= 128, "the bitmap of given keys is too small");

const char *const egress_path_openssl_options[] = {"ALL", "ALLOW_NO_DHE_KEX",
    "ALLOW_UNSAFE_LEGACY_RENEGOTIATION", "CIPHER_SERVER_PREFERENCE",
    "COOKIE_EXCHANGE", "CRYPTOPRO_TLSEXT_BUG", "DONT_INSERT_EMPTY_FRAGMENTS",
    "ENABLE_MIDDLEBOX_COMPAT", "LEGACY_SERVER_CONNECT", "NO_COMPRESSION",
    "NO_ENCRYPT_THEN_MAC", "NO_QUERY_MTU", "NO_RENEGOTIATION",
    "NO_SESSION_RESUMPTION_ON_RENEGOTIATION", "NO_SSLV2", "NO_SSLV3",
    "NO_SSL_MASK", "NO_TICKET", "NO_TLSV1", "NO_TLSV1_1", "NO_TLSV1_2",
    "NO_TLSV1_3", "PRIORITIZE_CHACHA", "SAFARI_ECDHE_ECDSA_BUG",
    "SINGLE_DH_USE", "SINGLE_ECDH_USE", "TLSEXT_PADDING", "TLS_ROLLBACK_BUG",
    NULL};

static bool check_options(const char *text, struct err *err)
{
	while (text && *text) {
		const char *const *name = egress_path_openssl_options;
		size_t len = strcspn(text, "|");

		while (*name &&
		       (strlen(*name) != len || memcmp(*name, text, len) != 0))
			name++;
		if (!*name)
			return err_set(err, ERR_CONFIG,
			    "openssl_options: invalid value: \"%.*s\" is no "
			    "option, expected names such as NO_TLSV1_2 joined "
			    "by |",
			    (int)(len < 60 ? len : 60), text);
		text += len;
		text += *text == '|';
	}
	return true;
}

static bool check(const void *record, struct err *err)
{
	const struct egress_path *path = record;

	if (!path->tls_certificate != !path->tls_private_key)
		return err_set(err, ERR_CONFIG, "%s: required with %s",
		    path->tls_certificate ? "tls_private_key"
					  : "tls_certificate",
		    path->tls_certificate ? "tls_certificate"
					  : "tls_private_key");
	if (path->smtp_auth_plain_password && !path->smtp_auth_plain_username)
		return err_set(err, ERR_CONFIG,
		    "smtp_auth_plain_username: required with "
		    "smtp_auth_plain_password");
	if (path->implicit_tls && path->enable_tls == TLS_DISABLED)
		return err_set(err, ERR_CONFIG,
		    "implicit_tls: contradicts enable_tls = \"Disabled\"");
	return check_options(path->openssl_options, err) &&
	       param_check_word("ehlo_domain", path->ehlo_domain, err);
}

const struct param_set egress_path_params = {
    .name = "make_egress_path",
    .intro = "How to speak to one site from one source.",
    .record_size = sizeof(struct egress_path),
    .specs = specs,
    .count = COUNT(specs),
    .check = check,
};

const struct egress_path *egress_path_defaults(void)
{
	static const void *_Atomic slot;

	return param_constant(&egress_path_params, NULL, &slot);
}

bool egress_path_implicit_tls(const struct egress_path *path, uint16_t port)
{
	if (param_given(&egress_path_params, path, "implicit_tls"))
		return path->implicit_tls;
	return port == 465 && path->enable_tls != TLS_DISABLED;
}

int64_t egress_path_shutdown_ms(const struct egress_path *path)
{
	return param_given(&egress_path_params, path, "system_shutdown_timeout")
		   ? path->system_shutdown_timeout.ms
		   : EGRESS_PATH_SHUTDOWN_MS;
}

int64_t egress_path_broken_tls_ms(const struct egress_path *path)
{
	if (param_given(&egress_path_params, path, "remember_broken_tls"))
		return path->remember_broken_tls.ms;
	return path->opportunistic_tls_reconnect_on_failed_handshake
		   ? 15 * 60000
		   : 0;
}
