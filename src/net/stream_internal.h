/*
 * What stream.c (sockets and queues) and stream_tls.c (what becomes of the
 * bytes under TLS) share, and nobody else sees.
 */
#ifndef WEIR_NET_STREAM_INTERNAL_H
#define WEIR_NET_STREAM_INTERNAL_H

#include "base/buf.h"
#include "net/loop_event.h"
#include "net/stream.h"
#include "net/tls_session.h"
#include <assert.h>
#include <event2/event_struct.h>

enum layer { LAYER_RAW, LAYER_HANDSHAKE, LAYER_TLS, LAYER_FAILED };
enum life { LIFE_OPEN, LIFE_FLUSHING, LIFE_LINGERING, LIFE_CLOSED };

struct stream {
	struct event event;
	struct loop *loop;
	const struct stream_handlers *handlers;
	void *ctx;
	struct tls_session *tls;	/* NULL: raw so far */
	struct loop_timer *timer;	/* made when first needed */
	const char *error;	/* of a write; queue and writes are dropped */
	uint64_t write_timeout_us;
	struct buf queue;	/* ends up in send(2) as it is */
	struct loop_event_orphan orphan;	/* once it was ended */
	int fd;			/* -1: closed */
	short interest;		/* what event is added for */
	enum layer layer : 8;
	enum life life : 8;
	bool linger;		/* after flushing */
	bool paused;
	bool eof;		/* nothing more is read */
	bool told_eof;
	bool blocked;		/* the kernel took less than all */
	bool was_full;		/* on_drained is owed */
	bool deferred;		/* on_deferred() is under way */
};

static_assert(sizeof(struct stream) <= 320, "an idle session owns two");

/* stream.c */
void stream_defer(struct stream *s);	/* another turn is wanted */
void stream_update_interest(struct stream *s);
void stream_fail(struct stream *s, const char *error);
void stream_start_timer(struct stream *s, uint64_t after_us);
void stream_limit_write(struct stream *s);
/* Sends what the kernel takes, and waits for it to take the rest. */
void stream_send_queue(struct stream *s);
void stream_tell_eof(struct stream *s, const char *error);
/* Whether what was read may be handed on. */
bool stream_is_listening(const struct stream *s);

/* stream_tls.c */
/* What GnuTLS got or may have got. */
void stream_tls_progress(struct stream *s);
void stream_tls_tell_failed(struct stream *s, const char *error);

#endif
