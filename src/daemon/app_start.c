/*
 * Start and stop, in the order that privileges ask for: sockets and keys first,
 * then the user, then whatever opens files or makes threads.
 */
#include "daemon/app.h"

#include "base/clock.h"
#include "daemon/privileges.h"
#include "net/connect.h"
#include "net/tls_names.h"
#include "daemon/resolver.h"

#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

void
app_own_addresses(struct app *app)
{
	struct addr *own = calloc(app->sockets.n_bound + 1, sizeof(*own));

	if (own == NULL)
		abort();
	memcpy(own, app->sockets.bound, app->sockets.n_bound * sizeof(*own));
	pthread_rwlock_wrlock(&app->shared.own_lock);
	free(app->shared.own);
	app->shared.own = own;
	app->shared.n_own = app->sockets.n_bound;
	pthread_rwlock_unlock(&app->shared.own_lock);
}

/* Hands the sockets to the workers: from now on weir serves. */
static void
app_serve(struct app *app)
{
	size_t i;

	app_own_addresses(app);
	for (i = 0; i < app->n_workers; i++) {
		worker_serve(app->workers[i], app->config,
		    app->credentials, app->sockets.workers[i]);
		app->sockets.workers[i] = (struct worker_sockets){ 0 };
	}
	app->serving = true;
	atomic_store(&app->is_serving, true);
	log_event(LOG_INFO, "weir.serving", "workers=%zu", app->n_workers);
}

/* Opens what is not open yet, and serves. */
int
app_listen(struct app *app, struct buf *error)
{
	if (app->sockets.workers == NULL && sockets_open(app->config,
	    app->n_workers, NULL, NULL, &app->sockets, error) != 0)
		return -1;
	app_serve(app);
	return 0;
}

/* SO_MARK and IP_TRANSPARENT ask for CAP_NET_ADMIN. */
static bool
needs_net_admin(const struct config *c)
{
	bool needs = c->upstream.mark != 0;
	size_t i;

	for (i = 0; i < c->n_listeners; i++)
		needs = needs || c->listeners[i].mode == CONFIG_MODE_TPROXY;
	return needs;
}

static bool
has_required_policy(const struct config *c)
{
	size_t i;

	for (i = 0; i < c->n_policies; i++)
		if (c->policies[i].required)
			return true;
	return false;
}

static int
workers_start(struct app *app, struct buf *error)
{
	size_t i, n = app->config->workers;

	app->workers = calloc(n, sizeof(*app->workers));
	app->metrics = calloc(n, sizeof(*app->metrics));
	if (app->workers == NULL || app->metrics == NULL) {
		buf_append_str(error, "no memory");
		return -1;
	}
	app->shared.tls_memory = tls_memory_new(
	    app->config->upstream.tls_failure_memory_us);
	app->shared.tls_names = tls_names_new();
	if (app->shared.tls_memory == NULL ||
	    app->shared.tls_names == NULL) {
		buf_append_str(error, "no memory");
		return -1;
	}
	for (i = 0; i < n; i++) {
		app->workers[i] = worker_new(&app->shared, (unsigned)i,
		    app->config, error);
		if (app->workers[i] == NULL)
			return -1;
		app->metrics[i] = app->workers[i]->metrics;
		app->n_workers = i + 1;
		if (worker_start(app->workers[i]) != 0) {
			buf_append_str(error, "cannot start a thread");
			return -1;
		}
	}
	return 0;
}

/* Two descriptors per session, some for policies, database, status, and what a
 * worker's questions to the DNS may take. */
void
app_descriptors(const struct config *c)
{
	unsigned long wanted = 2ul * c->limits.connections + 256 +
	    64ul * c->workers +
	    (c->upstream.reuse_us > 0 ? (unsigned long)c->workers *
	    c->upstream.reuse_connections : 0);
	unsigned long limit = privileges_descriptors(wanted);

	if (limit < wanted)
		log_event(LOG_WARNING, "weir.descriptors", "limit=%lu "
		    "wanted=%lu advice=\"raise LimitNOFILE or lower "
		    "limits.connections\"", limit, wanted);
}

int
app_start(struct app *app, struct buf *error)
{
	const struct config *c = app->config;
	struct status_source source;

	app_descriptors(c);
	if (!has_required_policy(c) && sockets_open(c, c->workers, NULL, NULL,
	    &app->sockets, error) != 0)
		return -1;
	app->credentials = credentials_load(c, &app->seal, error);
	if (app->credentials == NULL)
		return -1;
	if (privileges_drop(c->user, needs_net_admin(c), error) != 0)
		return -1;
	if (!connect_mark_is_allowed(c->upstream.mark)) {
		buf_append_str(error, "upstream.mark needs CAP_NET_ADMIN, which "
		    "weir does not have: start it as root, or by the unit "
		    "file, or leave the mark out and exempt weir's user");
		return -1;
	}
	if (resolver_probe(c, error) != 0)
		return -1;
	app->shared.record = record_start(c);
	if (app->shared.record == NULL) {
		buf_append_str(error, "no memory for the record");
		return -1;
	}
	app->shared.events = event_ring_new(app->started_wall_us);
	if (app->shared.events == NULL) {
		buf_append_str(error, "no memory for the events");
		return -1;
	}
	app->shared.processes = process_finder_new();
	if (app_sources_start(app, error) != 0 || workers_start(app, error) != 0)
		return -1;
	app_status_source(app, &source);
	app->status = status_start(&source, c, error);
	if (app->status == NULL)
		return -1;
	if (has_required_policy(c)) {
		log_event(LOG_INFO, "weir.waiting",
		    "reason=\"a required policy is not there yet\"");
		return 0;
	}
	return app_listen(app, error);
}

void
app_stop(struct app *app)
{
	size_t i;

	status_stop(app->status);
	for (i = 0; i < app->n_workers; i++)
		worker_stop(app->workers[i]);
	for (i = 0; i < app->n_workers; i++)
		worker_join(app->workers[i]);
	for (i = 0; i < app->n_workers; i++)
		worker_free(app->workers[i]);
	process_finder_free(app->shared.processes);
	tls_memory_free(app->shared.tls_memory);
	tls_names_free(app->shared.tls_names);
	mx_health_flush(app->shared.mx, clock_wall_us(), true);
	record_stop(app->shared.record);
	app_sources_stop(app);
	event_ring_free(app->shared.events);
	sockets_release(&app->sockets, true);
	free(app->workers);
	free(app->metrics);
	credentials_unref(app->credentials);
	free(app->shared.own);
}
