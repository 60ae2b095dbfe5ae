/*
 * A TLS server in a thread, on one end of a connection, that behaves as told.
 * Its certificate is its own authority and made when the test runs.
 */
#ifndef WEIR_TESTS_UNIT_NET_TLS_SERVER_H
#define WEIR_TESTS_UNIT_NET_TLS_SERVER_H

#include "fixture.h"
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <time.h>

#define TLS_SERVER_BULK ((size_t)5 * 1024 * 1024)

enum tls_server_mode {
	TLS_SERVER_ECHO,	/* until the client is done, then close_notify */
	TLS_SERVER_BULK_OUT,	/* sends TLS_SERVER_BULK, then as ECHO */
	TLS_SERVER_BULK_IN,	/* takes that much, then says "ok" */
	TLS_SERVER_GREET_THEN_PLAIN,	/* "hi", close_notify, plain text */
	TLS_SERVER_GREET_THEN_FIN,	/* "hi", no close_notify */
	TLS_SERVER_GREET_THEN_RUBBISH,	/* "hi", then no record */
	TLS_SERVER_GREET_THEN_RESET,
	TLS_SERVER_STALL,	/* reads, never answers */
	TLS_SERVER_GARBAGE,	/* no TLS at all */
	TLS_SERVER_CLOSE,	/* in the middle of the handshake */
};

struct tls_server_keys {
	gnutls_certificate_credentials_t credentials;
	gnutls_datum_t ticket_key, der, pem;
	char pem_file[64];
};

struct tls_server {
	pthread_t thread;
	const struct tls_server_keys *keys;
	enum tls_server_mode mode;
	const char *priority;
	int fd;
	size_t got;		/* plain bytes of the client */
	bool got_bye;		/* the client's close_notify */
	int handshake;		/* GnuTLS result */
};

static inline void
tls_server_keys_make(struct tls_server_keys *k)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	int fd;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "\1", 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	assert_int_equal(gnutls_x509_crt_set_dn(crt, "CN=mx.example,O=Test",
	    NULL), 0);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
	    "mx.example", 10, GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key,
	    GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER,
	    &k->der), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM,
	    &k->pem), 0);
	gnutls_certificate_allocate_credentials(&k->credentials);
	assert_int_equal(gnutls_certificate_set_x509_key(k->credentials, &crt,
	    1, key), 0);
	assert_int_equal(gnutls_session_ticket_key_generate(&k->ticket_key),
	    0);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);

	snprintf(k->pem_file, sizeof(k->pem_file), "/tmp/weir-net-ca-XXXXXX");
	fd = mkstemp(k->pem_file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, k->pem.data, k->pem.size), k->pem.size);
	close(fd);
}

static inline void
tls_server_keys_free(struct tls_server_keys *k)
{
	unlink(k->pem_file);
	gnutls_certificate_free_credentials(k->credentials);
	gnutls_free(k->ticket_key.data);
	gnutls_free(k->der.data);
	gnutls_free(k->pem.data);
}

static inline void
tls_server_echo(struct tls_server *s, gnutls_session_t session, bool echo)
{
	static _Thread_local char buffer[16384];
	ssize_t n;

	while ((n = gnutls_record_recv(session, buffer, sizeof(buffer))) > 0) {
		s->got += (size_t)n;
		if (echo)
			gnutls_record_send(session, buffer, (size_t)n);
		else if (s->got == TLS_SERVER_BULK)
			gnutls_record_send(session, "ok", 2);
	}
	s->got_bye = n == 0;
	gnutls_bye(session, GNUTLS_SHUT_WR);
}

static inline void
tls_server_behave(struct tls_server *s, gnutls_session_t session)
{
	static const char zeros[16384];
	static const struct linger reset = { 1, 0 };
	size_t sent;

	switch (s->mode) {
	case TLS_SERVER_BULK_OUT:
		for (sent = 0; sent < TLS_SERVER_BULK; sent += sizeof(zeros))
			if (gnutls_record_send(session, zeros,
			    sizeof(zeros)) < 0)
				return;
		tls_server_echo(s, session, true);
		return;
	case TLS_SERVER_BULK_IN:
	case TLS_SERVER_ECHO:
		tls_server_echo(s, session, s->mode == TLS_SERVER_ECHO);
		return;
	case TLS_SERVER_GREET_THEN_PLAIN:
		gnutls_record_send(session, "hi", 2);
		gnutls_bye(session, GNUTLS_SHUT_WR);
		send(s->fd, "250 injected\r\n", 14, MSG_NOSIGNAL);
		return;
	case TLS_SERVER_GREET_THEN_RUBBISH:
		gnutls_record_send(session, "hi", 2);
		send(s->fd, "250 injected\r\n", 14, MSG_NOSIGNAL);
		return;
	case TLS_SERVER_GREET_THEN_RESET:
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset,
		    sizeof(reset));
		/* fall through */
	default:
		gnutls_record_send(session, "hi", 2);
		return;
	}
}

static inline void *
tls_server_main(void *ctx)
{
	struct tls_server *s = ctx;
	gnutls_session_t session;
	char buffer[4096];
	ssize_t n;

	if (s->mode == TLS_SERVER_STALL) {
		while (recv(s->fd, buffer, sizeof(buffer), 0) > 0)
			;
	} else if (s->mode == TLS_SERVER_GARBAGE) {
		send(s->fd, "220 no, no TLS\r\n", 16, MSG_NOSIGNAL);
		while (recv(s->fd, buffer, sizeof(buffer), 0) > 0)
			;
	} else if (s->mode == TLS_SERVER_CLOSE) {
		n = recv(s->fd, buffer, sizeof(buffer), 0);
		s->got = n > 0 ? (size_t)n : 0;
	} else {
		gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
		gnutls_priority_set_direct(session, s->priority, NULL);
		gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE,
		    s->keys->credentials);
		gnutls_session_ticket_enable_server(session,
		    &s->keys->ticket_key);
		gnutls_transport_set_int(session, s->fd);
		gnutls_handshake_set_timeout(session, 5000);
		do {
			s->handshake = gnutls_handshake(session);
		} while (s->handshake < 0 &&
		    !gnutls_error_is_fatal(s->handshake));
		if (s->handshake == 0)
			tls_server_behave(s, session);
		else
			gnutls_alert_send_appropriate(session, s->handshake);
		gnutls_deinit(session);
	}
	close(s->fd);
	return NULL;
}

/* Takes fd over. */
static inline void
tls_server_start(struct tls_server *s, const struct tls_server_keys *keys,
	int fd, enum tls_server_mode mode, const char *priority)
{
	struct timeval limit = { .tv_sec = 10 };

	*s = (struct tls_server){ .keys = keys, .mode = mode,
	    .priority = priority, .fd = fd };
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	assert_int_equal(pthread_create(&s->thread, NULL, tls_server_main, s),
	    0);
}

#endif
