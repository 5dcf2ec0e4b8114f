/*
 * local_addr.h - the addresses of this machine: are we the MX?
 *
 * RFC 5321, 5.1: a host must not send mail to itself.  The list of interface
 * addresses is read again at most once a minute.  A loopback address counts
 * when an interface has it (127.0.0.1, usually, and not the rest of
 * 127.0.0.0/8); 0.0.0.0 and :: always do, for connecting there reaches us.
 *
 * Threads: one at a time.
 */
#ifndef NET_LOCAL_ADDR_H
#define NET_LOCAL_ADDR_H

#include "base/ip.h"

struct local_addr;

struct local_addr *local_addr_new(void) MUST_USE;
void local_addr_free(struct local_addr *local);
bool local_addr_has(struct local_addr *local, const struct ip_addr *ip);

#endif
