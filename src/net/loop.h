/*
 * One thread's event loop: time, timers, calls from other threads. (libevent
 * stays inside net/.)
 */
#ifndef WEIR_NET_LOOP_H
#define WEIR_NET_LOOP_H

#include "base/compiler.h"
#include "base/span.h"

struct loop;

struct loop *loop_new(void);		/* NULL: no memory or descriptors */
void loop_free(struct loop *l);		/* after loop_run() has returned */

/* Runs until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);		/* from any thread */

/* CLOCK_MONOTONIC in microseconds, read once per turn of the loop: the same
 * for everything that one wake-up handles. */
uint64_t loop_now_us(const struct loop *l);

typedef void loop_fn(void *ctx);

/**
 * loop_call(l, fn, ctx) - have fn run in the loop's thread, soon.
 *
 * From any thread; calls run in the order in which they were made. Returns 0,
 * or -1 without memory.
 */
int loop_call(struct loop *l, loop_fn *fn, void *ctx) MUSTUSE;

/* Run fn(ctx) once after the current batch of events: for frees that a
 * callback may not do. Only from the loop's own thread. */
void loop_defer(struct loop *l, loop_fn *fn, void *ctx);

/* Grows with each socket that was ready: has it not grown since the last turn,
 * the loop has nothing else to do. */
uint64_t loop_busy(const struct loop *l);

/* A timer, off at first. start: fires once at that time (of loop_now_us);
 * starting again moves it. stop and free accept what is not running. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *ctx);
void loop_timer_start(struct loop_timer *t, uint64_t at_us);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* A signal handler of the main thread's loop. */
struct loop_signal;
struct loop_signal *loop_signal_new(struct loop *l, int signo, loop_fn *fn,
	void *ctx);
void loop_signal_free(struct loop_signal *s);

#endif
