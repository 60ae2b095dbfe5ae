/*
 * How a handshake came out, on either leg: net/'s words become the session's.
 */
#include "daemon/driver_internal.h"

void
driver_tls_tell(struct driver *d, enum session_side side,
    const struct tls_info *info, const char *error)
{
	struct session_event ev = { .type = SESSION_TLS_FAILED, .side = side };

	if (info == NULL) {
		ev.u.tls_failed.why = error;
		ev.u.tls_failed.offered_too_much = side == SESSION_UPSTREAM &&
		    stream_tls_offered_too_much(d->up->stream);
	} else {
		ev.type = SESSION_TLS_DONE;
		ev.u.tls = (struct session_tls){
			.version = info->version, .cipher = info->cipher,
			.bits = info->bits, .certificate = info->certificate,
			.subject = info->subject, .issuer = info->issuer,
			.verified = info->verified, .resumed = info->resumed,
			.verify_error = info->verify_error,
			.handshake_us = info->handshake_us,
		};
	}
	driver_feed(d, &ev);
}

void
driver_tls_client(void *ctx, const struct tls_info *info, const char *error)
{
	driver_tls_tell(ctx, SESSION_CLIENT, info, error);
}
