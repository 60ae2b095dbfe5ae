/*
 * GnuTLS over memory: it pulls from what was fed and pushes to a queue, so
 * E_AGAIN always means "feed me", sending never blocks, and bytes that GnuTLS
 * holds cannot be forgotten behind a socket that has nothing more to say.
 *
 * Never done here: gnutls_bye(SHUT_RDWR) and gnutls_session_get_data2() before
 * a ticket came, since both wait for the peer; renegotiation; enforcing what
 * verification found.
 */
#include "net/tls_session.h"
#include "net/tls_bounds.h"
#include "net/tls_client.h"
#include "net/tls_verify.h"
#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRIES_MAX 64		/* of warnings in a row */
#define FIRST_MAX 32		/* bytes kept to name another protocol by */

struct tls_session {
	gnutls_session_t session;
	struct tls_client *client;	/* NULL: weir is the server */
	struct tls_server *server;	/* NULL: the client */
	struct tls_peer peer;
	char *name;			/* peer.name */
	struct buf *out;
	struct buf kept;	/* ciphertext of earlier feeds, comes first */
	struct span fed;	/* of the present one */
	bool fed_eof;
	bool remembered;
	bool refused_name;
	bool offered;			/* an old session */
	enum tls_session_result end;	/* EOF or FAILED: for good */
	uint64_t began_us, ended_us;	/* the handshake */
	struct tls_info info;
	gnutls_datum_t subject, issuer, verify_error;
	char error[160];
	uint8_t first[FIRST_MAX];
	size_t n_first;
};

