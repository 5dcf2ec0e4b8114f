/*
 * script_event_name.h - handlers that would never be called
 *
 * Any name may be registered, but a check that nobody runs protects nobody:
 * what was meant to be an event of the language, and KumoMTA's events that do
 * not occur here, are warned of when the policy is loaded.
 */
#ifndef LUA_SCRIPT_EVENT_NAME_H
#define LUA_SCRIPT_EVENT_NAME_H

#include <stddef.h>

/* Warns if need be.  `known`: the events that are called, but for those that
 * this module knows itself. */
void script_event_name_warn(
    const char *name, const char *where, const char *(*known)(size_t i));

#endif
