/*
 * One tls_client towards all MXs, and one tls_server per listener, in the
 * order of the configuration. Sessions take references when they begin, so
 * that a reload changes nothing under them. The sessions to resume belong to
 * the tls_client: what was agreed on under another priority goes with it.
 */
#include "daemon/credentials.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

/* TLS sessions that are remembered for resumption. */
#define CACHE_MAX 4096

struct credentials {
	atomic_uint references;
	struct tls_client *upstream;
	size_t n;
	struct tls_server *list[];	/* NULL: no TLS there */
};

int
credentials_seal_make(struct credentials_seal *seal_r)
{
	return getrandom(seal_r->key, sizeof(seal_r->key), 0) ==
	    sizeof(seal_r->key) ? 0 : -1;
}

static int
load_one(const struct config_listener *l, const struct credentials_seal *seal,
    struct tls_server **server_r, struct buf *error)
{
	struct tls_server_options options = {
		.certificates = l->tls_certificate,
		.n_certificates = l->n_tls_certificate,
		.keys = l->tls_key,
		.n_keys = l->n_tls_key,
		.client_ca = l->tls_client_ca,
		.priority = l->tls_priority,
		.ticket_key = seal->key,
	};
	char *why;

	if (l->client_tls != CONFIG_CLIENT_TLS_OFFER)
		return 0;
	*server_r = tls_server_new(&options, &why);
	if (*server_r != NULL)
		return 0;
	buf_printf(error, "listener \"%s\": %s", l->name,
	    why == NULL ? "no memory" : why);
	free(why);
	return -1;
}

static int
load_upstream(const struct config *config, struct tls_client **client_r,
    struct buf *error)
{
	struct tls_client_options options = {
		.priority = config->upstream.tls_priority,
		.ca_file = config->upstream.tls_ca,
		.cache_max = CACHE_MAX,
	};
	char *why;

	*client_r = tls_client_new(&options, &why);
	if (*client_r != NULL)
		return 0;
	buf_printf(error, "upstream TLS: %s", why == NULL ? "no memory" : why);
	free(why);
	return -1;
}

struct credentials *
credentials_load(const struct config *config,
    const struct credentials_seal *seal, struct buf *error)
{
	struct credentials *c = calloc(1, sizeof(*c) +
	    config->n_listeners * sizeof(c->list[0]));
	size_t i;

	if (c == NULL) {
		buf_append_str(error, "no memory");
		return NULL;
	}
	atomic_init(&c->references, 1);
	c->n = config->n_listeners;
	if (load_upstream(config, &c->upstream, error) != 0) {
		credentials_unref(c);
		return NULL;
	}
	for (i = 0; i < c->n; i++)
		if (load_one(&config->listeners[i], seal, &c->list[i],
		    error) != 0) {
			credentials_unref(c);
			return NULL;
		}
	return c;
}

struct credentials *
credentials_ref(struct credentials *c)
{
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
	return c;
}

void
credentials_unref(struct credentials *c)
{
	size_t i;

	if (c == NULL || atomic_fetch_sub(&c->references, 1) != 1)
		return;
	for (i = 0; i < c->n; i++)
		tls_server_unref(c->list[i]);
	tls_client_unref(c->upstream);
	free(c);
}

struct tls_server *
credentials_of(const struct credentials *c, const struct config *config,
    const struct config_listener *listener)
{
	return c->list[listener - config->listeners];
}

struct tls_client *
credentials_upstream(const struct credentials *c)
{
	return c->upstream;
}
