/*
 * host_name.h - what this host calls itself
 *
 * The default of a listener's hostname and of the name in EHLO.  Asked once;
 * `localhost` when the system has no name.
 *
 * Threads: any.
 */
#ifndef POLICY_HOST_NAME_H
#define POLICY_HOST_NAME_H

const char *host_name(void);

#endif
