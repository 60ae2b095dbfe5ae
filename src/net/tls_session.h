/*
 * One connection's TLS, without a socket: ciphertext is fed in and appended
 * to a queue, so that nothing in here can block.
 */
#ifndef WEIR_NET_TLS_SESSION_H
#define WEIR_NET_TLS_SESSION_H

#include "base/buf.h"
#include "base/tls_demand.h"
#include "net/tls.h"
#include "net/tls_server.h"

struct tls_session;

/* More plain bytes may come out of one record, but not more than this. */
#define TLS_SESSION_RECORD_MAX (16 * 1024)

/* As client, or as server (which takes a reference). peer is copied. out:
 * where ciphertext for the peer is appended; outlives the session. now_us:
 * when the handshake began. NULL: no memory. */
struct tls_session *tls_session_new(struct tls_client *client,
	const struct tls_peer *peer, struct buf *out, uint64_t now_us);
struct tls_session *tls_session_new_server(struct tls_server *server,
	struct buf *out, uint64_t now_us);
void tls_session_free(struct tls_session *t);	/* NULL is fine */

/* Ciphertext that came; valid until tls_session_keep(), which makes a copy
 * of what was not used yet. eof: no more will come. */
void tls_session_feed(struct tls_session *t, struct span ciphertext);
void tls_session_feed_eof(struct tls_session *t);
int tls_session_keep(struct tls_session *t) MUSTUSE;	/* -1: no memory */

enum tls_session_result {
	TLS_SESSION_DONE,	/* handshake done, or bytes were read */
	TLS_SESSION_MORE,	/* needs more ciphertext */
	TLS_SESSION_EOF,	/* close_notify, or the end without one */
	TLS_SESSION_FAILED,	/* see tls_session_error() */
};

enum tls_session_result tls_session_handshake(struct tls_session *t,
	uint64_t now_us);

/* Reads up to one record; size is at least TLS_SESSION_RECORD_MAX. */
enum tls_session_result tls_session_read(struct tls_session *t,
	uint8_t *to, size_t size, size_t *length_r);

/* Whether tls_session_read() may find something without being fed. */
bool tls_session_is_pending(const struct tls_session *t);

/* write collects into full records, flush encrypts what is left. 0 or -1. */
int tls_session_write(struct tls_session *t, struct span plain) MUSTUSE;
int tls_session_flush(struct tls_session *t) MUSTUSE;
size_t tls_session_corked(const struct tls_session *t);

/* Flushes, and says that no more will come. */
void tls_session_bye(struct tls_session *t);

/* After the handshake; lives as long as the session. */
const struct tls_info *tls_session_info(const struct tls_session *t);
const char *tls_session_error(const struct tls_session *t);

/* After the handshake: is the chain that the peer showed (now, or when the
 * resumed session was made) what is demanded? */
void tls_session_verify(const struct tls_session *t,
	const struct tls_demand *demand, struct tls_verdict *verdict_r);

/* After a handshake that failed: the peer does not know the name that it was
 * asked for. */
bool tls_session_refused_name(const struct tls_session *t);

/* After a handshake that failed: it may have been for what was offered beyond
 * need, a name (few say so) or an old session. Without both it may do. */
bool tls_session_offered_too_much(const struct tls_session *t);

/* The peer's very first bytes: what it speaks when that is no TLS. */
struct span tls_session_first(const struct tls_session *t);

#endif
