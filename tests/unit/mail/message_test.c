/* message_test.c - mail/message.h */
#include "tests/unit/mail/mail_test.h"

#include "mail/message.h"

static void add_recipient(struct message *m, const char *text)
{
	struct envelope_recipient *r = ARRAY_ADD(&m->recipients);

	*r = (struct envelope_recipient){0};
	ck_assert(
	    address_parse(text, strlen(text), m->arena, &r->address, NULL));
}

START_TEST(ids_ascend_and_tell_the_time)
{
	char last[MESSAGE_ID_SIZE] = "", id[MESSAGE_ID_SIZE];

	for (int i = 0; i < 20000; i++) {
		message_id_new(id);
		ck_assert_uint_eq(strspn(id, "0123456789abcdef"), 32);
		ck_assert_int_eq(id[12], '7');
		ck_assert_ptr_nonnull(strchr("89ab", id[16]));
		ck_assert_msg(strcmp(last, id) < 0, "%s %s", last, id);
		memcpy(last, id, sizeof last);
	}
}
END_TEST

START_TEST(a_batch_shares_content_and_nothing_else)
{
	struct message *m = message_new(), *batch;
	struct buf data = BUF_INIT;
	struct err err = {0};

	m->content = content_from_bytes("A: b\r\n\r\nc\r\n", 11);
	m->sender.envid = arena_strdup(m->arena, "QQ1");
	ck_assert(address_parse(
	    "a@x.example", 11, m->arena, &m->sender.address, NULL));
	meta_set_string(m->meta, "tenant", "t");
	message_prepend_header(m, "X-One", "1");
	add_recipient(m, "bob@y.example");

	batch = message_derive(m);
	meta_set_string(m->meta, "tenant", "other");
	message_prepend_header(m, "X-Two", "2");
	ck_assert_str_ne(batch->id, m->id);
	ck_assert_ptr_eq(batch->content, m->content);
	message_unref(m);

	ck_assert_uint_eq(batch->recipients.count, 0);
	ck_assert_str_eq(meta_get_string(batch->meta, "tenant"), "t");
	ck_assert_str_eq(batch->sender.envid, "QQ1");
	ck_assert_str_eq(batch->sender.address.email, "a@x.example");
	message_prepend_header(batch, "X-Three", "3");
	ck_assert(message_data(batch, 1000, &data, &err));
	ck_assert_str_eq(
	    buf_str(&data), "X-Three: 3\r\nX-One: 1\r\nA: b\r\n\r\nc\r\n");
	ck_assert_int_eq(message_size(batch), (int64_t)data.len);
	ck_assert(!message_data(batch, 5, &data, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert_ptr_eq(message_ref(batch), batch);
	message_unref(batch);
	message_unref(batch);
	message_unref(NULL);
	buf_release(&data);
}
END_TEST

static const struct {
	const char *meta, *want, *why; /* want NULL: an error with `why` */
} queues[] = {
    {"{}", "d.example"},
    {"{\"tenant\":\"t\",\"campaign\":\"c\"}", "c:t@d.example"},
    {"{\"campaign\":\"c\"}", "c:@d.example"},
    {"{\"tenant\":\"t\",\"routing_domain\":\"r.example\"}",
	"t@d.example!r.example"},
    {"{\"queue\":\"ABC\",\"tenant\":\"t\"}", "ABC"},
    {"{\"queue\":null,\"tenant\":null}", "d.example"},
    {"{\"queue\":\"\"}", "d.example"},
    {"{\"tenant\":\"user@example.org\"}", NULL,
	"meta value tenant: \"user@example.org\": '@' may not stand in it"},
    {"{\"tenant\":\"a:b\"}", NULL, "meta value tenant: \"a:b\": ':'"},
    {"{\"campaign\":\"c\",\"tenant\":\"a:b\"}", "c:a:b@d.example"},
    {"{\"campaign\":\"c@x!y\"}", NULL, "meta value campaign: \"c@x!y\": '@'"},
    {"{\"campaign\":\"a:b\",\"tenant\":\"t\"}", NULL,
	"meta value campaign: \"a:b\": ':' may not stand in it"},
    {"{\"routing_domain\":\"r@x.example\"}", NULL,
	"meta value routing_domain: \"r@x.example\": '@'"},
    {"{\"queue\":\"a:b:c@d@e!f@g\"}", "a:b:c@d@e!f@g"},
    {"{\"tenant\":5}", NULL,
	"meta value tenant: expected a string, got the number 5"},
    {"{\"queue\":\"q\",\"campaign\":{}}", NULL, "meta value campaign"},
    {"{\"queue\":true}", NULL, "meta value queue"},
};

START_TEST(metadata_names_the_queue)
{
	struct message *m = message_new();
	struct buf out = BUF_INIT;
	struct err err = {0};
	bool ok;

	meta_free(m->meta);
	m->meta =
	    meta_parse_json(queues[_i].meta, strlen(queues[_i].meta), NULL);
	add_recipient(m, "u@D.EXAMPLE");
	add_recipient(m, "u@other.example");
	ok = message_queue_name(m, &out, &err);
	ck_assert_msg(ok == !!queues[_i].want, "%s", err.text);
	if (ok)
		ck_assert_str_eq(buf_str(&out), queues[_i].want);
	else
		ck_assert_msg(
		    strstr(err.text, queues[_i].why) != NULL, "%s", err.text);
	buf_release(&out);
	message_unref(m);
}
END_TEST

START_TEST(nobody_is_in_no_queue)
{
	struct message *m = message_new();
	struct buf out = BUF_INIT;
	struct err err = {0};

	ck_assert(!message_queue_name(m, &out, &err));
	ck_assert_int_eq(err.class, ERR_PERM);
	ck_assert_int_eq(message_size(m), 0);
	ck_assert(message_data(m, 0, &out, &err));
	buf_release(&out);
	message_unref(m);
}
END_TEST

TCase *message_tests(void)
{
	TCase *tc = tcase_create("message");

	tcase_add_test(tc, ids_ascend_and_tell_the_time);
	tcase_add_test(tc, a_batch_shares_content_and_nothing_else);
	tcase_add_loop_test(tc, metadata_names_the_queue, 0, COUNT(queues));
	tcase_add_test(tc, nobody_is_in_no_queue);
	return tc;
}
