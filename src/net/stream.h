/*
 * A stream: one connected socket, raw at first and perhaps TLS later, with a
 * queue of bytes to write. Knows no protocol.
 *
 *	reading    one recv(2) per wake-up into the loop's shared buffer, handed
 *	           on as a span; nothing is kept here
 *	writing    stream_write() queues; stream_flush() writes what it can and
 *	           arms for the rest. A write larger than a page with nothing
 *	           queued goes to the socket at once, without a copy
 *
 * No callback is made from inside a call into the stream: errors of a write
 * are told by on_eof, later.
 */
#ifndef WEIR_NET_STREAM_H
#define WEIR_NET_STREAM_H

#include "base/addr.h"
#include "base/tls_demand.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/tls_server.h"

struct stream;

struct stream_handlers {
	/* Bytes came; the span is valid during the call. Returning is
	 * consuming: whoever cannot use them keeps a copy. */
	void (*on_bytes)(void *ctx, struct span bytes);
	/* No more bytes will come. error: "" for FIN or close_notify (under
	 * TLS a FIN without one, too: common, and it completes no line), else
	 * words ("connection reset by peer"). Once at most. Writing may still
	 * work after a clean end (half-close); if it fails then, what is
	 * written is dropped without a word. */
	void (*on_eof)(void *ctx, const char *error);
	/* The queue, once above the high-water mark, is below the low one. */
	void (*on_drained)(void *ctx);
	/* A handshake ended: info, or NULL and error in words. After a failure
	 * the stream is good for nothing but to be freed. */
	void (*on_tls)(void *ctx, const struct tls_info *info,
		const char *error);
};

#define STREAM_HIGH_WATER (256 * 1024)	/* bytes queued: stop feeding it */
#define STREAM_LOW_WATER (64 * 1024)

/* Takes fd (non-blocking) over. Reading begins at once. NULL: no memory, and
 * fd is then closed. handlers and ctx outlive the stream. */
struct stream *stream_new(struct loop *loop, int fd,
	const struct stream_handlers *handlers, void *ctx);

/* Somebody else hears of it from now on. */
void stream_hand_over(struct stream *s, const struct stream_handlers *handlers,
	void *ctx);

void stream_write(struct stream *s, struct span bytes);
void stream_flush(struct stream *s);

/* The same as both, one after the other, but without a copy of the bytes if
 * nothing is queued and the kernel takes them: for the last write of a turn. */
void stream_write_last(struct stream *s, struct span bytes);

/* Bytes queued and not yet taken by the kernel. */
size_t stream_queued(const struct stream *s);
static inline bool
stream_is_full(const struct stream *s)
{
	return stream_queued(s) > STREAM_HIGH_WATER;
}

/* No on_bytes and no clean on_eof until resumed. A write that failed or timed
 * out is told all the same. A handshake goes on. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* How long a flush may make no progress before on_eof("write timed out");
 * 0: for ever. */
void stream_set_write_timeout(struct stream *s, uint64_t timeout_us);

/**
 * stream_start_tls(s, tls, peer, timeout_us) - begin a client handshake.
 *
 * peer  the name to ask for, and where sessions are remembered; copied
 *
 * Never blocks. What was queued is flushed in clear before it. Bytes that the
 * peer sent in clear behind its last reply must have been looked at by the
 * caller: what on_bytes handed over is never given to TLS. on_tls follows,
 * also after timeout_us. Nothing may be written until then.
 */
void stream_start_tls(struct stream *s, struct tls_client *tls,
	const struct tls_peer *peer, uint64_t timeout_us);

/* The other role: the peer begins. tls: the stream takes a reference. */
void stream_accept_tls(struct stream *s, struct tls_server *tls,
	uint64_t timeout_us);

/* Whether the peer of a stream under TLS is who is demanded; at any time after
 * on_tls, also of a resumed session, which is no better than the chain that it
 * began with. Pure but for the present time. */
void stream_tls_verify(const struct stream *s, const struct tls_demand *demand,
	struct tls_verdict *verdict_r);

/* Whether the peer's certificate carries the name, whoever vouches for it. */
bool stream_tls_carries(const struct stream *s, const char *name);

/* In on_tls after a failure: the peer knows nobody of that name; and whether a
 * new connection without a name, where nothing is resumed, may do better. */
bool stream_tls_refused_name(const struct stream *s);
bool stream_tls_offered_too_much(const struct stream *s);

/* In on_tls after a failure: the first bytes that the peer answered with, as
 * they came; empty: none. */
struct span stream_tls_first(const struct stream *s);

/* The least round-trip time that TCP has seen on it; 0: not known. */
uint32_t stream_min_rtt_us(const struct stream *s);	/* NULL: 0 */

/* In on_eof: TLS itself went wrong, and not only the connection beneath. */
bool stream_tls_broke(const struct stream *s);

enum stream_end {
	STREAM_END_FLUSH,	/* write what is queued, close_notify, close */
	STREAM_END_LINGER,	/* likewise, then FIN and swallow what still
				   comes for 2 s, so that no reset destroys
				   what the peer has not read yet */
	STREAM_END_ABORT,	/* close now, drop what is queued */
};

/* Ends it: no more callbacks; frees itself when it is done (flushing takes at
 * most 10 s). s is not to be used again; NULL is fine. */
void stream_end(struct stream *s, enum stream_end how);

#endif
