/*
 * daemon.h - what every daemon does before its work
 *
 * Order in a main: daemon_block_signals() first thing, options, policy check,
 * daemon_background(), sockets, daemon_drop(), threads, daemon_ready().
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include "base/err.h"

/* SIGUSR1, SIGTERM, SIGINT, SIGHUP and SIGPIPE are blocked for all threads to
 * come; SIGUSR1 would kill by default. */
void daemon_block_signals(void);
/* Reading from standard input gives its end: a policy that reads there would
 * wait for somebody to type. */
void daemon_close_input(void);
/* Forks, leaves the session, waits in the parent until daemon_ready() and exits
 * with the child's verdict.  Before any thread or database exists. */
bool daemon_background(struct err *err) MUST_USE;
/* Tells the waiting parent and systemd (sd_notify protocol, NOTIFY_SOCKET). */
void daemon_ready(const char *status);
/* Any sd_notify text, e.g. "STOPPING=1" or "RELOADING=1". */
void daemon_notify(const char *state);
/* user[:group]; nothing happens when user is NULL or we are not root. */
bool daemon_drop(const char *user, const char *group, struct err *err) MUST_USE;
/* As root and without `user`: says so when `path`, or its directory when it is
 * not there, is somebody else's.  What we make would be root's, and the owner's
 * daemons, or the next start as that user, could not use it. */
void daemon_warn_of_owner(const char *path, const char *user);
/* `path` becomes the user's own; as daemon_drop(), which comes after it. */
bool daemon_give(const char *path, const char *user, struct err *err) MUST_USE;
bool daemon_write_pid(const char *path, struct err *err) MUST_USE;

#endif
