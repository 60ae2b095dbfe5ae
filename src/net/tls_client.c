/*
 * Credentials that all sessions of all workers share (the trust store is read
 * once; GnuTLS only reads them from then on), and the sessions to resume.
 */
#include "net/tls_client.h"
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PRIORITY "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct tls_client {
	atomic_uint references;
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	struct tls_cache *cache;
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
	atomic_init(&t->references, 1);
	t->cache = tls_cache_new(options->cache_max);
	if (t->cache == NULL || gnutls_certificate_allocate_credentials(
	    &t->credentials) != GNUTLS_E_SUCCESS)
		goto err;
	if (load_trust(t, options, error_r) != 0 ||
	    load_key(t, options, error_r) != 0 ||
	    load_priority(t, options, error_r) != 0)
		goto err;
	return t;
err:
	tls_client_unref(t);
	return NULL;
}

struct tls_client *
tls_client_ref(struct tls_client *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

void
tls_client_unref(struct tls_client *t)
{
	if (t == NULL || atomic_fetch_sub(&t->references, 1) != 1)
		return;
	tls_cache_free(t->cache);
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	if (t->credentials != NULL)
		gnutls_certificate_free_credentials(t->credentials);
	free(t);
}

int
tls_client_prepare(struct tls_client *t, gnutls_session_t session,
    const char *name)
{
	size_t length = strlen(name);
	int rc = gnutls_priority_set(session, t->priority);

	if (rc == GNUTLS_E_SUCCESS)
		rc = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
		    t->credentials);
	if (length > 0 && name[length - 1] == '.')
		length--;	/* RFC 6066 3: without the last dot */
	if (rc == GNUTLS_E_SUCCESS && length > 0)
		rc = gnutls_server_name_set(session, GNUTLS_NAME_DNS, name,
		    length);
	return rc;
}

struct tls_cache *
tls_client_cache(struct tls_client *t)
{
	return t->cache;
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
