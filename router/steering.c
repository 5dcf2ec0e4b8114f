/*
 * steering.c - operators' orders about mail that waits, step by step
 *
 * The messages are looked up on a thread of the control socket, with a
 * connection of its own: a search through the whole queue delays no delivery.
 */
#include "router/steering.h"

#include <stdatomic.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "queue/queue_view.h"
#include "router/rebinding.h"
#include "router/router.h"

#define STEP_MOST 200
#define WAIT_MS 120000
#define WHO_MOST 64
#define REASON_MOST 500

struct step {
	struct loop_item item; /* to the loop, and back to the asker */
	struct router *r;
	struct arena *arena;
	struct queue_selector selector;
	int64_t limit;
	struct {
		const char **items;
		size_t count, size;
	} ids;
	struct rebind_order order;
	struct inbox *answered;
	atomic_int holders; /* the asker and the loop */
};

static void let_go(struct step *s)
{
	if (atomic_fetch_sub(&s->holders, 1) > 1)
		return;
	inbox_free(s->answered);
	ARRAY_FREE(&s->ids);
	arena_unref(s->arena);
	free(s);
}

/* ---- reading the order ---- */

static bool text_of(const struct value *v, const char *key, size_t most,
    const char **out, struct err *err)
{
	if (v->type != VALUE_STRING || strlen(v->s) != v->len || v->len > most)
		return err_set(err, ERR_PERM,
		    "%s: expected text of at most %zu bytes", key, most);
	*out = v->s;
	return true;
}

static bool read_selector(
    const struct value *v, struct queue_selector *s, struct err *err)
{
	const struct {
		const char *key, **text;
	} texts[] = {
	    {"id", &s->id},
	    {"domain", &s->domain},
	    {"sender", &s->sender},
	    {"recipient", &s->recipient},
	    {"tenant", &s->tenant},
	    {"campaign", &s->campaign},
	    {"queue", &s->queue},
	};

	if (v->type != VALUE_MAP || v->count == 0)
		return err_set(
		    err, ERR_PERM, "selector: expected at least one condition");
	VALUE_EACH (e, v) {
		bool known = false;

		if (str_eq(e->key, "older_than")) {
			known = e->value.type == VALUE_INT && e->value.i > 0;
			s->older_than = e->value.i;
		}
		for (size_t i = 0; i < COUNT(texts); i++)
			if (str_eq(e->key, texts[i].key)) {
				if (!text_of(&e->value, e->key, 1000,
					texts[i].text, err))
					return err_prefix(err, "selector");
				known = true;
			}
		if (!known)
			return err_set(err, ERR_PERM,
			    "selector: %.40s is unknown, or has a value that "
			    "it cannot have",
			    e->key);
	}
	return true;
}

static bool read_data(const struct value *v, struct value *out, struct err *err)
{
	const char *text;

	if (v->type != VALUE_MAP)
		return err_set(err, ERR_PERM, "data: expected an object");
	VALUE_EACH (e, v)
		if (!text_of(&e->value, e->key, 4096, &text, err))
			return err_prefix(err, "data");
	*out = *v;
	return true;
}

static bool read_bool(
    const struct value *v, const char *key, bool *out, struct err *err)
{
	if (v->type != VALUE_BOOL)
		return err_set(
		    err, ERR_PERM, "%s: expected true or false", key);
	*out = v->b;
	return true;
}

static bool read_member(struct step *s, const char *key, const struct value *v,
    const char **reason, const char **who, struct err *err)
{
	if (str_eq(key, "selector"))
		return read_selector(v, &s->selector, err);
	if (str_eq(key, "data"))
		return read_data(v, &s->order.data, err);
	if (str_eq(key, "reason"))
		return text_of(v, key, REASON_MOST, reason, err);
	if (str_eq(key, "who"))
		return text_of(v, key, WHO_MOST, who, err);
	if (str_eq(key, "after"))
		return text_of(
		    v, key, MESSAGE_ID_SIZE - 1, &s->selector.after, err);
	if (str_eq(key, "event"))
		return read_bool(v, key, &s->order.event, err);
	if (str_eq(key, "flush"))
		return read_bool(v, key, &s->order.flush, err);
	if (str_eq(key, "log"))
		return read_bool(v, key, &s->order.record, err);
	if (!str_eq(key, "limit"))
		return err_set(err, ERR_PERM, "%.40s is not known", key);
	s->limit = v->i;
	return (v->type == VALUE_INT && v->i >= 1 && v->i <= STEP_MOST) ||
	       err_set(err, ERR_PERM, "limit: expected 1 to %d", STEP_MOST);
}