static ssize_t
pull(gnutls_transport_ptr_t ctx, void *to, size_t size)
{
	struct tls_session *t = ctx;
	bool from_kept = buf_len(&t->kept) > 0;
	struct span have = span_take(from_kept ? buf_span(&t->kept) : t->fed,
	    size);

	if (have.len == 0 && t->fed_eof)
		return 0;
	if (have.len == 0) {
		gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	memcpy(to, have.data, have.len);
	if (from_kept) {
		buf_consume(&t->kept, have.len);
		buf_release_if_empty(&t->kept);
	} else {
		t->fed = span_skip(t->fed, have.len);
	}
	return (ssize_t)have.len;
}

static size_t
input_left(const struct tls_session *t)
{
	return buf_len(&t->kept) + t->fed.len;
}

/* GnuTLS asks it only where it would wait, so the answer is never "wait". */
static int
pull_timeout(gnutls_transport_ptr_t ctx, unsigned ms UNUSED)
{
	struct tls_session *t = ctx;

	return input_left(t) > 0 || t->fed_eof;
}

static ssize_t
push(gnutls_transport_ptr_t ctx, const void *from, size_t size)
{
	struct tls_session *t = ctx;

	if (buf_append(t->out, span_of(from, size)) == 0)
		return (ssize_t)size;
	gnutls_transport_set_errno(t->session, ENOMEM);
	return -1;
}

static struct tls_session *
session_new(unsigned role, struct buf *out, uint64_t now_us)
{
	struct tls_session *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	if (gnutls_init(&t->session, role | GNUTLS_NONBLOCK |
	    GNUTLS_NO_SIGNAL) != GNUTLS_E_SUCCESS) {
		free(t);
		return NULL;
	}
	t->out = out;
	t->began_us = now_us;
	buf_init(&t->kept, 0);
	tls_bounds_set(t->session);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
	gnutls_transport_set_push_function(t->session, push);
	return t;
}

struct tls_session *
tls_session_new(struct tls_client *client, const struct tls_peer *peer,
	struct buf *out, uint64_t now_us)
{
	struct tls_session *t = session_new(GNUTLS_CLIENT, out, now_us);
	gnutls_datum_t old;

	if (t == NULL)
		return NULL;
	t->client = tls_client_ref(client);
	t->peer = *peer;
	t->peer.name = t->name = strdup(peer->name);
	if (t->name == NULL || tls_client_prepare(client, t->session,
	    t->name) != GNUTLS_E_SUCCESS) {
		tls_session_free(t);
		return NULL;
	}
	old = tls_cache_take(tls_client_cache(client), peer, now_us);
	if (old.data != NULL) {
		/* If it does not like the old one, it makes a new one (but
		 * GnuTLS offers no later version than that one had). */
		t->offered = true;
		(void)gnutls_session_set_data(t->session, old.data, old.size);
		gnutls_free(old.data);
	}
	return t;
}

struct tls_session *
tls_session_new_server(struct tls_server *server, struct buf *out,
	uint64_t now_us)
{
	struct tls_session *t = session_new(GNUTLS_SERVER, out, now_us);

	if (t == NULL)
		return NULL;
	t->server = tls_server_ref(server);
	if (tls_server_prepare(server, t->session) != GNUTLS_E_SUCCESS) {
		tls_session_free(t);
		return NULL;
	}
	return t;
}

void
tls_session_free(struct tls_session *t)
{
	if (t == NULL)
		return;
	gnutls_deinit(t->session);
	tls_server_unref(t->server);
	tls_client_unref(t->client);
	free(t->name);
	gnutls_free(t->subject.data);
	gnutls_free(t->issuer.data);
	gnutls_free(t->verify_error.data);
	buf_release(&t->kept);
	free(t);
}

void
tls_session_feed(struct tls_session *t, struct span ciphertext)
{
	struct span first = span_take(ciphertext, FIRST_MAX - t->n_first);

	if (first.len > 0)
		memcpy(t->first + t->n_first, first.data, first.len);
	t->n_first += first.len;
	t->fed = ciphertext;
}

void
tls_session_feed_eof(struct tls_session *t)
{
	t->fed_eof = true;
}

int
tls_session_keep(struct tls_session *t)
{
	struct span rest = t->fed;

	t->fed = span_of(NULL, 0);
	return rest.len == 0 ? 0 : buf_append(&t->kept, rest);
}

bool
tls_session_is_pending(const struct tls_session *t)
{
	return t->end != TLS_SESSION_DONE || t->fed_eof || input_left(t) > 0 ||
	    gnutls_record_check_pending(t->session) > 0;
}

/* Words for what ended it, and an alert for the peer if it was our doing. */
static enum tls_session_result
give_up(struct tls_session *t, const char *where, int rc)
{
	const char *words = gnutls_strerror(rc);
	gnutls_alert_description_t alert = gnutls_alert_get(t->session);

	t->refused_name = rc == GNUTLS_E_FATAL_ALERT_RECEIVED &&
	    alert == GNUTLS_A_UNRECOGNIZED_NAME;
	if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		words = gnutls_alert_get_name(alert);
	else if (rc == GNUTLS_E_PREMATURE_TERMINATION)
		words = "connection closed by peer";
	else
		(void)gnutls_alert_send_appropriate(t->session, rc);
	snprintf(t->error, sizeof(t->error), "TLS %s%s: %s", where,
	    rc == GNUTLS_E_FATAL_ALERT_RECEIVED ? " refused with alert" :
	    " failed", words == NULL ? "unknown" : words);
	t->end = TLS_SESSION_FAILED;
	return t->end;
}

static void
remember(struct tls_session *t)
{
	gnutls_datum_t data;

	if (t->remembered || t->client == NULL)
		return;
	/* In TLS 1.3 asking before a ticket came would wait for one. */
	if (gnutls_protocol_get_version(t->session) >= GNUTLS_TLS1_3 &&
	    (gnutls_session_get_flags(t->session) &
	    GNUTLS_SFLAGS_SESSION_TICKET) == 0)
		return;
	t->remembered = true;
	if (gnutls_session_get_data2(t->session, &data) == GNUTLS_E_SUCCESS)
		tls_cache_put(tls_client_cache(t->client), &t->peer, data,
		    t->ended_us);
}

static const char *
or_empty(gnutls_datum_t text)
{
	return text.data == NULL ? "" : (const char *)text.data;
}

static void
read_certificate(struct tls_session *t)
{
	const gnutls_datum_t *list;
	gnutls_x509_crt_t crt;
	unsigned count = 0;

	list = gnutls_certificate_get_peers(t->session, &count);
	if (list == NULL || count == 0)
		return;
	t->info.certificate = span_of(list[0].data, list[0].size);
	if (gnutls_x509_crt_init(&crt) != GNUTLS_E_SUCCESS)
		return;
	if (gnutls_x509_crt_import(crt, &list[0], GNUTLS_X509_FMT_DER) ==
	    GNUTLS_E_SUCCESS) {
		(void)gnutls_x509_crt_get_dn3(crt, &t->subject, 0);
		(void)gnutls_x509_crt_get_issuer_dn3(crt, &t->issuer, 0);
	}
	gnutls_x509_crt_deinit(crt);
}

/* GnuTLS ends each of its sentences with a full stop and a space; what it is
 * put into has ends of its own. */
static void
trim_end(gnutls_datum_t *text)
{
	while (text->size > 0 && (text->data[text->size - 1] == ' ' ||
	    text->data[text->size - 1] == '.'))
		text->data[--text->size] = '\0';
}

static void
verify(struct tls_session *t)
{
	unsigned status = 0;
	int rc = gnutls_certificate_verify_peers2(t->session, &status);

	t->info.verified = rc == GNUTLS_E_SUCCESS && status == 0;
	if (t->info.verified)
		t->info.verify_error = "";
	else if (rc != GNUTLS_E_SUCCESS)
		t->info.verify_error = gnutls_strerror(rc);
	else if (gnutls_certificate_verification_status_print(status,
	    GNUTLS_CRT_X509, &t->verify_error, 0) == GNUTLS_E_SUCCESS) {
		trim_end(&t->verify_error);
		t->info.verify_error = or_empty(t->verify_error);
	} else {
		t->info.verify_error = "not trusted";
	}
}

static void
fill_info(struct tls_session *t, uint64_t now_us)
{
	gnutls_cipher_algorithm_t cipher = gnutls_cipher_get(t->session);

	t->info.version = gnutls_protocol_get_name(
	    gnutls_protocol_get_version(t->session));
	t->info.cipher = gnutls_cipher_get_name(cipher);
	t->info.bits = (unsigned)gnutls_cipher_get_key_size(cipher) * 8;
	t->info.resumed = gnutls_session_is_resumed(t->session) != 0;
	t->ended_us = now_us;
	t->info.handshake_us = now_us - t->began_us;
	t->info.subject = t->info.issuer = "";
	t->info.verify_error = "no certificate was asked for";
	/* A resumed session has one that was once shown to somebody else. */
	if (t->server != NULL && !tls_server_asks(t->server))
		return;
	read_certificate(t);
	t->info.subject = or_empty(t->subject);
	t->info.issuer = or_empty(t->issuer);
	verify(t);
}

/* E_AGAIN with input left means that a record was for GnuTLS itself, say a
 * ticket. What else is not fatal: warnings and requests to renegotiate, none
 * of which are heard, but not without end. */
static bool
is_worth_retrying(const struct tls_session *t, ssize_t rc, unsigned *retries)
{
	if (rc >= 0)
		return false;
	if (rc == GNUTLS_E_AGAIN)
		return input_left(t) > 0;
	return !gnutls_error_is_fatal((int)rc) && (*retries)++ < RETRIES_MAX;
}

enum tls_session_result
tls_session_handshake(struct tls_session *t, uint64_t now_us)
{
	unsigned retries = 0;
	int rc;

	if (t->end != TLS_SESSION_DONE)
		return t->end;
	do {
		rc = gnutls_handshake(t->session);
	} while (is_worth_retrying(t, rc, &retries));
	if (rc == GNUTLS_E_AGAIN)
		return TLS_SESSION_MORE;
	if (rc != GNUTLS_E_SUCCESS)
		return give_up(t, "handshake", rc);
	fill_info(t, now_us);
	remember(t);
	return TLS_SESSION_DONE;
}

enum tls_session_result
tls_session_read(struct tls_session *t, uint8_t *to, size_t size,
	size_t *length_r)
{
	unsigned retries = 0;
	ssize_t n;

	*length_r = 0;
	if (t->end != TLS_SESSION_DONE)
		return t->end;
	do {
		n = gnutls_record_recv(t->session, to, size);
	} while (is_worth_retrying(t, n, &retries));
	remember(t);
	if (n > 0) {
		*length_r = (size_t)n;
		return TLS_SESSION_DONE;
	}
	if (n == GNUTLS_E_AGAIN)
		return TLS_SESSION_MORE;
	if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION) {
		t->end = TLS_SESSION_EOF;
		return t->end;
	}
	return give_up(t, "connection", (int)n);
}

