/*
 * milter_main.c - penstock-milter: options, policy, privileges, wiring, run
 *
 * Threads: this one waits for signals (milter_signals.h); libmilter runs beside
 * it, as do the queue writer, the log, Lua and one thread for chores (reload,
 * looking after queue and Lua).
 *
 * Stopping does not wait for smfi_main, which takes 4 to 5 s to notice: open
 * transactions are let finish, callbacks are turned away at the door, and the
 * process ends (milter_service.h).
 */
#include <errno.h>
#include <getopt.h>
#include <libmilter/mfapi.h>
#include <signal.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/control.h"
#include "base/daemon.h"
#include "base/diag.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/inbox.h"
#include "base/str.h"
#include "base/worker.h"
#include "base/xalloc.h"
#include "logs/log_setup.h"
#include "lua/script_services.h"
#include "milter/milter_callbacks.h"
#include "milter/milter_signals.h"
#include "milter/milter_socket.h"
#include "milter/milter_wakeup.h"
#include "queue/queue_check.h"
#include "queue/queue_trace_key.h"

#define BACKLOG 1024
#define DRAIN_MS 20000 /* for transactions that are open */
#define SCRIPT_SHUTDOWN_MS 2000
#define LAST_CALLBACKS_MS 100000 /* longer than a custody may wait */

struct options {
	const char *policy, *queue, *socket, *socket_mode, *socket_group;
	const char *control, *user, *group, *spill_dir, *pid_file;
	const char *resolver; /* "ADDRESS@PORT"; NULL: resolv.conf's */
	int64_t free_floor_mib, wal_limit_mib; /* 0: the queue's defaults */
	bool foreground, check, verbose;
};

enum {
	OPT_SOCKET_MODE = 256,
	OPT_SOCKET_GROUP,
	OPT_SPILL_DIR,
	OPT_PID_FILE,
	OPT_FREE_FLOOR,
	OPT_WAL_LIMIT,
	OPT_RESOLVER
};

