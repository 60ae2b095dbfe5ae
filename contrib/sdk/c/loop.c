/*
 * What wakes the server: watched file descriptors in an epoll instance, whose
 * own descriptor the user may watch elsewhere, and timers in a heap, of which
 * the earliest arms a timerfd in that instance. A watch that ends while events
 * are handed out is freed only afterwards.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define EVENTS 64

static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT &&
    POLLERR == EPOLLERR && POLLHUP == EPOLLHUP, "epoll speaks poll");

struct weir_watch {
	LIST_ENTRY(weir_watch) link;
	struct weir_policy *policy;
	int fd;				/* -1: ended */
	weir_watch_fn *fn;
	void *arg;
};

struct weir_timer {
	struct weir_policy *policy;
	size_t place;			/* in the heap */
	uint64_t due_us;
	weir_timer_fn *fn;
	void *arg;
};

/* ----------------------------------------------------------------- watches */

struct weir_watch *
weir_watch(struct weir_policy *p, int fd, unsigned events, weir_watch_fn *fn,
    void *arg)
{
	struct weir_watch *w = calloc(1, sizeof *w);
	struct epoll_event event = { .events = events, .data.ptr = w };

	if (w == NULL)
		return NULL;
	w->policy = p;
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(w);
		return NULL;
	}
	LIST_INSERT_HEAD(&p->watches, w, link);
	return w;
}

int
weir_watch_set(struct weir_watch *w, unsigned events)
{
	struct epoll_event event = { .events = events, .data.ptr = w };

	return epoll_ctl(w->policy->epoll, EPOLL_CTL_MOD, w->fd, &event);
}

void
weir_watch_free(struct weir_watch *w)
{
	if (w == NULL)
		return;
	epoll_ctl(w->policy->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
	LIST_REMOVE(w, link);
	LIST_INSERT_HEAD(&w->policy->dead_watches, w, link);
}

static void
free_watches(struct watches *list)
{
	struct weir_watch *w;

	while ((w = LIST_FIRST(list)) != NULL) {
		LIST_REMOVE(w, link);
		free(w);
	}
}

/* ------------------------------------------------------------------ timers */

static uint64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void
arm_clock(struct weir_policy *p)
{
	uint64_t due = p->n_timers > 0 ? p->timers[0]->due_us : 0;
	struct itimerspec at = { .it_value = {
		.tv_sec = (time_t)(due / 1000000),
		.tv_nsec = (long)(due % 1000000) * 1000 } };

	timerfd_settime(p->clock, TFD_TIMER_ABSTIME, &at, NULL);
}

static void
put(struct weir_policy *p, struct weir_timer *t, size_t place)
{
	p->timers[place] = t;
	t->place = place;
}

/* Finds t its place, from `place` on, which is free. */
static void
settle(struct weir_policy *p, struct weir_timer *t, size_t place)
{
	size_t child;

	while (place > 0 && t->due_us < p->timers[(place - 1) / 2]->due_us) {
		put(p, p->timers[(place - 1) / 2], place);
		place = (place - 1) / 2;
	}
	for (;;) {
		child = 2 * place + 1;
		if (child + 1 < p->n_timers && p->timers[child + 1]->due_us <
		    p->timers[child]->due_us)
			child++;
		if (child >= p->n_timers ||
		    p->timers[child]->due_us >= t->due_us)
			break;
		put(p, p->timers[child], place);
		place = child;
	}
	put(p, t, place);
}

struct weir_timer *
weir_timer(struct weir_policy *p, uint64_t us, weir_timer_fn *fn, void *arg)
{
	struct weir_timer *t, **more;
	size_t room = p->room_timers > 0 ? 2 * p->room_timers : 16;
	uint64_t now = now_us();

	if (p->n_timers == p->room_timers) {
		more = realloc(p->timers, room * sizeof(struct weir_timer *));
		if (more == NULL)
			return NULL;
		p->timers = more;
		p->room_timers = room;
	}
	t = malloc(sizeof *t);
	if (t == NULL)
		return NULL;
	*t = (struct weir_timer){ p, 0,
	    us < UINT64_MAX - now ? now + us : UINT64_MAX, fn, arg };
	settle(p, t, p->n_timers++);
	if (t->place == 0)
		arm_clock(p);
	return t;
}

void
weir_timer_cancel(struct weir_timer *t)
{
	struct weir_timer *last;
	struct weir_policy *p;

	if (t == NULL)
		return;
	p = t->policy;
	last = p->timers[--p->n_timers];
	if (last != t)
		settle(p, last, t->place);
	free(t);
}

static void
on_clock(int fd, unsigned events, void *arg)
{
	struct weir_policy *p = arg;
	struct weir_timer *t, due;
	uint64_t expirations, now = now_us();

	(void)events;
	if (read(fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
		policy_log(p, "timerfd: %m");
	/* what is set meanwhile is for the next round */
	while (p->n_timers > 0 && p->timers[0]->due_us <= now) {
		t = p->timers[0];
		due = *t;
		weir_timer_cancel(t);
		due.fn(due.arg);
	}
	arm_clock(p);
}

/* -------------------------------------------------------------------- loop */

int
loop_open(struct weir_policy *p)
{
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	p->clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (p->epoll < 0 || p->clock < 0 ||
	    weir_watch(p, p->clock, POLLIN, on_clock, p) == NULL)
		return -1;
	return 0;
}

void
loop_close(struct weir_policy *p)
{
	while (p->n_timers > 0)
		free(p->timers[--p->n_timers]);
	free(p->timers);
	free_watches(&p->watches);
	free_watches(&p->dead_watches);
	if (p->clock >= 0)
		close(p->clock);
	if (p->epoll >= 0)
		close(p->epoll);
}

int
weir_policy_fd(const struct weir_policy *p)
{
	return p->epoll;
}

int
weir_policy_step(struct weir_policy *p, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	struct weir_watch *w;
	int n;

	n = epoll_wait(p->epoll, events, EVENTS, timeout_ms);
	if (n < 0 && errno != EINTR)
		return -1;
	for (int i = 0; i < n; i++) {
		w = events[i].data.ptr;
		if (w->fd >= 0)
			w->fn(w->fd, events[i].events, w->arg);
	}
	free_watches(&p->dead_watches);
	return !p->stopping || !LIST_EMPTY(&p->connections) ||
	    p->stop_check != NULL;
}