size_t
tls_session_corked(const struct tls_session *t)
{
	return gnutls_record_check_corked(t->session);
}

int
tls_session_write(struct tls_session *t, struct span plain)
{
	ssize_t n;

	if (tls_session_corked(t) == 0 && plain.len < TLS_SESSION_RECORD_MAX)
		gnutls_record_cork(t->session);
	while (plain.len > 0) {
		n = gnutls_record_send(t->session, plain.data,
		    span_take(plain, TLS_SESSION_RECORD_MAX).len);
		if (n <= 0) {
			(void)give_up(t, "connection", (int)n);
			return -1;
		}
		plain = span_skip(plain, (size_t)n);
	}
	if (tls_session_corked(t) >= TLS_SESSION_RECORD_MAX)
		return tls_session_flush(t);
	return 0;
}

int
tls_session_flush(struct tls_session *t)
{
	int rc = gnutls_record_uncork(t->session, 0);

	if (rc >= 0 && !buf_failed(t->out))
		return 0;
	(void)give_up(t, "connection", rc >= 0 ? GNUTLS_E_MEMORY_ERROR : rc);
	return -1;
}

void
tls_session_bye(struct tls_session *t)
{
	if (t->end != TLS_SESSION_FAILED && tls_session_flush(t) == 0)
		(void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
}

const struct tls_info *
tls_session_info(const struct tls_session *t)
{
	return &t->info;
}

const char *
tls_session_error(const struct tls_session *t)
{
	return t->error;
}

void
tls_session_verify(const struct tls_session *t,
	const struct tls_demand *demand, struct tls_verdict *v)
{
	tls_verify_session(t->session, demand, v);
}

bool
tls_session_refused_name(const struct tls_session *t)
{
	return t->refused_name;
}

bool
tls_session_offered_too_much(const struct tls_session *t)
{
	return t->offered || (t->name != NULL && t->name[0] != '\0');
}

struct span
tls_session_first(const struct tls_session *t)
{
	return span_of(t->first, t->n_first);
}
