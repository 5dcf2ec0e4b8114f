/*
 * router_main.c - penstock-router: options, start, run, end
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/daemon.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/str.h"
#include "base/xalloc.h"
#include "logs/log_setup.h"
#include "lua/script.h"
#include "lua/script_services.h"
#include "net/mta_sts.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "policy/setup.h"
#include "queue/queue.h"
#include "queue/queue_history.h"
#include "queue/queue_trace_key.h"
#include "router/bounce_hit.h"
#include "router/inject.h"
#include "router/reload.h"
#include "router/router.h"
#include "router/router_control.h"

/* Where Debian's dns-root-data puts it. */
#define ROOT_KEY "/usr/share/dns/root.key"

#define FEEDS_MOST 32
#define SHUTDOWN_EVENT_MS 5000
#define FILES_MOST 65536
#define CONNECTIONS_MOST 10000
#define FILES_OURS 256 /* database, logs, maildirs, Lua */

enum option_value {
	OPT_POLICY = 'p',
	OPT_QUEUE = 'q',
	OPT_CONTROL = 'c',
	OPT_USER = 'u',
	OPT_GROUP = 'g',
	OPT_FOREGROUND = 'f',
	OPT_CHECK = 'C',
	OPT_PID_FILE = 'P',
	OPT_VERBOSE = 'v',
	OPT_HELP = 'h',
	OPT_VERSION = 'V',
	OPT_RESOLVER = 256,
	OPT_CA_FILE,
	OPT_TRUST_ANCHOR,
	OPT_FEEDS,
	OPT_HISTORY_AGE,
	OPT_HISTORY_EVENTS,
};

static const struct option_row {
	struct option_name {
		const char *name;
		int has_arg;
		enum option_value value;
	} o;
	const char *arg, *help;
} rows[] = {
    {{"policy", required_argument, OPT_POLICY}, "FILE",
	"the policy (" PENSTOCK_SYSCONFDIR "/policy.lua)"},
    {{"queue", required_argument, OPT_QUEUE}, "FILE",
	"the queue (" PENSTOCK_STATEDIR "/queue.db)"},
    {{"control", required_argument, OPT_CONTROL}, "SOCKET",
	"where to be asked (" PENSTOCK_RUNDIR "/router.sock)"},
    {{"user", required_argument, OPT_USER}, "NAME",
	"run as this user, when started as root"},
    {{"group", required_argument, OPT_GROUP}, "NAME", "and this group"},
    {{"foreground", no_argument, OPT_FOREGROUND}, NULL,
	"stay, and write to standard error"},
    {{"check", no_argument, OPT_CHECK}, NULL,
	"say whether the policy loads, and end"},
    {{"pid-file", required_argument, OPT_PID_FILE}, "FILE",
	"write the process id there"},
    {{"resolver", required_argument, OPT_RESOLVER}, "ADDR@PORT",
	"ask this name server for everything"},
    {{"ca-file", required_argument, OPT_CA_FILE}, "FILE",
	"trust these certificate authorities"},
    {{"trust-anchor", required_argument, OPT_TRUST_ANCHOR}, "FILE",
	"the key of the DNS root, for DANE (default: " ROOT_KEY ")"},
    {{"feeds", required_argument, OPT_FEEDS}, "ADDR:PORT",
	"a service that feeds our milter; never deliver there (repeatable)"},
    {{"history-age", required_argument, OPT_HISTORY_AGE}, "DURATION",
	"keep what happened to mail for so long (14 days)"},
    {{"history-events", required_argument, OPT_HISTORY_EVENTS}, "NUMBER",
	"and so many events at most (2000000)"},
    {{"verbose", no_argument, OPT_VERBOSE}, NULL, "say more"},
    {{"help", no_argument, OPT_HELP}, NULL, "this text"},
    {{"version", no_argument, OPT_VERSION}, NULL, "the version"},
};

struct settings {
	int64_t history_age_s, history_events; /* 0: the default */
	struct router_options router;
	struct router_feed feeds[FEEDS_MOST];
	const char *user, *group, *pid_file;
	bool foreground, check;
};

