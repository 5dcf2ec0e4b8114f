/*
 * smtp_reply.h - code, enhanced code, text (RFC 5321 4.2, RFC 3463)
 *
 *	reply    = *( code "-" [text] CRLF ) code [SP text] CRLF
 *	enhanced = ("2" / "4" / "5") "." 1*3DIGIT "." 1*3DIGIT
 *
 * Line breaks of a reply of several lines are '\n' in text.  Text from a peer
 * is bounded when parsed: SMTP_REPLY_TEXT_MAX bytes, control characters
 * replaced.
 */
#ifndef MAIL_SMTP_REPLY_H
#define MAIL_SMTP_REPLY_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define SMTP_REPLY_TEXT_MAX 4096
/* What the parser holds of a line, keeps of lines, and reads of a reply. */
#define SMTP_REPLY_LINE_MOST 4096
#define SMTP_REPLY_LINES_MOST 128
#define SMTP_REPLY_MOST ((size_t)1024 * 1024)

struct smtp_reply {
	int code;            /* 0: none */
	int enhanced[3];     /* {0}: none */
	const char *text;    /* without codes; never NULL once set */
	const char *command; /* what it answered, NULL unknown */
};

struct smtp_reply smtp_reply_make(struct arena *arena, int code,
    const char *enhanced, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* 2xx */
bool smtp_reply_ok(const struct smtp_reply *r);
/* Splits a leading "x.y.z " off `text` when its class agrees with code. */
struct smtp_reply smtp_reply_from_text(
    struct arena *arena, int code, const char *text, size_t len);
/* "550 5.1.1 no such user", newlines as "\r\n" in four characters. */
void smtp_reply_one_line(struct buf *out, const struct smtp_reply *r);
bool smtp_reply_has_enhanced(const struct smtp_reply *r);
/* "5.1.1"; when the reply has none: "5.0.0" by the class of code. */
void smtp_reply_dsn(char out[16], const struct smtp_reply *r);
struct smtp_reply smtp_reply_copy(
    struct arena *arena, const struct smtp_reply *r);

/* Feeds on bytes, yields replies.  Bounded: SMTP_REPLY_LINE_MOST bytes a line,
 * SMTP_REPLY_LINES_MOST lines kept, anything more of a reply is read and
 * dropped up to SMTP_REPLY_MOST, then an error. */
struct smtp_reply_parser;
struct smtp_reply_parser *smtp_reply_parser_new(void);
void smtp_reply_parser_free(struct smtp_reply_parser *p);
enum smtp_parse { SMTP_PARSE_MORE, SMTP_PARSE_REPLY, SMTP_PARSE_BAD };
/* *used: bytes consumed.  On SMTP_PARSE_REPLY the texts are in `arena`. */
enum smtp_parse smtp_reply_parse(struct smtp_reply_parser *p, const char *data,
    size_t len, size_t *used, struct arena *arena, struct smtp_reply *out,
    struct err *err);

#endif
