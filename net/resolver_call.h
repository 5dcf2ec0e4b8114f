/*
 * resolver_call.h - run something on the resolver's thread
 *
 * For neighbours in net/ that build on the resolver (mx.c) and promise that
 * their callbacks come from that thread, also when there is nothing to ask.
 */
#ifndef NET_RESOLVER_CALL_H
#define NET_RESOLVER_CALL_H

#include "net/resolver.h"

typedef void resolver_call_fn(void *ctx);
void resolver_call(
    struct resolver *resolver, resolver_call_fn *call, void *ctx);

#endif
