#include "router/ready_message.h"

#include "base/arena.h"
#include "router/lease_job.h"
#include "router/router.h"
#include "router_test.h"

static const struct queue_message message = {
    .id = "0123456789abcdef0123456789abcdef",
    .sender = {.address = {"ann", "ann", "s.test", "ann@s.test"}, .size = -1},
    .meta_json = "{\"tenant\":\"t\"}",
    .prefix = "Received: from a\r\n\tby b\r\nX-KumoRef: abc\r\n",
    .prefix_len = 42,
    .facts = {.size = 5, .received_headers = 2},
    .inline_content = "hello",
};

static void lease(struct queue_lease *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i] = (struct queue_lease){.recipient_id = 100 + (int)i,
		    .message = &message,
		    .recipient.address = {"bob", "bob", "d.test", "bob@d.test"},
		    .attempts = (int)i,
		    .due_at = 7};
}

START_TEST(a_message_holds_copies_of_all_that_was_leased)
{
	struct queue_lease leases[3];
	atomic_llong bytes = 0;
	struct ready_message *rm;

	lease(leases, 3);
	rm = ready_message_new(leases, 3, NULL, &bytes);
	ck_assert_uint_eq(rm->unsettled, 3);
	ck_assert_uint_eq(ready_message_waiting(rm), 3);
	ck_assert_ptr_ne(rm->m.meta_json, message.meta_json);
	ck_assert_str_eq(rm->m.meta_json, message.meta_json);
	ck_assert_str_eq(rm->m.sender.address.email, "ann@s.test");
	ck_assert_mem_eq(rm->m.inline_content, "hello", 5);
	ck_assert_int_eq(atomic_load(&bytes), 5);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rm->recipients[i].recipient_id, i);
		ck_assert_int_eq(rm->info[i].row, 100 + i);
		ck_assert_int_eq(rm->info[i].attempts, i);
	}
	ck_assert_int_eq(ready_message_size(rm), 47);
	ready_message_free(rm, &bytes);
	ck_assert_int_eq(atomic_load(&bytes), 0);
}
END_TEST

START_TEST(beyond_the_budget_a_body_stays_in_the_queue)
{
	struct queue_lease one[1];
	atomic_llong bytes = ROUTER_INLINE_MOST - 4;
	struct ready_message *rm;

	lease(one, 1);
	rm = ready_message_new(one, 1, NULL, &bytes);
	ck_assert_ptr_null(rm->m.inline_content);
	ck_assert_int_eq(atomic_load(&bytes), ROUTER_INLINE_MOST - 4);
	ready_message_free(rm, &bytes);
}
END_TEST

START_TEST(received_headers_of_the_prefix_count)
{
	struct queue_lease one[1];
	atomic_llong bytes = 0;
	struct ready_message *rm;

	lease(one, 1);
	rm = ready_message_new(one, 1, NULL, &bytes);
	ck_assert_int_eq(ready_message_received_headers(rm), 3);
	ready_message_free(rm, &bytes);
}
END_TEST

Suite *ready_message_suite(void)
{
	Suite *suite = suite_create("ready_message");
	TCase *tc = tcase_create("ready_message");

	tcase_add_test(tc, a_message_holds_copies_of_all_that_was_leased);
	tcase_add_test(tc, beyond_the_budget_a_body_stays_in_the_queue);
	tcase_add_test(tc, received_headers_of_the_prefix_count);
	suite_add_tcase(suite, tc);
	return suite;
}

static const struct {
	size_t runnable, want;
} shares[] = {
    {0, LEASE_MOST},
    {1, LEASE_MOST},
    {2, LEASE_MOST / 2},
    {10, LEASE_MOST / 10},
    {1000000, 20},
};

START_TEST(a_turn_is_shared_equally)
{
	ck_assert_uint_eq(lease_share(shares[_i].runnable), shares[_i].want);
}
END_TEST

Suite *lease_suite(void)
{
	Suite *suite = suite_create("lease");
	TCase *tc = tcase_create("lease");

	tcase_add_loop_test(tc, a_turn_is_shared_equally, 0, COUNT(shares));
	suite_add_tcase(suite, tc);
	return suite;
}
