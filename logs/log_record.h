/*
 * log_record.h - what happened to a message, for who sent it
 *
 * One JSON object a line (policy language, 15.2); fields and types are those of
 * KumoMTA, so that consumers written for it work.  The table in log_record.c is
 * the one place that knows the fields; the manual's list comes from it.
 *
 * A record is filled by its producer, turned into JSON at once
 * (log_record_json) and given to the log as text; so nothing of it is shared
 * between threads.
 */
#ifndef LOGS_LOG_RECORD_H
#define LOGS_LOG_RECORD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/value.h"
#include "mail/meta.h"
#include "mail/smtp_reply.h"

enum log_type {
	LOG_RECEPTION,
	LOG_REJECTION,
	LOG_DELIVERY,
	LOG_TRANSIENT_FAILURE,
	LOG_BOUNCE,
	LOG_EXPIRATION,
	LOG_DELAYED,
	LOG_OOB,
	LOG_FEEDBACK,
	LOG_ADMIN_BOUNCE,
	LOG_ADMIN_REBIND,
	LOG_DEFERRED_INJECTION_REBIND,
	LOG_TYPE_COUNT,
};

const char *log_type_name(enum log_type type); /* "TransientFailure" */

struct log_record {
	enum log_type type;
	const char *id, *sender, *queue, *site; /* NULL: "" */
	const char *const *recipients;          /* one: text; several: array */
	size_t recipient_count;
	int64_t size;
	struct smtp_reply response;
	const char *peer_name, *peer_addr; /* both NULL: null */
	int64_t event_ms, created_ms;      /* unix, milliseconds */
	int num_attempts;
	const char *bounce_classification;       /* NULL: "Uncategorized" */
	const char *egress_pool, *egress_source; /* NULL: null */
	const char *source_address;              /* "ip:port"; NULL: null */
	/* "haproxy" or "socks5", and its ip:port; NULL: no proxy */
	const char *source_proxy_protocol, *source_proxy_server;
	const char *delivery_protocol, *reception_protocol; /* NULL: null */
	const char *tls_cipher, *tls_protocol_version;      /* NULL: absent */
	/* "CN=mx.example.com,O=Example": becomes an array of its parts */
	const char *tls_peer_subject_name;
	const char *provider_name, *session_id;
	/* Where captured meta and headers come from; NULL: none.  Which names
	 * are copied is the logger's configuration. */
	const struct meta *meta;
	const char *header_block;
	size_t header_len;
	const struct value *feedback_report;
	/* Of OOB and Feedback: which message of ours it is about; NULL: absent
	 */
	const struct value *linked, *linked_to;
};

struct string_list_view {
	const char *const *items;
	size_t count;
};

/* One line with its newline. meta_names, header_names: exact or trailing '*'.
 */
void log_record_json(const struct log_record *r, const char *nodeid,
    struct string_list_view meta_names, struct string_list_view header_names,
    struct buf *out);

struct bounce_classifier;
/* Fills in bounce_classification where it means something: failures, refusals
 * and reports.  c may be NULL. */
void log_record_classify(struct log_record *r, struct bounce_classifier *c);

/* False when there is no such type. */
bool log_type_parse(const char *name, enum log_type *out) MUST_USE;
/* The fields, their types and meaning: an mdoc list, or text for a terminal. */
void log_record_document(bool mdoc, struct buf *out);

#endif
