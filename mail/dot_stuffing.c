/*
 * dot_stuffing.c - message bytes as DATA wants them
 *
 * Lines that are well formed, as nearly all are, are copied together.
 */
#include "mail/dot_stuffing.h"

void dot_stuffing_init(struct dot_stuffing *state)
{
	*state = (struct dot_stuffing){.at_line_start = true};
}

static void end_line(struct dot_stuffing *state, struct buf *out)
{
	buf_add(out, "\r\n", 2);
	state->at_line_start = true;
	state->after_cr = false;
}

/* Bytes of one line without its LF; a CR at their end is held back. */
static void add_piece(
    struct dot_stuffing *state, struct buf *out, const char *p, size_t len)
{
	const char *end = p + len, *cr;

	while (p < end) {
		if (state->after_cr)
			end_line(state, out); /* the CR stood alone */
		if (state->at_line_start && *p == '.')
			buf_addch(out, '.');
		cr = memchr(p, '\r', (size_t)(end - p));
		state->after_cr = cr != NULL;
		if (!cr)
			cr = end;
		buf_add(out, p, (size_t)(cr - p));
		if (cr > p)
			state->at_line_start = false;
		p = state->after_cr ? cr + 1 : end;
	}
}

/* Behind the last of those lines from p on that may go as they are.  The LF is
 * looked for first: lines without a CR cost their own length, not the rest of
 * the message each. */
static const char *skip_plain(const char *p, const char *end)
{
	while (p < end && *p != '.') {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		if (!lf || lf == p || lf[-1] != '\r' ||
		    memchr(p, '\r', (size_t)(lf - 1 - p)))
			break;
		p = lf + 1;
	}
	return p;
}

void dot_stuffing_add(
    struct dot_stuffing *state, struct buf *out, const char *p, size_t len)
{
	const char *end = p + len, *lf, *plain;

	buf_reserve(out, len + len / 32 + 4);
	for (; p < end; p = lf + 1) {
		if (state->at_line_start && !state->after_cr) {
			plain = skip_plain(p, end);
			buf_add(out, p, (size_t)(plain - p));
			p = plain;
			if (p == end)
				return;
		}
		lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf) {
			add_piece(state, out, p, (size_t)(end - p));
			return;
		}
		add_piece(state, out, p, (size_t)(lf - p));
		end_line(state, out);
	}
}

bool dot_stuffing_end(struct dot_stuffing *state, struct buf *out)
{
	bool added = !state->at_line_start || state->after_cr;

	if (added)
		end_line(state, out);
	buf_add(out, ".\r\n", 3);
	return added;
}
