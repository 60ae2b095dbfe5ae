/*
 * A weir without mail behind the status server: made-up figures, and notes of
 * what it was asked to do.
 */
#ifndef WEIR_TESTS_STATUS_FAKE_H
#define WEIR_TESTS_STATUS_FAKE_H

#include "service/status.h"

#define STATUS_FAKE_WORKERS 2

struct status_fake {
	struct metrics *workers[STATUS_FAKE_WORKERS];
	struct config *config;
	struct status_source source;
	struct mx_health *mx;
	struct event_ring *events;
	struct source_health *sources;	/* 203.0.113.11 is out */
	_Atomic(const char *) why_not;	/* NULL: ready */
	const char *reload_error;	/* NULL: reloads */
	atomic_uint reloads, drains;
	int drain_held;		/* a drain awaits a byte from it; -1: none */
};

/* text: a weir.conf. Aborts with its errors if it is not valid. */
void status_fake_init(struct status_fake *f, const char *text,
	struct record *record);
void status_fake_release(struct status_fake *f);

#endif
