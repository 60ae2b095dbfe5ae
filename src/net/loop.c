/*
 * One thread's libevent base. A turn of the loop is
 *
 *	wait -> callbacks of all ready events -> deferred functions
 *
 * and time is read once per turn, by the first who asks. What libevent does
 * not offer is made here: deferred functions, calls from other threads (a
 * list behind a mutex and an eventfd, so that the base itself needs no
 * locks), and timers that are restarted far more often than they fire: such
 * a timer only notes its new time, and looks again when the old one is over.
 */
#include "net/loop.h"
#include "net/loop_event.h"
#include "base/clock.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct call {
	struct call *next;
	loop_fn *fn;
	void *ctx;
};

struct deferred {
	loop_fn *fn;
	void *ctx;
};

struct loop {
	struct event_base *base;
	uint8_t *buffer;	/* what is read, then what is decrypted */
	uint64_t now_us;	/* 0: not read in this turn */
	uint64_t busy;		/* sockets that were ready */

	struct deferred *deferred;
	size_t deferred_count, deferred_cap;

	struct loop_event_orphan *orphans;

	int wake_fd;
	struct event wake_event;
	pthread_mutex_t calls_lock;
	struct call *calls, **calls_tail;	/* under calls_lock */
	atomic_bool stop;
};

struct loop_timer {
	struct event event;
	struct loop *loop;
	loop_fn *fn;
	void *ctx;
	uint64_t at_us;		/* when to fire; 0: stopped */
	uint64_t armed_us;	/* when libevent will call; 0: not at all */
};

struct loop_signal {
	struct event event;
	loop_fn *fn;
	void *ctx;
};

static void
run_calls(struct loop *l)
{
	struct call *list, *next;

	pthread_mutex_lock(&l->calls_lock);
	list = l->calls;
	l->calls = NULL;
	l->calls_tail = &l->calls;
	pthread_mutex_unlock(&l->calls_lock);

	for (; list != NULL; list = next) {
		next = list->next;
		list->fn(list->ctx);
		free(list);
	}
}

static void
on_wake(evutil_socket_t fd, short what UNUSED, void *ctx)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) > 0)
		run_calls(ctx);
}

static void
wake(struct loop *l)
{
	static const uint64_t one = 1;

	/* A full counter is a pending wake-up, so failure means nothing. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK |
	    EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct loop *
loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->calls_tail = &l->calls;
	pthread_mutex_init(&l->calls_lock, NULL);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->base = base_new();
	l->buffer = malloc(LOOP_EVENT_READ_SIZE + LOOP_EVENT_PLAIN_SIZE);
	if (l->wake_fd == -1 || l->base == NULL || l->buffer == NULL)
		goto err;
	event_assign(&l->wake_event, l->base, l->wake_fd,
	    EV_READ | EV_PERSIST, on_wake, l);
	if (event_add(&l->wake_event, NULL) != 0)
		goto err;
	return l;
err:
	loop_free(l);
	return NULL;
}

/* Only those that are there now: one that defers itself again shares the
 * loop with everybody else. */
static void
run_deferred(struct loop *l)
{
	size_t count = l->deferred_count, i;
	struct deferred d;

	for (i = 0; i < count; i++) {
		d = l->deferred[i];	/* fn may move the array */
		d.fn(d.ctx);
	}
	l->deferred_count -= count;
	if (l->deferred_count > 0)
		memmove(l->deferred, l->deferred + count,
		    l->deferred_count * sizeof(*l->deferred));
}

void
loop_free(struct loop *l)
{
	struct loop_event_orphan *o;

	if (l == NULL)
		return;
	run_calls(l);
	while ((o = l->orphans) != NULL) {
		loop_event_release(o);
		o->fn(o->ctx);
	}
	while (l->deferred_count > 0)
		run_deferred(l);
	free(l->deferred);
	if (event_initialized(&l->wake_event))
		event_del(&l->wake_event);
	if (l->base != NULL)
		event_base_free(l->base);
	if (l->wake_fd != -1)
		close(l->wake_fd);
	pthread_mutex_destroy(&l->calls_lock);
	free(l->buffer);
	free(l);
}

void
loop_run(struct loop *l)
{
	while (!atomic_exchange(&l->stop, false)) {
		run_deferred(l);
		l->now_us = 0;
		event_base_loop(l->base, EVLOOP_ONCE |
		    (l->deferred_count > 0 ? EVLOOP_NONBLOCK : 0));
	}
	run_calls(l);
	while (l->deferred_count > 0)
		run_deferred(l);
	l->now_us = 0;
}

void
loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}

