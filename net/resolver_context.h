/*
 * resolver_context.h - libunbound, set up as the resolver needs it
 *
 * Private to resolver.c.  What it cannot do without (forwarder, trust anchor)
 * is an error; what it can (an option that this libunbound does not know, files
 * that are not there) is a warning.
 *
 * Threads: any; the context is the resolver thread's.
 */
#ifndef NET_RESOLVER_CONTEXT_H
#define NET_RESOLVER_CONTEXT_H

#include "net/resolver.h"

#define RESOLVER_RESOLV_CONF "/etc/resolv.conf"
#define RESOLVER_HOSTS "/etc/hosts"

struct ub_ctx;

/* options->zone counts for nothing here.  Answers come by ub_fd().  Delete it
 * with ub_ctx_delete().  NULL: ERR_CONFIG, what was asked for cannot be;
 * ERR_TEMP otherwise. */
struct ub_ctx *resolver_context_new(
    const struct resolver_options *options, struct err *err) MUST_USE;

#endif
