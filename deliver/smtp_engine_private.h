/*
 * smtp_engine_private.h - what the three files of the engine share
 *
 * smtp_engine.c has the stages, the greeting and the ends; smtp_auth.c what is
 * said for a path with a user; smtp_transaction.c the script of one message.
 */
#ifndef DELIVER_SMTP_ENGINE_PRIVATE_H
#define DELIVER_SMTP_ENGINE_PRIVATE_H

#include "deliver/smtp_bounds.h"
#include "deliver/smtp_command.h"
#include "deliver/smtp_engine.h"

enum smtp_stage {
	STAGE_BANNER,
	STAGE_EHLO,
	STAGE_HELO,
	STAGE_STARTTLS,
	STAGE_HANDSHAKE,
	STAGE_AUTH_PLAIN,
	STAGE_AUTH_LOGIN,
	STAGE_AUTH_USER,
	STAGE_AUTH_PASSWORD,
	STAGE_READY,
	STAGE_RSET,
	STAGE_MAIL,
	STAGE_RCPT,
	STAGE_DATA,
	STAGE_CONTENT,
	STAGE_DOT,
	STAGE_LONE_DOT,
	STAGE_QUIT,
	STAGE_CLOSED,
	STAGE_COUNT,
};

struct smtp_engine {
	const struct egress_path *path;
	const char *ehlo_name, *id;
	struct buf *out;
	struct smtp_reply_parser *parser;
	struct arena *greeting; /* texts of this connection's greeting */
	/* Texts of replies as they come; what is kept is copied. */
	struct arena *heard;
	enum smtp_stage stage;
	int64_t deadline;
	bool watched; /* it is the watchdog's, not that of the stage */
	struct smtp_extensions can;
	struct smtp_terms terms;
	bool tls_up, tls_given_up;
	bool tls_failed;  /* why the candidate failed */
	bool tls_refused; /* STARTTLS was not offered, or answered otherwise */
	bool cut_short;   /* it ended within a job, before the final dot */
	bool out_of_turn; /* the reply that is coming answers nothing */
	size_t due;       /* replies that the peer owes us */
	bool rset_due;    /* the last transaction left something behind */
	struct smtp_reply failure;

	/* The transaction. */
	struct delivery_job *job; /* NULL: none */
	struct arena *arena;
	struct smtp_phrasing how;
	struct {
		struct delivery_recipient **items;
		size_t count, size;
	} todo;                  /* whom to say RCPT for */
	size_t *said, said_here; /* bytes of replies kept; see deliver.h */
	struct smtp_reply kept;  /* the last of them */
	size_t sent, answered;   /* positions in the script */
	size_t flight;           /* bytes sent since all was answered */
	bool pipelined;
	bool mail_refused;
	size_t accepted; /* recipients that the peer took at RCPT */
	size_t lmtp_at;  /* LMTP: the next of todo[] to be answered */
};

typedef enum smtp_step smtp_hear_fn(
    struct smtp_engine *e, const struct smtp_reply *reply);

/* smtp_engine.c */
void smtp_engine_enter(struct smtp_engine *e, enum smtp_stage next);
/* What a peer said, for a recipient: a copy that lives as long as the job, cut
 * when the peer has said much already. */
struct smtp_reply smtp_engine_keep(
    struct smtp_engine *e, const struct smtp_reply *reply);
/* Everybody who has no reply yet gets this one, which lives as long as the job.
 */
void smtp_engine_answer_all(
    struct smtp_engine *e, const struct smtp_reply *reply);
/* The conversation is over, whatever it was about; the reply may be one that
 * was just heard. */
enum smtp_step smtp_engine_end(
    struct smtp_engine *e, const struct smtp_reply *reply);
/* It is over because of the connection: 400. */
enum smtp_step smtp_engine_broken(struct smtp_engine *e, const char *why);
/* While greeting: a candidate that answers this is no use. */
enum smtp_step smtp_engine_refused(
    struct smtp_engine *e, const struct smtp_reply *reply);
/* While greeting: by what it can, or cannot, it is no use. */
enum smtp_step smtp_engine_unfit(struct smtp_engine *e, const char *why);
/* Appends a line (with its end) that the peer will answer. */
void smtp_engine_say(struct smtp_engine *e, const char *line);

/* smtp_auth.c: greeted, and in TLS if need be.  No user: STEP_READY. */
enum smtp_step smtp_authenticate(struct smtp_engine *e);
smtp_hear_fn smtp_hear_auth_plain, smtp_hear_auth_login, smtp_hear_auth_user,
    smtp_hear_auth_password;

/* smtp_transaction.c */
smtp_hear_fn smtp_hear_rset, smtp_hear_mail, smtp_hear_rcpt, smtp_hear_data,
    smtp_hear_content, smtp_hear_dot, smtp_hear_lone_dot;

#endif
