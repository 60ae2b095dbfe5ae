/*
 * The server as a whole: what it subscribes to, how it tells weir, how it runs
 * and how it stops. Stopping is done by timers, so that it may be asked for in
 * any callback and in any loop: connections close when nobody uses them.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "internal.h"

#define STOP_US 10000000
#define BODY_WINDOW 262144

bool
weir_same(struct weir_bytes b, const char *text)
{
	return strlen(text) == b.len &&
	    strncasecmp(b.data, text, b.len) == 0;
}

void
policy_log(const struct weir_policy *p, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	if (p->log != NULL)
		p->log(p->user, line);
	else
		fprintf(stderr, "%s: %s\n", p->software, line);
}

/* ----------------------------------------------------------- new and free */

struct weir_policy *
weir_policy_new(const char *software, void *user)
{
	struct weir_policy *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->epoll = p->clock = -1;
	p->user = user;
	p->body_window = BODY_WINDOW;
	p->software = strdup(software);
	p->version = strdup("");
	if (p->software != NULL && p->version != NULL && loop_open(p) == 0)
		return p;
	weir_policy_free(p);
	return NULL;
}

void
weir_policy_free(struct weir_policy *p)
{
	struct connection *c;
	struct weir_request *r;

	if (p == NULL)
		return;
	listen_close_all(p);
	while ((c = LIST_FIRST(&p->connections)) != NULL)
		connection_close(c, NULL);
	while ((r = LIST_FIRST(&p->orphans)) != NULL)
		request_free(r);
	loop_close(p);
	free(p->software);
	free(p->version);
	free(p);
}

void *
weir_policy_user(const struct weir_policy *p)
{
	return p->user;
}

void
weir_policy_log(struct weir_policy *p, weir_log_fn *fn)
{
	p->log = fn;
}

/* ---------------------------------------------------------- subscriptions */

void
weir_on(struct weir_policy *p, enum weir_phase phase, enum weir_how how,
    weir_event_fn *fn)
{
	if (p == NULL || phase < WEIR_CONNECT || phase > WEIR_SESSION_END)
		return;
	p->on[phase].fn = fn;
	p->on[phase].decide = fn != NULL && how == WEIR_DECIDE;
}

void
weir_policy_body_prefix(struct weir_policy *p, uint64_t bytes)
{
	p->body_prefix = bytes;
}

void
weir_policy_body_window(struct weir_policy *p, uint64_t bytes, bool manual)
{
	p->body_window = bytes;
	p->credit_by_hand = manual;
}

void
weir_policy_version(struct weir_policy *p, const char *version)
{
	char *copy = strdup(version);

	if (copy == NULL) {
		policy_log(p, "version %s: %m", version);
		return;
	}
	free(p->version);
	p->version = copy;
}

/* What we must know of, too: where sessions and transactions end. */
static bool
is_wanted(const struct weir_policy *p, int phase)
{
	if (p->on[phase].fn != NULL || phase == WEIR_SESSION_END)
		return true;
	for (int i = WEIR_MAIL; phase == WEIR_TRANSACTION_END && i < phase; i++)
		if (p->on[i].fn != NULL)
			return true;
	return false;
}

struct subscriptions {
	Weir__Policy__V1__Subscription each[WEIR_SESSION_END];
	Weir__Policy__V1__Subscription *list[WEIR_SESSION_END];
	size_t n;
};

static void
subscribe(const struct weir_policy *p, struct subscriptions *s)
{
	Weir__Policy__V1__Subscription *each = s->each;

	s->n = 0;
	for (int phase = WEIR_CONNECT; phase <= WEIR_SESSION_END; phase++) {
		if (!is_wanted(p, phase))
			continue;
		weir__policy__v1__subscription__init(each);
		each->phase = (Weir__Policy__V1__Phase)phase;
		each->decide = p->on[phase].decide;
		if (phase == WEIR_BODY)
			each->body_prefix = p->body_prefix;
		s->list[s->n++] = each++;
	}
}