static bool read_order(struct step *s, const char *json, struct err *err)
{
	const char *reason = NULL, *who = NULL;
	struct value v;

	s->order.data = (struct value){.type = VALUE_MAP};
	s->order.record = true;
	s->limit = STEP_MOST;
	if (!json_parse(json, strlen(json), s->arena, &v, err))
		return false;
	if (v.type != VALUE_MAP || !value_get(&v, "selector"))
		return err_set(err, ERR_PERM,
		    "expected an object with a selector and data");
	VALUE_EACH (e, &v)
		if (!read_member(s, e->key, &e->value, &reason, &who, err))
			return false;
	if (s->order.data.count == 0 && !s->order.event && !s->order.flush)
		return err_set(
		    err, ERR_PERM, "nothing to do: give data, event or flush");
	s->order.reason = arena_printf(s->arena, "%s%s%s%s",
	    reason && *reason ? reason : "no reason given",
	    who && *who ? " (" : "", who ? who : "", who && *who ? ")" : "");
	return true;
}

/* ---- which messages ---- */

static bool take_id(const struct value *row, void *ctx)
{
	struct step *s = ctx;
	const struct value *id = value_get(row, "id");

	if (id && id->type == VALUE_STRING)
		*ARRAY_ADD(&s->ids) = arena_strdup(s->arena, id->s);
	return true;
}

static bool select_messages(struct step *s, struct err *err)
{
	struct queue_conn *conn;
	bool ok;

	/* One more shows whether there is a next step. */
	s->selector.limit = s->limit + 1;
	if (!queue_connect(s->r->queue, false, &conn, err))
		return false;
	ok = queue_ask(conn, QUEUE_Q_WAITING, &s->selector, take_id, s, err);
	queue_disconnect(conn);
	return ok;
}

/* ---- running it ---- */

static void done(struct rebind_order *order, void *ctx)
{
	struct step *s = ctx;

	(void)order;
	inbox_put(s->answered, &s->item.item);
	let_go(s);
}

static void run_step(struct loop_item *item)
{
	struct step *s = CONTAINER_OF(item, struct step, item);

	if (router_may_start(s->r)) {
		rebindings_put(s->r->rebindings, &s->order);
		return;
	}
	err_set(&s->order.err, ERR_TEMP, "the router does not work now: %s",
	    s->r->hold_reason);
	done(&s->order, s);
}

static bool run(struct step *s, struct err *err)
{
	if (s->order.count == 0)
		return true;
	atomic_fetch_add(&s->holders, 1);
	loop_post(s->r->loop, &s->item);
	if (!inbox_take(s->answered, clock_now_ms() + WAIT_MS))
		return err_set(err, ERR_TEMP,
		    "it takes long, and goes on; see the router's log");
	if (s->order.err.class == ERR_NONE)
		return true;
	*err = s->order.err;
	return false;
}

static void say(const struct step *s, const struct err *err, struct buf *reply)
{
	const struct rebind_order *order = &s->order;
	struct json_object o;

	json_open(&o, reply);
	json_add_bool(&o, "ok", err->class == ERR_NONE);
	json_add_string(&o, "error", err->class == ERR_NONE ? NULL : err->text);
	if (err->class == ERR_NONE) {
		bool more = s->ids.count > order->count;

		json_add_string(
		    &o, "next", more ? s->ids.items[order->count - 1] : NULL);
		json_add_int(&o, "messages", (int64_t)order->count);
		json_add_int(&o, "rebound", (int64_t)order->rebound);
		json_add_int(&o, "changed", (int64_t)order->changed);
		json_add_int(&o, "unchanged", (int64_t)order->unchanged);
		json_add_int(&o, "failed", (int64_t)order->failed);
	}
	json_close(&o);
}

static void carry_out(struct step *s, const char *json, struct err *err)
{
	if (!read_order(s, json, err) || !select_messages(s, err))
		return;
	s->order.ids = s->ids.items;
	s->order.count =
	    s->ids.count > (size_t)s->limit ? (size_t)s->limit : s->ids.count;
	if (!run(s, err) && err->class == ERR_NONE)
		err_set(err, ERR_TEMP, "it failed");
}

bool steering_serve(struct router *r, const char *request, struct buf *reply)
{
	static const char verb[] = "rebind ";
	struct err err = {0};
	struct step *s;

	if (strncmp(request, verb, sizeof verb - 1) != 0)
		return false;
	s = xcalloc(1, sizeof *s);
	s->item.run = run_step;
	s->r = r;
	s->arena = arena_new(8192);
	s->answered = inbox_new();
	s->order.done = done;
	s->order.ctx = s;
	atomic_init(&s->holders, 1);
	if (atomic_fetch_add(&r->orders, 1) < STEERING_ORDERS_MOST)
		carry_out(s, request + sizeof verb - 1, &err);
	else
		err_set(&err, ERR_TEMP,
		    "%d orders are being carried out; try again when one of "
		    "them has ended",
		    STEERING_ORDERS_MOST);
	(void)atomic_fetch_sub(&r->orders, 1);
	say(s, &err, reply);
	let_go(s);
	return true;
}