uint64_t
loop_now_us(const struct loop *l)
{
	/* A cache is no change that anybody could see. */
	if (l->now_us == 0)
		((struct loop *)l)->now_us = clock_mono_us();
	return l->now_us;
}

int
loop_call(struct loop *l, loop_fn *fn, void *ctx)
{
	struct call *call = malloc(sizeof(*call));
	bool was_empty;

	if (call == NULL)
		return -1;
	*call = (struct call){ .fn = fn, .ctx = ctx };
	pthread_mutex_lock(&l->calls_lock);
	was_empty = l->calls == NULL;
	*l->calls_tail = call;
	l->calls_tail = &call->next;
	pthread_mutex_unlock(&l->calls_lock);
	if (was_empty)
		wake(l);
	return 0;
}

void
loop_defer(struct loop *l, loop_fn *fn, void *ctx)
{
	struct deferred *array;
	size_t cap;

	if (l->deferred_count == l->deferred_cap) {
		cap = l->deferred_cap == 0 ? 64 : l->deferred_cap * 2;
		array = realloc(l->deferred, cap * sizeof(*array));
		if (array == NULL)
			abort();	/* 16 bytes each: all is lost */
		l->deferred = array;
		l->deferred_cap = cap;
	}
	l->deferred[l->deferred_count++] = (struct deferred){ fn, ctx };
}

static void
timer_arm(struct loop_timer *t)
{
	uint64_t now = loop_now_us(t->loop);
	uint64_t left = t->at_us > now ? t->at_us - now : 0;
	struct timeval tv = {
		.tv_sec = (time_t)(left / CLOCK_US_PER_S),
		.tv_usec = (suseconds_t)(left % CLOCK_US_PER_S),
	};

	t->armed_us = t->at_us;
	event_add(&t->event, &tv);
}

static void
on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *ctx)
{
	struct loop_timer *t = ctx;

	t->armed_us = 0;
	if (t->at_us == 0)
		return;
	if (t->at_us > loop_now_us(t->loop)) {
		timer_arm(t);
		return;
	}
	t->at_us = 0;
	t->fn(t->ctx);
}

struct loop_timer *
loop_timer_new(struct loop *l, loop_fn *fn, void *ctx)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->loop = l;
	t->fn = fn;
	t->ctx = ctx;
	event_assign(&t->event, l->base, -1, 0, on_timer, t);
	return t;
}

void
loop_timer_start(struct loop_timer *t, uint64_t at_us)
{
	t->at_us = at_us == 0 ? 1 : at_us;
	if (t->armed_us == 0 || t->armed_us > t->at_us)
		timer_arm(t);
}

void
loop_timer_stop(struct loop_timer *t)
{
	if (t != NULL)
		t->at_us = 0;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	event_del(&t->event);
	free(t);
}

static void
on_signal(evutil_socket_t signo UNUSED, short what UNUSED, void *ctx)
{
	struct loop_signal *s = ctx;

	s->fn(s->ctx);
}

struct loop_signal *
loop_signal_new(struct loop *l, int signo, loop_fn *fn, void *ctx)
{
	struct loop_signal *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->fn = fn;
	s->ctx = ctx;
	event_assign(&s->event, l->base, signo, EV_SIGNAL | EV_PERSIST,
	    on_signal, s);
	if (event_add(&s->event, NULL) != 0) {
		free(s);
		return NULL;
	}
	return s;
}

void
loop_signal_free(struct loop_signal *s)
{
	if (s == NULL)
		return;
	event_del(&s->event);
	free(s);
}

struct event_base *
loop_event_base(const struct loop *l)
{
	return l->base;
}

void
loop_event_was_ready(struct loop *l)
{
	l->busy++;
}

uint64_t
loop_busy(const struct loop *l)
{
	return l->busy;
}

uint8_t *
loop_event_read_buffer(const struct loop *l)
{
	return l->buffer;
}

uint8_t *
loop_event_plain_buffer(const struct loop *l)
{
	return l->buffer + LOOP_EVENT_READ_SIZE;
}

void
loop_event_adopt(struct loop *l, struct loop_event_orphan *o)
{
	o->next = l->orphans;
	if (o->next != NULL)
		o->next->link = &o->next;
	o->link = &l->orphans;
	l->orphans = o;
}

void
loop_event_release(struct loop_event_orphan *o)
{
	if (o->link == NULL)
		return;
	*o->link = o->next;
	if (o->next != NULL)
		o->next->link = o->link;
	o->link = NULL;
}
