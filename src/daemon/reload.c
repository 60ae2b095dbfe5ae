/*
 * SIGHUP: a new configuration, whole or not at all. Whatever can fail is done
 * before anything changes; open sessions keep the snapshot they began with.
 */
#include "daemon/app.h"

#include "base/clock.h"
#include "base/escape.h"
#include "daemon/resolve.h"
#include "daemon/resolver.h"

#include <stdlib.h>

/* What only a restart can change; said, and otherwise left alone. */
static void
reload_warn(const struct config *old, const struct config *new)
{
	if (old->workers != new->workers)
		log_event(LOG_WARNING, "reload.restart_needed",
		    "key=workers");
	if (strcmp(old->user, new->user) != 0)
		log_event(LOG_WARNING, "reload.restart_needed", "key=user");
	if (old->upstream.tls_failure_memory_us !=
	    new->upstream.tls_failure_memory_us)
		log_event(LOG_WARNING, "reload.restart_needed",
		    "key=upstream.tls_failure_memory");
	if (old->upstream.mark == 0 && new->upstream.mark != 0)
		log_event(LOG_WARNING, "reload.restart_needed",
		    "key=upstream.mark");
}

static bool
status_moves(const struct config *old, const struct config *new)
{
	return !addr_eq(&old->status.address, &new->status.address) ||
	    strcmp(old->status.control, new->status.control) != 0 ||
	    strcmp(old->status.token_file, new->status.token_file) != 0;
}

static void
reload_swap(struct app *app, struct config *config,
    struct credentials *credentials, struct sockets *sockets)
{
	struct config *old = app->config;
	struct sockets old_sockets = app->sockets;
	size_t i;

	pthread_mutex_lock(&app->lock);
	app->config = config;
	app->sockets = *sockets;
	pthread_mutex_unlock(&app->lock);
	app_own_addresses(app);
	source_health_configure(app->shared.sources, config);
	for (i = 0; i < app->n_workers; i++) {
		worker_serve(app->workers[i], config, credentials,
		    sockets->workers[i]);
		app->sockets.workers[i] = (struct worker_sockets){ 0 };
	}
	sockets_release(&old_sockets, false);
	config_unref(old);
	credentials_unref(app->credentials);
	app->credentials = credentials;
}

static int
reload_try(struct app *app, struct buf *error)
{
	struct credentials *credentials = NULL;
	struct config *config;
	struct sockets sockets;

	if (!app->serving || app->draining) {
		buf_append_str(error, app->draining ? "weir is stopping" :
		    "weir is not serving yet");
		return -1;
	}
	config = config_load(app->file, error);
	if (config == NULL)
		return -1;
	config->loaded_wall_us = clock_wall_us();
	if (resolve_config(config, error) != 0 ||
	    resolver_reload(app->config, config, error) != 0)
		goto err;
	if (status_moves(app->config, config)) {
		buf_append_str(error, "status.address, status.control and "
		    "status.token_file change only with a restart");
		goto err;
	}
	credentials = credentials_load(config, &app->seal, error);
	if (credentials == NULL)
		goto err;
	if (sockets_open(config, app->n_workers, &app->sockets, app->config,
	    &sockets, error) != 0)
		goto err;
	reload_warn(app->config, config);
	if (config->limits.connections > app->config->limits.connections)
		app_descriptors(config);
	log_set_level(config->log_level);
	mx_health_flush(app->shared.mx, clock_wall_us(), true);
	record_reopen(app->shared.record, config);
	reload_swap(app, config, credentials, &sockets);
	log_event(LOG_INFO, "reload.done", "file=%s", app->file);
	return 0;
err:
	credentials_unref(credentials);
	config_unref(config);
	return -1;
}

static void
reload_tell(struct app *app, int result, const struct buf *error)
{
	char time[CLOCK_TEXT_MAX];
	struct buf json;

	buf_init(&json, 0);
	buf_printf(&json, "{\"occurred_at\":\"%s\",\"ok\":%s,\"error\":",
	    clock_format_utc(clock_wall_us(), time),
	    result == 0 ? "true" : "false");
	escape_json(&json, buf_span(error));
	buf_append_byte(&json, '}');
	event_ring_push(app->shared.events, "reload", buf_span(&json));
	buf_release(&json);
}

/* Said in the log, whoever asked for it. */
int
app_reload(struct app *app, struct buf *error)
{
	char text[LOG_QUOTE_MAX];
	int result = reload_try(app, error);

	if (result != 0)
		log_event(LOG_ERROR, "reload.failed", "reason=%s",
		    log_quote(buf_span(error), text));
	reload_tell(app, result, error);
	return result;
}
