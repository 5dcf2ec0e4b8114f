/*
 * cidr.h - blocks of addresses; is it in the list, what is the longest match
 *
 * Text is ADDR or ADDR/LEN, or `any` for every address of both families.
 * Strict: bits beyond LEN must be zero, and the error proposes the masked form
 * (policy language, 3.6).  Matching is strict about families.
 */
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include "base/ip.h"

struct cidr {
	struct ip_addr ip; /* family 0: any */
	unsigned len;
};

struct cidr_list {
	const struct cidr *items;
	size_t count;
};

bool cidr_parse(const char *text, struct cidr *out, struct err *err) MUST_USE;
char *cidr_print(char out[IP_TEXT + 4], const struct cidr *cidr);
/* NULL or family 0 (no address known) matches nothing, not even `any`. */
bool cidr_contains(const struct cidr *cidr, const struct ip_addr *ip);
bool cidr_list_contains(const struct cidr_list *list, const struct ip_addr *ip);
/* The index of the block with the longest prefix that holds ip, or -1. */
int cidr_longest(
    const struct cidr *items, size_t count, const struct ip_addr *ip);

#endif
