/*
 * Files are read here and not by GnuTLS, whose errors do not say which one
 * could not be read, nor why: an operator who reloads must learn that a key is
 * out of reach since weir gave up its privileges.
 *
 * Which of several certificates a client is shown GnuTLS decides, by the name
 * that the client wants and by what it can verify. It does not look at
 * wildcards: choose_wildcard() does, where no certificate has the very name.
 */
#include "net/tls_server.h"
#include "base/buf.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (1024 * 1024)	/* of certificates, chain and key */

/* One certificate by itself. */
struct pair {
	gnutls_certificate_credentials_t credentials;
	gnutls_x509_crt_t crt;		/* without its chain */
};

struct tls_server {
	atomic_uint references;
	gnutls_certificate_credentials_t credentials;	/* all of them */
	struct pair *pairs;		/* where there are several */
	size_t n_pairs;
	gnutls_priority_t priority;
	bool asks;
	uint8_t ticket_key[TLS_SERVER_TICKET_KEY];
};

static void PRINTF_LIKE(2, 3)
explain(char **error_r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(error_r, fmt, ap) < 0)
		*error_r = NULL;
	va_end(ap);
}

/* In one piece, so that no copy of a key is left behind. -1 with errno. */
static int
read_fd(int fd, struct buf *out)
{
	uint8_t *to = buf_reserve(out, FILE_MAX);
	size_t used = 0;
	ssize_t n = 0;

	if (to == NULL) {
		errno = ENOMEM;
		return -1;
	}
	while (used < FILE_MAX &&
	    (n = read(fd, to + used, FILE_MAX - used)) > 0)
		used += (size_t)n;
	buf_commit(out, used);
	if (used == FILE_MAX)
		errno = EFBIG;
	return n < 0 || used == FILE_MAX ? -1 : 0;
}

static int
read_file(const char *path, struct buf *out, char **error_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int result = fd < 0 ? -1 : read_fd(fd, out);

	if (result != 0)
		explain(error_r, "cannot read %s: %s%s", path, strerror(errno),
		    errno != EACCES || geteuid() == 0 ? "" :
		    "; weir is not root, or not any more: let the group of "
		    "its user read it");
	if (fd >= 0)
		close(fd);
	return result;
}

/* What held a key is not left lying about. */
static void
forget(struct buf *b)
{
	struct span s = buf_span(b);

	if (s.len > 0)
		gnutls_memset((uint8_t *)(uintptr_t)s.data, 0, s.len);
	buf_release(b);
}

static gnutls_datum_t
datum_of(const struct buf *b)
{
	struct span s = buf_span(b);

	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)s.data,
	    (unsigned)s.len };
}

