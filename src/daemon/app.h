/*
 * The process: configuration in force, workers, record, status server.
 */
#ifndef WEIR_DAEMON_APP_H
#define WEIR_DAEMON_APP_H

#include <pthread.h>

#include "daemon/sockets.h"
#include "daemon/worker.h"
#include "net/source_watch.h"
#include "service/mx_events.h"
#include "service/status.h"

struct app {
	const char *file;		/* weir.conf */
	struct loop *loop;		/* the main thread's */
	struct worker_shared shared;
	char instance[ULID_TEXT_LEN + 1];
	uint64_t started_wall_us;
	pthread_mutex_t lock;		/* of config and sockets, which the
					   HTTP thread reads */
	struct config *config;
	struct credentials *credentials;	/* of config */
	struct credentials_seal seal;
	struct sockets sockets;
	struct worker **workers;
	struct metrics **metrics;	/* the workers', for the status */
	size_t n_workers;
	struct status *status;
	struct mx_events mx_events;	/* of shared.mx */
	struct loop_signal *signals[4];
	struct loop_timer *sources;	/* looks at source addresses */
	struct source_watch *source_watch;
	bool sources_changed;		/* the timer fires at once */
	struct loop_timer *poll;	/* waits for policies, or for the end */
	bool serving, draining, hard, failed;
	uint64_t drain_until_us;
	_Atomic bool is_serving, is_draining;
};

/* 0: it ran and ended as it should; else an exit code. */
int app_run(const char *file);

/* reload.c: from the main thread. Returns 0; or -1 with why in error (and in
 * the log), and everything is as before. */
int app_reload(struct app *app, struct buf *error);

/* app_start.c */
int app_start(struct app *app, struct buf *error) MUSTUSE;
int app_listen(struct app *app, struct buf *error) MUSTUSE;
void app_own_addresses(struct app *app);
void app_descriptors(const struct config *c);
void app_stop(struct app *app);

/* app_sources.c */
int app_sources_start(struct app *app, struct buf *error) MUSTUSE;
void app_sources_stop(struct app *app);

/* app_status.c: what the status server asks for. */
void app_status_source(struct app *app, struct status_source *source_r);

/* drain.c */
void app_drain(struct app *app);
void app_drain_poll(struct app *app);

#endif