static void usage(FILE *out)
{
	(void)fprintf(out,
	    "usage: penstock-router [OPTION]...\n"
	    "Takes due mail from the queue and delivers it.\n\n");
	for (size_t i = 0; i < COUNT(rows); i++) {
		char left[64];

		(void)snprintf(left, sizeof left, "--%s%s%s", rows[i].o.name,
		    rows[i].arg ? " " : "", rows[i].arg ? rows[i].arg : "");
		if (rows[i].o.value < 256)
			(void)fprintf(out, "  -%c, %-24s %s\n", rows[i].o.value,
			    left, rows[i].help);
		else
			(void)fprintf(
			    out, "      %-24s %s\n", left, rows[i].help);
	}
}

static bool add_feed(struct settings *s, const char *text)
{
	struct router_feed *feed = &s->feeds[s->router.feed_count];

	if (s->router.feed_count == FEEDS_MOST)
		return false;
	if (!ip_port_parse(text, &feed->ip, &feed->port))
		return false;
	s->router.feeds = s->feeds;
	s->router.feed_count++;
	return true;
}

static void usage_error(void)
{
	(void)fprintf(stderr, "Try 'penstock-router --help'.\n");
	exit(EX_USAGE);
}

static void set_history_age(struct settings *s, const char *arg)
{
	struct duration age;
	struct err err = {0};

	if (!duration_parse(arg, &age, &err) || age.ms < 1000) {
		(void)fprintf(stderr,
		    "penstock-router: --history-age: expected a duration of a "
		    "second or more, such as \"14 days\", got \"%s\"\n",
		    arg);
		usage_error();
	}
	s->history_age_s = age.ms / 1000;
}

static void set_history_events(struct settings *s, const char *arg)
{
	if (!str_to_int(arg, &s->history_events) || s->history_events < 1) {
		(void)fprintf(stderr,
		    "penstock-router: --history-events: expected a number from "
		    "1 on, got \"%s\"\n",
		    arg);
		usage_error();
	}
}

static void set(struct settings *s, int option, const char *arg)
{
	switch ((enum option_value)option) {
	case OPT_POLICY:
		s->router.policy_path = arg;
		break;
	case OPT_QUEUE:
		s->router.queue_path = arg;
		break;
	case OPT_CONTROL:
		s->router.control_path = arg;
		break;
	case OPT_USER:
		s->user = arg;
		break;
	case OPT_GROUP:
		s->group = arg;
		break;
	case OPT_FOREGROUND:
		s->foreground = true;
		break;
	case OPT_CHECK:
		s->check = true;
		break;
	case OPT_PID_FILE:
		s->pid_file = arg;
		break;
	case OPT_RESOLVER:
		s->router.resolver = arg;
		break;
	case OPT_CA_FILE:
		s->router.ca_file = arg;
		break;
	case OPT_TRUST_ANCHOR:
		s->router.trust_anchor = arg;
		break;
	case OPT_FEEDS:
		if (!add_feed(s, arg)) {
			(void)fprintf(stderr,
			    "penstock-router: --feeds: expected ADDR:PORT, "
			    "at most %d times, got \"%s\"\n",
			    FEEDS_MOST, arg);
			usage_error();
		}
		break;
	case OPT_HISTORY_AGE:
		set_history_age(s, arg);
		break;
	case OPT_HISTORY_EVENTS:
		set_history_events(s, arg);
		break;
	case OPT_VERBOSE:
		diag_set_level(DIAG_DEBUG);
		break;
	case OPT_HELP:
		usage(stdout);
		exit(EX_OK);
	case OPT_VERSION:
		(void)printf("penstock-router %s\n", PACKAGE_VERSION);
		exit(EX_OK);
	default:
		usage_error();
	}
}

static void parse(int argc, char **argv, struct settings *s)
{
	struct option long_options[COUNT(rows) + 1];
	char letters[2 * COUNT(rows) + 1];
	size_t n = 0;
	int option;

	memset(long_options, 0, sizeof long_options);
	for (size_t i = 0; i < COUNT(rows); i++) {
		long_options[i].name = rows[i].o.name;
		long_options[i].has_arg = rows[i].o.has_arg;
		long_options[i].val = (int)rows[i].o.value;
		if (rows[i].o.value >= 256)
			continue;
		letters[n++] = (char)rows[i].o.value;
		if (rows[i].o.has_arg)
			letters[n++] = ':';
	}
	letters[n] = '\0';
	while ((option = getopt_long(
		    argc, argv, letters, long_options, NULL)) != -1)
		set(s, option, optarg);
	if (optind < argc) {
		(void)fprintf(stderr,
		    "penstock-router: unexpected argument \"%s\"\n",
		    argv[optind]);
		usage_error();
	}
}

