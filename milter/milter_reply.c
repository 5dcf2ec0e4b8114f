/*
 * milter_reply.c - what a callback answers, and how the text travels
 */
#include "milter/milter_reply.h"

#include <stdarg.h>

#include "base/diag.h"

/* libmilter refuses a line of 980 bytes or more, counted with doubled '%'. */
#define LIBMILTER_LINE_MAX 970

struct answer answer_continue(void)
{
	return (struct answer){.kind = ANSWER_CONTINUE};
}

struct answer answer_refuse(
    struct arena *arena, int code, const char *enhanced, const char *fmt, ...)
{
	struct answer answer = {.kind = ANSWER_REFUSE};
	struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	answer.reply =
	    smtp_reply_make(arena, code, enhanced, "%s", buf_str(&text));
	buf_release(&text);
	return answer;
}

struct answer answer_shed(
    struct arena *arena, int code, const char *enhanced, const char *text)
{
	struct answer answer = answer_refuse(arena, code, enhanced, "%s", text);

	answer.shed = true;
	return answer;
}

/* The class of the enhanced code must be the code's; otherwise it is x.7.1:
 * "delivery not authorized", which is what a policy's refusal is. */
static void default_enhanced(struct smtp_reply *reply)
{
	if (smtp_reply_has_enhanced(reply))
		return;
	reply->enhanced[0] = reply->code / 100;
	reply->enhanced[1] = 7;
	reply->enhanced[2] = 1;
}

struct answer answer_from_policy(
    struct arena *arena, const struct script_reject *reject)
{
	struct answer answer = {.kind = ANSWER_REFUSE};
	const char *text = reject->message ? reject->message : "";
	int code = reject->code;

	if (code < 400 || code > 599) {
		diag_error("policy: reject with code %d: expected 400..599, "
			   "answered 451",
		    code);
		answer =
		    answer_refuse(arena, 451, "4.3.0", "local policy error");
	} else {
		answer.reply =
		    smtp_reply_from_text(arena, code, text, strlen(text));
		default_enhanced(&answer.reply);
	}
	switch (reject->mode) {
	case DISCONNECT_NO:
	case DISCONNECT_IF_421:
		break;
	case DISCONNECT_FORCE:
	case DISCONNECT_FOLLOW_421:
		/* A milter cannot close the connection of another program;
		 * 421 is the only way to say it, and the code is taken. */
		answer.poison = answer.reply.code != 421;
		break;
	}
	return answer;
}

static void warn_about_rewrite(const char *what, const char *of)
{
	diag_warn(
	    "policy: smtp_server_rewrite_response: %s %s: ignored", what, of);
}

/* What was returned for the code; `now` when that is no code of a refusal. */
static int rewritten_code(const struct value *v, int now)
{
	char text[32];
	int64_t code;

	if (!v || v->type == VALUE_NIL)
		return now;
	if (!value_to_int(v, &code)) {
		warn_about_rewrite("the code must be an integer, not a",
		    value_type_name(v->type));
		return now;
	}
	if (code >= 400 && code <= 599)
		return (int)code;
	(void)snprintf(text, sizeof text, "%lld", (long long)code);
	warn_about_rewrite("only 400..599 can be answered, not", text);
	return now;
}

void answer_apply_rewrite(
    struct answer *answer, struct arena *arena, const struct value *returned)
{
	struct smtp_reply *reply = &answer->reply;
	const struct value *code = returned, *text = NULL;
	int new_code;

	if (!returned)
		return;
	if (returned->type == VALUE_LIST) {
		code = returned->count > 0 ? &returned->items[0] : NULL;
		text = returned->count > 1 ? &returned->items[1] : NULL;
	}
	new_code = rewritten_code(code, reply->code);
	if (text && text->type == VALUE_STRING) {
		*reply =
		    smtp_reply_from_text(arena, new_code, text->s, text->len);
		default_enhanced(reply);
		return;
	}
	if (text && text->type != VALUE_NIL)
		warn_about_rewrite("the text must be a string, not a",
		    value_type_name(text->type));
	/* The class of the enhanced code follows the code. */
	reply->code = new_code;
	reply->enhanced[0] = new_code / 100;
}

/* Never in the middle of a UTF-8 sequence. */
static size_t cut(const char *text, size_t len, size_t most)
{
	if (len <= most)
		return len;
	while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	return most;
}

static char *format_line(
    struct arena *arena, const char *text, size_t len, size_t most)
{
	char *line, *p;
	size_t n = cut(text, len, most);

	line = p = arena_alloc(arena, 2 * n + 1);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (p - line >= LIBMILTER_LINE_MAX)
			break;
		/* The MTA takes the text for a format. */
		if (c == '%')
			*p++ = '%';
		*p++ = (char)(c < 0x20 || c == 0x7f ? '?' : c);
	}
	*p = '\0';
	return line;
}

void reply_lines_format(
    struct reply_lines *out, const struct answer *answer, struct arena *arena)
{
	const struct smtp_reply *reply = &answer->reply;
	const char *p = reply->text ? reply->text : "";
	size_t most;

	invariant(answer->kind == ANSWER_REFUSE);
	invariant(reply->code >= 400 && reply->code <= 599);
	*out = (struct reply_lines){0};
	(void)snprintf(out->rcode, sizeof out->rcode, "%d", reply->code);
	smtp_reply_dsn(out->xcode, reply);
	most = REPLY_LINE_MAX - strlen(out->rcode) - strlen(out->xcode) - 2;

	if (!*p)
		p = "refused by local policy";
	for (;;) {
		size_t len = strcspn(p, "\n");
		size_t shown = len;

		if (shown > 0 && p[shown - 1] == '\r')
			shown--;
		out->lines[out->count++] = format_line(arena, p, shown, most);
		if (!p[len] || !p[len + 1] || out->count == REPLY_LINES_MAX)
			break;
		p += len + 1;
	}
}