bool
policy_welcome(const struct weir_policy *p, struct connection *c)
{
	Weir__Policy__V1__Welcome welcome = WEIR__POLICY__V1__WELCOME__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;
	struct subscriptions all;

	subscribe(p, &all);
	welcome.major = 1;
	welcome.software = p->software;
	welcome.version = p->version;
	welcome.subscriptions = all.list;
	welcome.n_subscriptions = all.n;
	welcome.max_frame = c->max_frame;
	welcome.body_credit = p->on[WEIR_BODY].fn != NULL ? p->body_window : 0;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_WELCOME;
	message.welcome = &welcome;
	return connection_send(c, &message);
}

void
policy_tell(const struct weir_policy *p, struct connection *c)
{
	Weir__Policy__V1__Update update = WEIR__POLICY__V1__UPDATE__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;
	struct subscriptions all;

	subscribe(p, &all);
	update.version = p->version;
	update.subscriptions = all.list;
	update.n_subscriptions = all.n;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_UPDATE;
	message.update = &update;
	connection_send(c, &message);
}

void
weir_policy_update(struct weir_policy *p)
{
	struct connection *c;

	LIST_FOREACH(c, &p->connections, link)
		if (c->state == CONNECTION_OPEN)
			policy_tell(p, c);
		else
			c->stale = c->state == CONNECTION_GREETED;
}

/* -------------------------------------------------------------------- stop */

static void
close_connections(struct weir_policy *p, bool all)
{
	struct connection *c, *next;

	for (c = LIST_FIRST(&p->connections); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (all || connection_is_idle(c))
			connection_close(c, NULL);
	}
}

static void
on_stop_check(void *arg)
{
	struct weir_policy *p = arg;

	p->stop_check = NULL;
	close_connections(p, false);
}

static void
on_stop_deadline(void *arg)
{
	struct weir_policy *p = arg;

	p->stop_deadline = NULL;
	close_connections(p, true);
}

static void
on_stop(void *arg)
{
	struct weir_policy *p = arg;
	struct connection *c, *next;

	listen_close_all(p);
	for (c = LIST_FIRST(&p->connections); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		connection_finish(c);
	}
	on_stop_check(p);
}

void
policy_settled(struct weir_policy *p)
{
	if (p->stopping && p->stop_check == NULL)
		p->stop_check = weir_timer(p, 0, on_stop_check, p);
}

void
weir_policy_stop(struct weir_policy *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	p->stop_check = weir_timer(p, 0, on_stop, p);
	p->stop_deadline = weir_timer(p, STOP_US, on_stop_deadline, p);
}

/* --------------------------------------------------------------------- run */

static void
on_signal(int fd, unsigned events, void *arg)
{
	struct signalfd_siginfo signal;

	(void)events;
	if (read(fd, &signal, sizeof signal) > 0)
		weir_policy_stop(arg);
}

static int
serve(struct weir_policy *p)
{
	sigset_t signals, before;
	int fd, more = -1;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, &before);
	fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd >= 0 && weir_watch(p, fd, POLLIN, on_signal, p) != NULL)
		do
			more = weir_policy_step(p, -1);
		while (more > 0);
	if (more < 0)
		policy_log(p, "cannot run: %m");
	if (fd >= 0)
		close(fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return more;
}

int
weir_policy_run(struct weir_policy *p, const char *endpoint)
{
	int result = -1;

	if (p == NULL) {
		perror("weir_policy_new");
		return 1;
	}
	if (endpoint != NULL && weir_policy_listen(p, endpoint) < 0)
		goto out;
	if (LIST_EMPTY(&p->listeners)) {
		policy_log(p, "there is no endpoint to listen on");
		goto out;
	}
	result = serve(p);
out:
	weir_policy_free(p);
	return result < 0 ? 1 : 0;
}