NORETURN static void check(const struct settings *s)
{
	struct script_options options = {
	    .path = s->router.policy_path, .role = SCRIPT_CHECK};
	struct script_policy *policy;
	struct err err = {0};

	if (!script_policy_load(&policy, &options, &err)) {
		(void)script_shutdown(2000);
		(void)fprintf(stderr, "penstock-router: %s\n", err.text);
		exit(err_exit_code(&err));
	}
	(void)printf("%s: ok\n", s->router.policy_path);
	script_policy_unref(policy);
	(void)script_shutdown(5000);
	exit(EX_OK);
}

NORETURN static void give_up(const char *what, const struct err *err)
{
	diag_fatal(err_exit_code(err), "%s: %s", what, err->text);
}

/* Connections need descriptors; as many as we may have. */
static size_t connections_most(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	limit.rlim_cur =
	    limit.rlim_max < FILES_MOST ? limit.rlim_max : FILES_MOST;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur > CONNECTIONS_MOST + FILES_OURS)
		return CONNECTIONS_MOST;
	return limit.rlim_cur > 2 * FILES_OURS ? limit.rlim_cur - FILES_OURS
					       : FILES_OURS;
}

static const char *hostname(void)
{
	static char name[256];

	if (gethostname(name, sizeof name - 1) < 0 || !name[0])
		return "localhost";
	return name;
}

static void start_log(struct router *r)
{
	const struct policy_setup *setup = script_policy_setup(r->policy);
	char dir[4096], nodeid[37];
	struct err err = {0};

	router_look_at_loggers(r);
	if (!path_dir(dir, sizeof dir, r->options->queue_path, &err) ||
	    !log_node_id(dir, nodeid, &err))
		give_up("node id", &err);
	r->log = log_writer_start_config(
	    (const struct log_config *const *)setup->logs, setup->log_count,
	    "router", nodeid, &err);
	if (!r->log)
		give_up("log", &err);
}

static void on_signal(int fd, void *ctx)
{
	struct router *r = ctx;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGUSR1) {
			daemon_notify("RELOADING=1");
			router_reload(r, NULL, NULL);
		} else if (info.ssi_signo == SIGHUP) {
			diag_warn("SIGHUP does nothing; SIGUSR1 reloads");
		} else {
			daemon_notify("STOPPING=1");
			router_stop(r, "told to by a signal", EX_OK);
		}
	}
}

static void watch_signals(struct router *r)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		diag_fatal(EX_OSERR, "signalfd: %s", strerror(errno));
	loop_watch(r->loop, fd, on_signal, r);
}

/* What the policy may ask of us. */
static struct script_services services = {
    .inject = inject_message, .suppressed = router_suppressed};

/* Policies of domains are kept beside the queue. */
static void start_sts(struct router *r, const struct settings *s)
{
	char dir[4096], cache[4096];
	const struct mta_sts_options options = {.resolver = r->resolver,
	    .cache_dir = cache,
	    .ca_file = s->router.ca_file};
	struct err err = {0};

	if (script_policy_setup(r->policy)->mta_sts_disabled)
		return;
	if (!path_dir(dir, sizeof dir, s->router.queue_path, &err) ||
	    !path_join(cache, sizeof cache, dir, "mta-sts", &err))
		give_up("MTA-STS", &err);
	r->sts = mta_sts_start(&options);
}

