/*
 * milter_macros.c - what the MTA tells besides the commands
 *
 * Postfix and Sendmail name some things differently (spec of each stage is what
 * was measured): Postfix knows {daemon_addr} and {daemon_port} as the real
 * local end, Sendmail knows {if_addr}, but not on loopback.  {tls_*} appears at
 * the HELO after STARTTLS, {auth_*} at MAIL.
 */
#include "milter/milter_macros.h"

const char *const macro_lists[MACRO_STAGES] = {
    [MACROS_CONNECT] = ("j v {daemon_name} {daemon_addr} {daemon_port} "
			"{if_name} {if_addr} {client_resolve}"),
    [MACROS_HELO] = "{tls_version} {cipher} {cert_subject} {verify}",
    [MACROS_MAIL] = ("i {auth_authen} {auth_author} {tls_version} {cipher} "
		     "{cert_subject} {verify}"),
    [MACROS_RCPT] = "i",
    [MACROS_DATA] = "i",
    [MACROS_EOH] = "i",
    [MACROS_EOM] = "i",
};

const char *macro(const struct macros *macros, const char *name)
{
	const char *value = macros->get(macros->ctx, name);

	return value && *value ? value : NULL;
}
