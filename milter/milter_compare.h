/*
 * milter_compare.h - what only the MTA can do, held against what it shows
 *
 * A listener has settings that we cannot enforce: the MTA greets, speaks TLS
 * and reads proxy headers.  Where a connection shows that the MTA does
 * otherwise than the policy says, that is a warning, once for each local
 * address and generation of the policy, also when the setting comes from the
 * dynamic parameters.
 *
 *	setting			held against
 *	hostname		{j}, the name in the MTA's greeting
 *	listen			{daemon_name}, when mta-config set it
 *	tls_required_client_ca	{cert_subject} of a session in TLS
 *
 * Not to be seen from a milter: banner, tls_certificate, tls_private_key,
 * client_timeout, allow_xclient, require_proxy_protocol.
 */
#ifndef MILTER_MILTER_COMPARE_H
#define MILTER_MILTER_COMPARE_H

#include "milter/milter_session.h"

/* With the effective parameters, after the dynamic ones. */
void compare_connect(struct session *s, const struct macros *macros);
/* At MAIL: by then TLS is there or will not come. */
void compare_tls(struct session *s);

#endif
