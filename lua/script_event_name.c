/*
 * script_event_name.c - handlers that would never be called
 */
#include "lua/script_event_name.h"

#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/diag.h"
#include "base/str.h"

/* Called, or spoken of, elsewhere. */
static const char *const also_known[] = {
    "smtp_client_rewrite_delivery_status", "smtp_server_auth_plain"};

/* Of KumoMTA, and why not here. */
static const struct {
	const char *event, *why;
} never[] = {
    {"get_site_config", "it is called get_egress_path_config"},
    {"http_message_generated", "mail comes through the MTA, not by HTTP; use "
			       "smtp_server_message_received"},
    {"http_message_injected", "mail comes through the MTA, not by HTTP; use "
			      "smtp_server_message_received"},
    {"http_server_validate_auth_basic", "there is no HTTP listener"},
    {"http_server_validate_auth_bearer", "there is no HTTP listener"},
    {"message_requeued", "it is called requeue_message"},
    {"proxy_init", "there is no proxy server"},
    {"proxy_server_auth_rfc1929", "there is no proxy server"},
    {"tsa_init", "there is no traffic-shaping automation"},
    {"tsa_load_shaping_data", "there is no traffic-shaping automation"},
    {"xfer_message_received", "mail is not transferred between nodes"},
};

/* No policy calls its own events so. */
static const char *const reserved[] = {
    "http_server_", "smtp_client_", "smtp_server_"};

struct guess {
	const char *meant;
	unsigned least;
};

/* True: that is its name. */
static bool compare(struct guess *guess, const char *name, const char *event)
{
	size_t len = strlen(name);
	unsigned distance;

	if (str_eq(name, event))
		return true;
	if (strcasecmp(name, event) == 0) {
		*guess = (struct guess){event, 0};
	} else if (len >= 8) {
		distance = strncmp(name, event, len) == 0
			       ? 2
			       : str_distance(name, event, 2);
		if (distance < guess->least)
			*guess = (struct guess){event, distance};
	}
	return false;
}

static bool is_reserved(const char *name)
{
	for (size_t i = 0; i < COUNT(reserved); i++)
		if (strncasecmp(name, reserved[i], strlen(reserved[i])) == 0)
			return true;
	return false;
}

void script_event_name_warn(
    const char *name, const char *where, const char *(*known)(size_t i))
{
	struct guess guess = {NULL, 3};
	const char *event;

	for (size_t i = 0; i < COUNT(never); i++)
		if (str_eq(name, never[i].event)) {
			diag_warn("%s: kumo.on('%s'): this event does not "
				  "occur here: %s",
			    where, name, never[i].why);
			return;
		}
	for (size_t i = 0; i < COUNT(also_known); i++)
		if (compare(&guess, name, also_known[i]))
			return;
	for (size_t i = 0; (event = known(i)) != NULL; i++)
		if (compare(&guess, name, event))
			return;
	if (guess.meant)
		diag_warn("%s: kumo.on('%s'): there is no such event, nothing "
			  "but the policy itself can call it (did you mean "
			  "\"%s\"?)",
		    where, name, guess.meant);
	else if (is_reserved(name))
		diag_warn("%s: kumo.on('%s'): there is no such event, nothing "
			  "but the policy itself can call it",
		    where, name);
}
