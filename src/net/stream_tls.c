/*
 * A stream under TLS: the handshake in either role, and what comes out of it.
 *
 * tls_session does not know the socket. stream.c feeds it what recv(2) brought
 * and sends what it left in the queue; here is decided what that means to the
 * stream's owner.
 */
#include "net/stream_internal.h"
#include "net/reason.h"
#include "net/tls_name.h"
#include <assert.h>
#include <errno.h>

void
stream_tls_tell_failed(struct stream *s, const char *error)
{
	s->layer = LAYER_FAILED;
	s->eof = s->told_eof = true;
	s->error = error;
	loop_timer_stop(s->timer);
	buf_release(&s->queue);
	s->blocked = false;
	stream_update_interest(s);
	s->handlers->on_tls(s->ctx, NULL, error);
}

static void
handshake(struct stream *s)
{
	enum tls_session_result result;

	result = tls_session_handshake(s->tls, loop_now_us(s->loop));
	if (buf_failed(&s->queue)) {
		stream_tls_tell_failed(s, reason_errno(ENOMEM));
		return;
	}
	stream_send_queue(s);		/* also a last alert */
	if (s->error != NULL) {
		stream_tls_tell_failed(s, s->error);
	} else if (result == TLS_SESSION_FAILED) {
		stream_tls_tell_failed(s, tls_session_error(s->tls));
	} else if (result == TLS_SESSION_DONE) {
		s->layer = LAYER_TLS;
		loop_timer_stop(s->timer);
		stream_limit_write(s);
		stream_update_interest(s);
		s->handlers->on_tls(s->ctx, tls_session_info(s->tls), "");
	}
}

/* Decrypts all that has come, as one piece where it fits. */
static void
deliver_tls(struct stream *s)
{
	uint8_t *plain = loop_event_plain_buffer(s->loop);
	enum tls_session_result result = TLS_SESSION_DONE;
	size_t used, n;

	while (result == TLS_SESSION_DONE && stream_is_listening(s)) {
		for (used = 0; LOOP_EVENT_PLAIN_SIZE - used >=
		    TLS_SESSION_RECORD_MAX; used += n) {
			result = tls_session_read(s->tls, plain + used,
			    LOOP_EVENT_PLAIN_SIZE - used, &n);
			if (result != TLS_SESSION_DONE)
				break;
		}
		if (used > 0)
			s->handlers->on_bytes(s->ctx, span_of(plain, used));
	}
	if (!stream_is_listening(s))
		return;		/* an end will be found again */
	if (result == TLS_SESSION_EOF)
		stream_tell_eof(s, "");
	else if (result == TLS_SESSION_FAILED)
		stream_tell_eof(s, tls_session_error(s->tls));
}

void
stream_tls_progress(struct stream *s)
{
	if (s->layer == LAYER_HANDSHAKE)
		handshake(s);
	if (s->layer == LAYER_TLS && s->life == LIFE_OPEN)
		deliver_tls(s);
	if (s->life == LIFE_OPEN && s->layer != LAYER_FAILED) {
		if (tls_session_keep(s->tls) != 0)
			stream_fail(s, reason_errno(ENOMEM));
		/* Replies of GnuTLS's own: alerts, key updates. */
		if (buf_len(&s->queue) > 0)
			stream_send_queue(s);
	}
}

/* What was queued in clear leaves before anything that GnuTLS makes. */
static void
begin(struct stream *s)
{
	assert(s->life == LIFE_OPEN && s->layer == LAYER_RAW);
	s->layer = LAYER_HANDSHAKE;
	stream_send_queue(s);
}

static void
begun(struct stream *s, uint64_t timeout_us)
{
	if (s->tls == NULL)
		stream_fail(s, reason_errno(ENOMEM));
	else if (s->eof)
		stream_fail(s, reason_errno(EPIPE));
	stream_start_timer(s, timeout_us);
	stream_update_interest(s);
	stream_defer(s);
}

void
stream_start_tls(struct stream *s, struct tls_client *tls,
	const struct tls_peer *peer, uint64_t timeout_us)
{
	begin(s);
	s->tls = tls_session_new(tls, peer, &s->queue, loop_now_us(s->loop));
	begun(s, timeout_us);
}

void
stream_accept_tls(struct stream *s, struct tls_server *tls,
	uint64_t timeout_us)
{
	begin(s);
	s->tls = tls_session_new_server(tls, &s->queue, loop_now_us(s->loop));
	begun(s, timeout_us);
}

struct span
stream_tls_first(const struct stream *s)
{
	return s->tls == NULL ? (struct span){ 0 } :
	    tls_session_first(s->tls);
}

void
stream_tls_verify(const struct stream *s, const struct tls_demand *demand,
	struct tls_verdict *verdict_r)
{
	if (s->layer == LAYER_TLS)
		tls_session_verify(s->tls, demand, verdict_r);
	else
		tls_verdict_set(verdict_r, false,
		    TLS_RESULT_STARTTLS_NOT_SUPPORTED, "there is no TLS");
}

bool
stream_tls_carries(const struct stream *s, const char *name)
{
	return s->layer == LAYER_TLS && tls_name_find(
	    tls_session_info(s->tls)->certificate, &name, 1) >= 0;
}

bool
stream_tls_refused_name(const struct stream *s)
{
	return s->tls != NULL && tls_session_refused_name(s->tls);
}

bool
stream_tls_offered_too_much(const struct stream *s)
{
	return s->tls != NULL && tls_session_offered_too_much(s->tls);
}