static void start(struct router *r, const struct settings *s)
{
	struct queue_options queue = {.path = s->router.queue_path,
	    .program = QUEUE_ROUTER,
	    .create = true};
	struct script_options policy = {
	    .path = s->router.policy_path, .role = SCRIPT_ROUTER};
	struct resolver_options resolver = {.forwarder = s->router.resolver};
	struct err err = {0};
	char *real_path;

	real_path = queue_real_path(s->router.queue_path);
	script_protect_file(real_path);
	free(real_path);
	script_use_forwarder(s->router.resolver);
	if (!script_policy_load(&r->policy, &policy, &err)) {
		(void)script_shutdown(2000);
		give_up("policy", &err);
	}
	policy_setup_warn(script_policy_setup(r->policy), s->router.queue_path);
	if (!queue_open(&r->queue, &queue, &err) ||
	    !queue_trace_keys_use(queue_path(r->queue), &err))
		give_up("queue", &err);
	queue_keep_history(r->queue,
	    s->history_age_s ? s->history_age_s : QUEUE_HISTORY_AGE_S,
	    s->history_events ? s->history_events : QUEUE_HISTORY_EVENTS);
	start_log(r);
	r->resolver = resolver_start(&resolver, &err);
	if (!r->resolver)
		give_up(s->router.resolver ? "--resolver" : "resolver", &err);
	resolver.trust_anchor_file = s->router.trust_anchor;
	/* The default need not be there: enable_dane asks for it. */
	if (!resolver.trust_anchor_file && access(ROOT_KEY, R_OK) == 0)
		resolver.trust_anchor_file = ROOT_KEY;
	if (resolver.trust_anchor_file) {
		r->validator = resolver_start(&resolver, &err);
		if (!r->validator)
			give_up("trust anchor", &err);
	}
	start_sts(r, s);
	r->tls = tls_client_new(s->router.ca_file, &err);
	if (!r->tls)
		give_up(s->router.ca_file ? "--ca-file" : "TLS", &err);
	r->reloader = reloader_new(r);
	if (!router_start(r, &err))
		give_up("start", &err);
	services.ctx = r;
	script_use_services(&services);
	script_tasks_start(r->policy);
	watch_signals(r);
	script_watch_start(script_reload_by_signal, NULL, 0);
	if (!router_control_start(r, &err))
		give_up("control socket", &err);
	if (s->pid_file && !daemon_write_pid(s->pid_file, &err))
		give_up("pid file", &err);
}

static struct loop *volatile left_behind; /* not a leak */

/* Threads that post to the loop end before it does. */
static void end(struct router *r, const struct settings *s)
{
	script_watch_stop();
	router_control_stop(r);
	reloader_free(r->reloader);
	script_tasks_end(r->policy);
	script_notify(r->policy, "shutdown_logging", SHUTDOWN_EVENT_MS);
	script_use_services(NULL);
	mta_sts_stop(r->sts);
	resolver_stop(r->resolver);
	resolver_stop(r->validator);
	log_writer_stop(r->log);
	router_end(r);
	script_policy_unref(r->policy);
	/* An event that still runs will post its answer to the loop: then it
	 * stays, and is known to stay. */
	if (script_shutdown(2000))
		loop_free(r->loop);
	else
		left_behind = r->loop;
	tls_client_free(r->tls);
	queue_close(r->queue);
	if (s->pid_file)
		(void)unlink(s->pid_file);
}

int main(int argc, char **argv)
{
	struct settings s = {
	    .router = {.policy_path = PENSTOCK_SYSCONFDIR "/policy.lua",
		.queue_path = PENSTOCK_STATEDIR "/queue.db",
		.control_path = PENSTOCK_RUNDIR "/router.sock"},
	};
	struct router r = {0};
	struct err err = {0};

	/* Mail is allocated by one thread and freed by another: with an arena
	 * for each thread half of the memory would lie idle in the others. */
	(void)mallopt(M_ARENA_MAX, 2);
	daemon_block_signals();
	daemon_close_input();
	diag_init("penstock-router", true);
	digest_outlives_main();
	parse(argc, argv, &s);
	if (s.check)
		check(&s);
	if (!s.foreground && !daemon_background(&err))
		give_up("daemon", &err);
	r.connections_most = connections_most();
	if (!daemon_drop(s.user, s.group, &err))
		give_up("privileges", &err);
	daemon_warn_of_owner(s.router.queue_path, s.user);
	diag_start_thread();
	r.options = &s.router;
	r.hostname = hostname();
	start(&r, &s);
	if (!s.foreground)
		diag_init("penstock-router", false);
	daemon_ready("delivering");
	diag_info("started: version %s, policy %s, queue %s", PACKAGE_VERSION,
	    s.router.policy_path, s.router.queue_path);
	loop_run(r.loop);
	end(&r, &s);
	diag_info("stopped: %lld delivered, %lld deferred, %lld bounced",
	    (long long)r.counters.delivered, (long long)r.counters.deferred,
	    (long long)r.counters.bounced);
	diag_stop_thread();
	return r.exit_code;
}