static const struct option long_options[] = {
    {"policy", required_argument, NULL, 'p'},
    {"queue", required_argument, NULL, 'q'},
    {"socket", required_argument, NULL, 's'},
    {"socket-mode", required_argument, NULL, OPT_SOCKET_MODE},
    {"socket-group", required_argument, NULL, OPT_SOCKET_GROUP},
    {"control", required_argument, NULL, 'c'},
    {"user", required_argument, NULL, 'u'},
    {"group", required_argument, NULL, 'g'},
    {"foreground", no_argument, NULL, 'f'},
    {"check", no_argument, NULL, 'C'},
    {"spill-dir", required_argument, NULL, OPT_SPILL_DIR},
    {"pid-file", required_argument, NULL, OPT_PID_FILE},
    {"free-floor", required_argument, NULL, OPT_FREE_FLOOR},
    {"wal-limit", required_argument, NULL, OPT_WAL_LIMIT},
    {"resolver", required_argument, NULL, OPT_RESOLVER},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char usage[] =
    "Usage: penstock-milter [OPTION]...\n"
    "Decide about mail for an MTA, and take custody of what is accepted.\n"
    "\n"
    "  -p, --policy=FILE        the policy (" PENSTOCK_SYSCONFDIR
    "/policy.lua)\n"
    "  -q, --queue=FILE         the queue (" PENSTOCK_STATEDIR "/queue.db)\n"
    "  -s, --socket=SPEC        where the MTA connects: unix:PATH,\n"
    "                           inet:PORT@ADDRESS or inet:ADDRESS:PORT\n"
    "                           (unix:" PENSTOCK_RUNDIR "/milter.sock)\n"
    "      --socket-mode=MODE   octal permissions of a unix socket (0660)\n"
    "      --socket-group=NAME  group of a unix socket\n"
    "  -c, --control=PATH       socket for status and reload\n"
    "                           (" PENSTOCK_RUNDIR "/milter-control.sock)\n"
    "  -u, --user=NAME[:GROUP]  become this user after binding\n"
    "  -g, --group=NAME         and this group\n"
    "      --spill-dir=DIR      for messages over 1 MiB while they arrive\n"
    "                           (the queue's directory)\n"
    "      --free-floor=MIB     take no mail with less space than this free\n"
    "                           (256, or 5 % of the file system if that is "
    "less)\n"
    "      --wal-limit=MIB      nor with a longer write-ahead log (256)\n"
    "      --resolver=ADDR@PORT name server that policies ask\n"
    "      --pid-file=FILE      write the process id there\n"
    "  -f, --foreground         stay, and write to standard error\n"
    "  -C, --check              read options and policy, then exit\n"
    "  -v, --verbose            say more\n"
    "  -h, --help               this text\n"
    "  -V, --version            the version\n"
    "\n"
    "SIGUSR1 reloads the policy, SIGTERM finishes what is open and stops.\n";

#define SHUTDOWN_EVENT_MS 5000

static struct service service;
/* What the policy may ask of us. */
static struct script_services services = {
    .inject = service_inject, .suppressed = service_suppressed};
static struct inbox *chores;
static struct queue_check *check;    /* of the whole file; NULL: none runs */
static atomic_int exit_code = EX_OK; /* written before SIGTERM */

/* ---- options ---- */

static int64_t mebibytes(const char *option)
{
	int64_t n;

	if (str_to_int(optarg, &n) && n > 0 && n <= INT32_MAX)
		return n;
	(void)fprintf(stderr,
	    "penstock-milter: --%s: expected a number of MiB, got \"%.40s\"\n",
	    option, optarg);
	exit(EX_USAGE);
}

/* libunbound would say so only when a policy asks for the first time. */
static const char *name_server(void)
{
	char address[IP_TEXT];
	const char *at = strchr(optarg, '@');
	size_t len = at ? (size_t)(at - optarg) : strlen(optarg);
	struct ip_addr ip;
	int64_t port = 53;

	if (len < sizeof address) {
		memcpy(address, optarg, len);
		address[len] = '\0';
		if (ip_parse(address, &ip) &&
		    (!at || (str_to_int(at + 1, &port) && port > 0 &&
				port <= 65535)))
			return optarg;
	}
	(void)fprintf(stderr,
	    "penstock-milter: --resolver: expected ADDRESS or ADDRESS@PORT, "
	    "got \"%.80s\"\n",
	    optarg);
	exit(EX_USAGE);
}

static struct options parse_options(int argc, char **argv)
{
	struct options o = {
	    .policy = PENSTOCK_SYSCONFDIR "/policy.lua",
	    .queue = PENSTOCK_STATEDIR "/queue.db",
	    .socket = "unix:" PENSTOCK_RUNDIR "/milter.sock",
	    .socket_mode = "0660",
	    .control = PENSTOCK_RUNDIR "/milter-control.sock",
	};
	int c;

	while ((c = getopt_long(argc, argv, "p:q:s:c:u:g:fCvhV", long_options,
		    NULL)) >= 0) {
		switch (c) {
		case 'p':
			o.policy = optarg;
			break;
		case 'q':
			o.queue = optarg;
			break;
		case 's':
			o.socket = optarg;
			break;
		case OPT_SOCKET_MODE:
			o.socket_mode = optarg;
			break;
		case OPT_SOCKET_GROUP:
			o.socket_group = optarg;
			break;
		case 'c':
			o.control = optarg;
			break;
		case 'u':
			o.user = optarg;
			break;
		case 'g':
			o.group = optarg;
			break;
		case OPT_SPILL_DIR:
			o.spill_dir = optarg;
			break;
		case OPT_FREE_FLOOR:
			o.free_floor_mib = mebibytes("free-floor");
			break;
		case OPT_WAL_LIMIT:
			o.wal_limit_mib = mebibytes("wal-limit");
			break;
		case OPT_RESOLVER:
			o.resolver = name_server();
			break;
		case OPT_PID_FILE:
			o.pid_file = optarg;
			break;
		case 'f':
			o.foreground = true;
			break;
		case 'C':
			o.check = true;
			break;
		case 'v':
			o.verbose = true;
			break;
		case 'h':
			(void)fputs(usage, stdout);
			exit(EX_OK);
		case 'V':
			(void)puts("penstock-milter " PACKAGE_VERSION);
			exit(EX_OK);
		default:
			(void)fputs("Try 'penstock-milter --help'.\n", stderr);
			exit(EX_USAGE);
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr,
		    "penstock-milter: unexpected argument \"%s\"\n"
		    "Try 'penstock-milter --help'.\n",
		    argv[optind]);
		exit(EX_USAGE);
	}
	return o;
}

static NORETURN void give_up(const struct err *err)
{
	diag_fatal(err_exit_code(err), "%s", err->text);
}

/* ---- the parts ---- */

static struct script_policy *load_policy(
    const struct options *o, enum script_role role)
{
	const struct script_options options = {
	    .path = o->policy,
	    .role = role,
	};
	struct script_policy *policy = NULL;
	struct err err = {0};

	if (!script_policy_load(&policy, &options, &err)) {
		(void)script_shutdown(2000);
		diag_fatal(err.class == ERR_TEMP ? EX_TEMPFAIL : EX_CONFIG,
		    "policy: %s", err.text);
	}
	if (script_policy_handles(policy, "smtp_server_auth_plain"))
		diag_warn("policy: smtp_server_auth_plain is never called: "
			  "the MTA authenticates");
	return policy;
}

/* libmilter creates the socket with the umask and never looks at it again. */
static void bind_socket(
    const struct options *o, const struct milter_socket *sock, mode_t mode)
{
	char spec[sizeof sock->spec];
	struct err err = {0};
	mode_t before;

	if (!milter_register(&service, &err) ||
	    !milter_socket_clear(sock, &err))
		give_up(&err);
	(void)str_copy(spec, sizeof spec, sock->spec);
	if (smfi_setconn(spec) != MI_SUCCESS ||
	    smfi_setbacklog(BACKLOG) != MI_SUCCESS)
		diag_fatal(EX_CONFIG, "socket: libmilter refuses %s", spec);
	before = umask(0777 & ~mode);
	if (smfi_opensocket(false) != MI_SUCCESS)
		diag_fatal(EX_UNAVAILABLE, "socket: cannot listen on %s: %s",
		    spec, milter_socket_why_not(sock));
	(void)umask(before);
	/* milter_wakeup.c connects to it as the user that we become. */
	if ((*sock->path && !daemon_give(sock->path, o->user, &err)) ||
	    !milter_socket_permit(sock, mode, o->socket_group, &err))
		give_up(&err);
}

static const char *directory_of(const char *path)
{
	static char dir[4096];
	struct err err = {0};

	if (!path_dir(dir, sizeof dir, path, &err))
		give_up(&err);
	return dir;
}

static void start_storage(
    const struct options *o, const struct policy_setup *setup)
{
	const struct queue_options queue_options = {
	    .path = o->queue,
	    .program = QUEUE_MILTER,
	    .create = true,
	    .free_floor_bytes = o->free_floor_mib * 1024 * 1024,
	    .free_floor_percent = o->free_floor_mib ? 100 : 0,
	    .wal_limit_bytes = o->wal_limit_mib * 1024 * 1024,
	};
	struct err err = {0};
	char node_id[37];

	if (!queue_open(&service.queue, &queue_options, &err)) {
		(void)err_prefix(&err, "queue");
		give_up(&err);
	}
	service.spill_dir =
	    o->spill_dir ? o->spill_dir : directory_of(o->queue);
	if (access(service.spill_dir, W_OK | X_OK) < 0) {
		(void)err_errno(
		    &err, ERR_CONFIG, "spill-dir: %s", service.spill_dir);
		give_up(&err);
	}
	if (!log_node_id(directory_of(o->queue), node_id, &err)) {
		(void)err_prefix(&err, "node id");
		give_up(&err);
	}
	service.log = log_writer_start_config(
	    setup->logs, setup->log_count, "milter", node_id, &err);
	if (!service.log) {
		(void)err_prefix(&err, "configure_local_logs");
		give_up(&err);
	}
	for (size_t i = 0; i < setup->log_count; i++)
		if (setup->logs[i]->headers.count > 0)
			service.log_wants_headers = true;
	for (size_t i = 0; i < setup->hook_count; i++)
		if (setup->hooks[i]->headers.count > 0)
			service.log_wants_headers = true;
	if (queue_trace_keys_use(queue_path(service.queue), &err))
		service.writer = queue_writer_start(service.queue, &err);
	if (!service.writer) {
		(void)err_prefix(&err, "queue");
		give_up(&err);
	}
}

/* ---- chores: what may take long and nobody waits for ---- */

struct order {
	struct inbox_item item;
};

/* The queue's writer tries to recover a poisoned queue by itself; when it
 * cannot, there is nothing left to serve. */
static void look_at_queue(void)
{
	struct queue_writer_stats stats;

	queue_writer_stats(service.writer, &stats);
	if (stats.lost)
		diag_fatal(EX_IOERR,
		    "queue: %s cannot be recovered; restore it or move it away",
		    queue_path(service.queue));
}

/* Said once when it begins and once when it ends; sessions only refuse. */
static void look_at_room(void)
{
	static bool closed;
	struct err err = {0};
	bool room = service_has_room(&service, 0, &err);

	if (!room && !closed)
		diag_error("intake is closed: %s", err.text);
	else if (room && closed)
		diag_warn("intake is open again");
	closed = !room;
}

/* Handlers that never came back hold their threads.  With this many of them
 * events are refused; a new process has none. */
static void look_at_lua(void)
{
	if (!script_is_stuck() || atomic_load(&exit_code) != EX_OK)
		return;
	diag_error("policy: %u events never came back; stopping, to be started "
		   "afresh",
	    script_abandoned());
	atomic_store(&exit_code, EX_TEMPFAIL);
	(void)kill(getpid(), SIGTERM);
}

static void *do_chores(void *ctx)
{
	struct err err;

	for (;;) {
		struct inbox_item *item =
		    inbox_take(chores, clock_now_ms() + 1000);

		if (inbox_closed(chores))
			return NULL;
		if (item) {
			free(CONTAINER_OF(item, struct order, item));
			daemon_notify("RELOADING=1");
			(void)service_reload(&service, &err);
			daemon_notify("READY=1");
		}
		look_at_queue();
		queue_check_tend(check);
		look_at_lua();
		look_at_room();
	}
}

static void *run_libmilter(void *ctx)
{
	int result = smfi_main();

	/* It can listen no more. */
	if (result != MI_SUCCESS) {
		diag_error("libmilter: smfi_main failed");
		atomic_store(&exit_code, EX_UNAVAILABLE);
	}
	(void)kill(getpid(), SIGTERM);
	return NULL;
}

/* ---- run and stop ---- */

static void wait_for_stop(void)
{
	struct order *order;
	int sig;

	while ((sig = milter_signals_wait()) != SIGTERM) {
		if (sig == SIGHUP) {
			diag_warn("SIGHUP is libmilter's; SIGUSR1 reloads");
			continue;
		}
		order = calloc(1, sizeof *order);
		if (order)
			inbox_put(chores, &order->item);
	}
}

static bool wait_until_zero(atomic_int *count, int64_t most_ms)
{
	int64_t deadline = clock_now_ms() + most_ms;

	while (atomic_load(count) > 0) {
		if (clock_now_ms() >= deadline)
			return false;
		(void)usleep(10000);
	}
	return true;
}

static void stop(void)
{
	daemon_notify("STOPPING=1");
	diag_info("stopping: open transactions=%d",
	    atomic_load(&service.transactions));
	atomic_store(&service.draining, true);
	(void)wait_until_zero(&service.transactions, DRAIN_MS);
	atomic_store(&service.stopped, true);
	/* They may still touch anything: nothing is taken apart under them.
	 * Their MTAs get no answer, their clients send again. */
	if (!wait_until_zero(&service.in_callback, LAST_CALLBACKS_MS)) {
		diag_error("stopping: %d callbacks did not end",
		    atomic_load(&service.in_callback));
		diag_stop_thread();
		_exit(EX_TEMPFAIL);
	}
	/* libmilter sends the last answers after their callbacks returned; one
	 * that is cut off here costs a duplicate. */
	(void)usleep(50000);
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct script_policy *policy;
	struct milter_socket sock;
	struct milter_wakeup *wakeup;
	struct control *control;
	struct err err = {0};
	pthread_t chore_thread;
	char *real_queue;
	mode_t mode;

	daemon_block_signals();
	daemon_close_input();
	diag_init("penstock-milter", true);
	digest_outlives_main();
	if (o.verbose)
		diag_set_level(DIAG_DEBUG);
	if (!milter_socket_parse(o.socket, &sock, &err) ||
	    !milter_socket_mode(o.socket_mode, &mode, &err))
		give_up(&err);
	if (*sock.path == '\0' && !ip_is_loopback(&sock.ip))
		diag_warn("socket: %s is reachable from other hosts; whoever "
			  "connects decides who the client is",
		    sock.spec);
	real_queue = queue_real_path(o.queue);
	script_protect_file(real_queue);
	free(real_queue);
	script_use_forwarder(o.resolver);
	if (o.check) {
		script_policy_unref(load_policy(&o, SCRIPT_CHECK));
		(void)script_shutdown(2000);
		(void)printf("%s: ok\n", o.policy);
		return EX_OK;
	}
	if (!o.foreground && !daemon_background(&err))
		give_up(&err);

	service.policy_path = o.policy;
	service.program_version = PACKAGE_VERSION;
	bind_socket(&o, &sock, mode);
	if ((o.pid_file && !daemon_write_pid(o.pid_file, &err)) ||
	    !daemon_drop(o.user, o.group, &err))
		give_up(&err);
	daemon_warn_of_owner(o.queue, o.user);
	policy = load_policy(&o, SCRIPT_MILTER);
	policy_setup_warn(script_policy_setup(policy), o.queue);
	service_init_take(&service, policy);
	start_storage(&o, script_policy_setup(policy));
	chores = inbox_new();
	control = control_start(o.control, 1, service_control, &service, &err);
	if (!control) {
		(void)err_prefix(&err, "control");
		give_up(&err);
	}
	services.ctx = &service;
	script_use_services(&services);
	diag_start_thread();
	check = queue_check_start(service.queue);
	chore_thread = worker_thread_start("chores", do_chores, NULL);
	(void)pthread_detach(worker_thread_start("smfi", run_libmilter, NULL));
	if (!o.foreground)
		diag_init("penstock-milter", false);
	diag_info("ready: socket=%s policy=%s queue=%s generation=%lld",
	    sock.spec, o.policy, o.queue, (long long)service.generation);
	daemon_ready("taking mail");

	script_watch_start(script_reload_by_signal, NULL, 0);
	wakeup = milter_wakeup_start(&service, &sock);
	wait_for_stop();
	script_watch_stop();

	stop();
	milter_wakeup_stop(wakeup);
	milter_socket_remove(&sock);
	inbox_close(chores);
	(void)pthread_join(chore_thread, NULL);
	control_stop(control);
	queue_check_stop(check);
	policy = service_policy(&service);
	script_notify(policy, "shutdown_logging", SHUTDOWN_EVENT_MS);
	script_policy_unref(policy);
	script_use_services(NULL);
	queue_writer_stop(service.writer);
	log_writer_stop(service.log);
	queue_close(service.queue);
	service_release(&service);
	/* Connections that are still open keep their policy. */
	(void)script_shutdown(
	    atomic_load(&service.sessions) ? 0 : SCRIPT_SHUTDOWN_MS);
	if (o.pid_file)
		(void)unlink(o.pid_file);
	diag_info("stopped");
	diag_stop_thread();
	/* libmilter's and Lua's threads still run: nothing more is taken
	 * apart; callbacks that come now are turned away at the door. */
	return atomic_load(&exit_code);
}
