/*
 * attr.h - what a declaration cannot say by itself
 *
 * Attributes that the compiler checks for us, and the few macros that every
 * file wants.  Included by headers; includes nothing but the two below.
 */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stdbool.h>
#include <stddef.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))
#define NONNULL __attribute__((nonnull))

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define CONTAINER_OF(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
