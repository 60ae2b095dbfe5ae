/*
 * Credentials that all sessions of a worker share (the trust store is read
 * once), and the sessions to resume. The cache is an array that is searched
 * from end to end: its few microseconds are nothing beside the handshake.
 */
#include "net/tls_client.h"
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PRIORITY "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define SESSION_MAX (16 * 1024)	/* it holds the peer's certificates */

struct remembered {
	struct addr key;	/* family NONE: free */
	uint64_t age;		/* higher is younger */
	gnutls_datum_t data;
};

struct tls_client {
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	char *server_name;	/* NULL: none */
	struct remembered *cache;
	size_t cache_max;
	uint64_t next_age;
};

static bool
is_set(const char *option)
{
	return option != NULL && option[0] != '\0';
}

static void PRINTF_LIKE(2, 3)
explain(char **error_r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(error_r, fmt, ap) < 0)
		*error_r = NULL;
	va_end(ap);
}

static int
load_trust(struct tls_client *t, const struct tls_client_options *o,
	char **error_r)
{
	int rc;

	if (!is_set(o->ca_file)) {
		/* A system without any still has TLS, never verified. */
		(void)gnutls_certificate_set_x509_system_trust(t->credentials);
		return 0;
	}
	rc = gnutls_certificate_set_x509_trust_file(t->credentials, o->ca_file,
	    GNUTLS_X509_FMT_PEM);
	if (rc > 0)
		return 0;
	explain(error_r, "cannot read certificates from %s: %s", o->ca_file,
	    rc == 0 ? "there are none" : gnutls_strerror(rc));
	return -1;
}

static int
load_key(struct tls_client *t, const struct tls_client_options *o,
	char **error_r)
{
	const char *key = is_set(o->key_file) ? o->key_file : o->cert_file;
	int rc;

	if (!is_set(o->cert_file))
		return 0;
	rc = gnutls_certificate_set_x509_key_file(t->credentials, o->cert_file,
	    key, GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		return 0;
	explain(error_r, "cannot use certificate %s with key %s: %s",
	    o->cert_file, key, gnutls_strerror(rc));
	return -1;
}

static int
load_priority(struct tls_client *t, const struct tls_client_options *o,
	char **error_r)
{
	const char *text = is_set(o->priority) ? o->priority : PRIORITY;
	const char *where = text;
	int rc = gnutls_priority_init(&t->priority, text, &where);

	if (rc == GNUTLS_E_SUCCESS)
		return 0;
	explain(error_r, "TLS priority \"%s\" is wrong at \"%s\": %s", text,
	    where, gnutls_strerror(rc));
	return -1;
}

struct tls_client *
tls_client_new(const struct tls_client_options *options, char **error_r)
{
	struct tls_client *t = calloc(1, sizeof(*t));

	*error_r = NULL;
	if (t == NULL)
		return NULL;
	t->cache_max = options->cache_max;
	t->cache = calloc(t->cache_max + 1, sizeof(*t->cache));
	if (t->cache == NULL || gnutls_certificate_allocate_credentials(
	    &t->credentials) != GNUTLS_E_SUCCESS)
		goto err;
	if (is_set(options->server_name)) {
		t->server_name = strdup(options->server_name);
		if (t->server_name == NULL)
			goto err;
	}
	if (load_trust(t, options, error_r) != 0 ||
	    load_key(t, options, error_r) != 0 ||
	    load_priority(t, options, error_r) != 0)
		goto err;
	return t;
err:
	tls_client_free(t);
	return NULL;
}

void
tls_client_free(struct tls_client *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; t->cache != NULL && i < t->cache_max; i++)
		gnutls_free(t->cache[i].data.data);
	free(t->cache);
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	if (t->credentials != NULL)
		gnutls_certificate_free_credentials(t->credentials);
	free(t->server_name);
	free(t);
}

int
tls_client_prepare(struct tls_client *t, gnutls_session_t session)
{
	int rc = gnutls_priority_set(session, t->priority);

	if (rc == GNUTLS_E_SUCCESS)
		rc = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
		    t->credentials);
	if (rc == GNUTLS_E_SUCCESS && t->server_name != NULL)
		rc = gnutls_server_name_set(session, GNUTLS_NAME_DNS,
		    t->server_name, strlen(t->server_name));
	return rc;
}

gnutls_datum_t
tls_client_take(struct tls_client *t, const struct addr *key)
{
	struct remembered *r, *best = NULL;
	gnutls_datum_t data;

	for (r = t->cache; r < t->cache + t->cache_max; r++) {
		if (r->key.family != ADDR_NONE && addr_eq(&r->key, key) &&
		    (best == NULL || r->age > best->age))
			best = r;
	}
	if (best == NULL)
		return (gnutls_datum_t){ NULL, 0 };
	data = best->data;
	*best = (struct remembered){ .key.family = ADDR_NONE };
	return data;
}

void
tls_client_remember(struct tls_client *t, const struct addr *key,
	gnutls_datum_t data)
{
	struct remembered *r, *oldest = t->cache;

	if (t->cache_max == 0 || data.size > SESSION_MAX ||
	    key->family == ADDR_NONE) {
		gnutls_free(data.data);
		return;
	}
	/* A free one has age 0, so it is the oldest of all. */
	for (r = t->cache; r < t->cache + t->cache_max; r++) {
		if (r->age < oldest->age)
			oldest = r;
	}
	gnutls_free(oldest->data.data);
	*oldest = (struct remembered){ *key, ++t->next_age, data };
}

bool
tls_certificate_matches(struct span certificate, const char *name)
{
	gnutls_datum_t der = { (unsigned char *)certificate.data,
	    (unsigned)certificate.len };
	gnutls_x509_crt_t crt;
	bool matches;

	if (gnutls_x509_crt_init(&crt) != GNUTLS_E_SUCCESS)
		return false;
	matches = gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER) ==
	    GNUTLS_E_SUCCESS && gnutls_x509_crt_check_hostname(crt, name) != 0;
	gnutls_x509_crt_deinit(crt);
	return matches;
}
