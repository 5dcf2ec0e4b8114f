/*
 * list.h - doubly linked, the links inside the items
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/attr.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_add_tail(struct list *head, struct list *item)
{
	item->prev = head->prev;
	item->next = head;
	head->prev->next = item;
	head->prev = item;
}

static inline void list_add_head(struct list *head, struct list *item)
{
	list_add_tail(head->next, item);
}

/* Leaves item pointing at itself, so a second remove does nothing. */
static inline void list_remove(struct list *item)
{
	/* The analyzer takes the next item for the one that was freed. */
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	item->prev->next = item->next;
	item->next->prev = item->prev;
	list_init(item);
}

#define LIST_ITEM(ptr, type, member) CONTAINER_OF(ptr, type, member)
/* Safe against removal of the current item. */
#define LIST_EACH(pos, tmp, head)                                              \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head);       \
	     (pos) = (tmp), (tmp) = (pos)->next)

#endif
