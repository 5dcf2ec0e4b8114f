/*
 * err.c - what went wrong, and whether it may pass
 *
 * Everything happens inside the caller's struct; a text that does not fit is
 * cut, the beginning kept, because it reads from the outside in.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <sysexits.h>

#include "base/diag.h"

static const struct {
	const char *name;
	int exit_code;
} classes[] = {
    [ERR_NONE] = {"none", EX_OK},
    [ERR_TEMP] = {"temporary", EX_TEMPFAIL},
    [ERR_PERM] = {"permanent", EX_DATAERR},
    [ERR_CONFIG] = {"configuration", EX_CONFIG},
};

bool err_set(struct err *err, enum err_class class, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return false;
	err->class = class;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return false;
}

bool err_errno(struct err *err, enum err_class class, const char *fmt, ...)
{
	int saved = errno;
	char why[128];
	size_t len;
	va_list ap;

	if (!err)
		return false;
	err->class = class;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	(void)snprintf(err->text + len, sizeof err->text - len, ": %s",
	    strerror_r(saved, why, sizeof why));
	errno = saved;
	return false;
}

bool err_prefix(struct err *err, const char *fmt, ...)
{
	char inner[sizeof err->text];
	size_t len, room;
	va_list ap;

	if (!err)
		return false;
	memcpy(inner, err->text, sizeof inner);
	inner[sizeof inner - 1] = '\0';
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	len = strlen(err->text);
	room = sizeof err->text - len;
	(void)snprintf(
	    err->text + len, room, ": %.*s", (int)sizeof inner, inner);
	return false;
}

const char *err_class_name(enum err_class class)
{
	invariant((size_t) class < COUNT(classes));
	return classes[class].name;
}

int err_exit_code(const struct err *err)
{
	invariant((size_t)err->class < COUNT(classes));
	return classes[err->class].exit_code;
}