/* Keeps the pair apart, too. GnuTLS's codes. */
static int
add_pair(struct tls_server *t, const gnutls_datum_t *crt,
	const gnutls_datum_t *key)
{
	struct pair *p = &t->pairs[t->n_pairs];
	gnutls_x509_crt_t *chain;
	unsigned i, n;
	int rc = gnutls_certificate_allocate_credentials(&p->credentials);

	if (rc < 0)
		return rc;
	t->n_pairs++;
	rc = gnutls_certificate_set_x509_key_mem(p->credentials, crt, key,
	    GNUTLS_X509_FMT_PEM);
	if (rc >= 0)
		rc = gnutls_certificate_get_x509_crt(p->credentials, 0, &chain,
		    &n);
	if (rc < 0)
		return rc;
	p->crt = chain[0];
	for (i = 1; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return 0;
}

static int
load_pair(struct tls_server *t, const char *certificate, const char *key,
	char **error_r)
{
	bool apart = key != NULL && key[0] != '\0';
	gnutls_datum_t crt_pem, key_pem;
	struct buf crt, sealed;
	int rc = -1;

	buf_init(&crt, FILE_MAX);
	buf_init(&sealed, FILE_MAX);
	if (read_file(certificate, &crt, error_r) != 0 ||
	    (apart && read_file(key, &sealed, error_r) != 0))
		goto end;
	crt_pem = datum_of(&crt);
	key_pem = apart ? datum_of(&sealed) : crt_pem;
	rc = gnutls_certificate_set_x509_key_mem(t->credentials, &crt_pem,
	    &key_pem, GNUTLS_X509_FMT_PEM);
	if (rc >= 0 && t->pairs != NULL)
		rc = add_pair(t, &crt_pem, &key_pem);
	if (rc < 0)
		explain(error_r, "cannot use certificate %s with key %s: %s",
		    certificate, apart ? key : certificate,
		    rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ?
		    "there is no key in it" : gnutls_strerror(rc));
end:
	forget(&crt);
	forget(&sealed);
	return rc < 0 ? -1 : 0;
}

static int
load_pairs(struct tls_server *t, const struct tls_server_options *o,
	char **error_r)
{
	size_t i;

	if (o->n_certificates > 1) {
		t->pairs = calloc(o->n_certificates, sizeof(*t->pairs));
		if (t->pairs == NULL)
			return -1;
	}
	for (i = 0; i < o->n_certificates; i++)
		if (load_pair(t, o->certificates[i], i < o->n_keys ?
		    o->keys[i] : NULL, error_r) != 0)
			return -1;
	if (o->n_certificates > 0)
		return 0;
	explain(error_r, "there is no certificate");
	return -1;
}

/* GnuTLS's codes, or 0: there are none. */
static int
trust(struct tls_server *t, const gnutls_datum_t *pem)
{
	int rc = gnutls_certificate_set_x509_trust_mem(t->credentials, pem,
	    GNUTLS_X509_FMT_PEM);
	size_t i;

	for (i = 0; rc > 0 && i < t->n_pairs; i++)
		rc = gnutls_certificate_set_x509_trust_mem(
		    t->pairs[i].credentials, pem, GNUTLS_X509_FMT_PEM);
	return rc;
}

static int
load_client_ca(struct tls_server *t, const struct tls_server_options *o,
	char **error_r)
{
	gnutls_datum_t pem;
	struct buf ca;
	int rc;

	t->asks = o->client_ca != NULL && o->client_ca[0] != '\0';
	if (!t->asks)
		return 0;
	buf_init(&ca, FILE_MAX);
	rc = read_file(o->client_ca, &ca, error_r);
	if (rc == 0) {
		pem = datum_of(&ca);
		rc = trust(t, &pem);
		if (rc <= 0)
			explain(error_r, "cannot read certificates from %s: "
			    "%s", o->client_ca, rc == 0 ? "there are none" :
			    gnutls_strerror(rc));
		rc = rc > 0 ? 0 : -1;
	}
	buf_release(&ca);
	return rc;
}

static int
load_priority(struct tls_server *t, const struct tls_server_options *o,
	char **error_r)
{
	const char *where = o->priority;
	int rc = gnutls_priority_init(&t->priority, o->priority, &where);

	if (rc == GNUTLS_E_SUCCESS)
		return 0;
	explain(error_r, "TLS priority \"%s\" is wrong at \"%s\": %s",
	    o->priority, where, gnutls_strerror(rc));
	return -1;
}

struct tls_server *
tls_server_new(const struct tls_server_options *options, char **error_r)
{
	struct tls_server *t = calloc(1, sizeof(*t));

	*error_r = NULL;
	if (t == NULL)
		return NULL;
	atomic_init(&t->references, 1);
	memcpy(t->ticket_key, options->ticket_key, sizeof(t->ticket_key));
	if (gnutls_certificate_allocate_credentials(&t->credentials) !=
	    GNUTLS_E_SUCCESS ||
	    load_pairs(t, options, error_r) != 0 ||
	    load_client_ca(t, options, error_r) != 0 ||
	    load_priority(t, options, error_r) != 0) {
		tls_server_unref(t);
		return NULL;
	}
	return t;
}

struct tls_server *
tls_server_ref(struct tls_server *t)
{
	atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
	return t;
}

void
tls_server_unref(struct tls_server *t)
{
	size_t i;

	if (t == NULL || atomic_fetch_sub(&t->references, 1) != 1)
		return;
	if (t->priority != NULL)
		gnutls_priority_deinit(t->priority);
	if (t->credentials != NULL)
		gnutls_certificate_free_credentials(t->credentials);
	for (i = 0; i < t->n_pairs; i++) {
		gnutls_certificate_free_credentials(t->pairs[i].credentials);
		if (t->pairs[i].crt != NULL)
			gnutls_x509_crt_deinit(t->pairs[i].crt);
	}
	free(t->pairs);
	gnutls_memset(t->ticket_key, 0, sizeof(t->ticket_key));
	free(t);
}

static const struct pair *
pair_for(const struct tls_server *t, const char *name, unsigned flags)
{
	size_t i;

	for (i = 0; i < t->n_pairs; i++)
		if (gnutls_x509_crt_check_hostname2(t->pairs[i].crt, name,
		    flags))
			return &t->pairs[i];
	return NULL;
}

/* The client has said which name it wants. */
static int
choose_wildcard(gnutls_session_t session)
{
	const struct tls_server *t = gnutls_session_get_ptr(session);
	const struct pair *p;
	char name[256];
	size_t size = sizeof(name);
	unsigned type;

	if (gnutls_server_name_get(session, name, &size, &type, 0) !=
	    GNUTLS_E_SUCCESS || type != GNUTLS_NAME_DNS ||
	    pair_for(t, name, GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS) != NULL ||
	    (p = pair_for(t, name, 0)) == NULL)
		return 0;
	return gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
	    p->credentials);
}

int
tls_server_prepare(struct tls_server *t, gnutls_session_t session)
{
	gnutls_datum_t key = { t->ticket_key, sizeof(t->ticket_key) };
	int rc = gnutls_priority_set(session, t->priority);

	if (rc == GNUTLS_E_SUCCESS)
		rc = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
		    t->credentials);
	if (rc == GNUTLS_E_SUCCESS)
		rc = gnutls_session_ticket_enable_server(session, &key);
	if (t->n_pairs > 0) {
		gnutls_session_set_ptr(session, t);
		gnutls_handshake_set_post_client_hello_function(session,
		    choose_wildcard);
	}
	if (t->asks)
		gnutls_certificate_server_set_request(session,
		    GNUTLS_CERT_REQUEST);
	return rc;
}

bool
tls_server_asks(const struct tls_server *t)
{
	return t->asks;
}
