/* heap_test.c - base/heap.h, base/list.h */
#include "tests/unit/base/base_test.h"

#include "base/heap.h"
#include "base/list.h"

START_TEST(gives_the_earliest_first)
{
	struct heap_node nodes[500] = {0};
	struct heap heap = {0};
	int64_t last = INT64_MIN;
	size_t seen = 0;

	srandom(1);
	for (size_t i = 0; i < COUNT(nodes); i++)
		heap_set(&heap, &nodes[i], random() % 1000);
	for (size_t i = 0; i < COUNT(nodes); i += 3)
		heap_set(&heap, &nodes[i], random() % 1000 - 500);
	for (size_t i = 0; i < COUNT(nodes); i += 5)
		heap_remove(&heap, &nodes[i]);
	heap_remove(&heap, &nodes[0]); /* again: nothing happens */
	while (heap_first(&heap)) {
		struct heap_node *first = heap_first(&heap);

		ck_assert_int_ge(first->at, last);
		ck_assert_uint_ne((size_t)(first - nodes) % 5, 0);
		last = first->at;
		heap_remove(&heap, first);
		ck_assert_uint_eq(first->index, 0);
		seen++;
	}
	ck_assert_uint_eq(seen, 400);
	heap_release(&heap);
}
END_TEST

START_TEST(released_nodes_are_in_no_heap)
{
	struct heap_node node = {0};
	struct heap heap = {0};

	heap_set(&heap, &node, 5);
	ck_assert_uint_ne(node.index, 0);
	heap_release(&heap);
	ck_assert_uint_eq(node.index, 0);
	ck_assert_ptr_null(heap_first(&heap));
}
END_TEST

START_TEST(a_list_may_lose_the_current_item)
{
	struct {
		struct list link;
		int n;
	} items[4];
	struct list head, *pos, *tmp;
	int sum = 0;

	list_init(&head);
	ck_assert(list_empty(&head));
	for (int i = 0; i < 4; i++) {
		items[i].n = 1 << i;
		list_add_tail(&head, &items[i].link);
	}
	LIST_EACH (pos, tmp, &head) {
		sum += LIST_ITEM(pos, __typeof__(items[0]), link)->n;
		list_remove(pos);
		list_remove(pos);
	}
	ck_assert_int_eq(sum, 15);
	ck_assert(list_empty(&head));
}
END_TEST

TCase *heap_tests(void)
{
	TCase *tc = tcase_create("heap");

	tcase_add_test(tc, gives_the_earliest_first);
	tcase_add_test(tc, released_nodes_are_in_no_heap);
	tcase_add_test(tc, a_list_may_lose_the_current_item);
	return tc;
}
