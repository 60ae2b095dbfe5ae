/*
 * Who is logging in: the identity inside an AUTH exchange, and nothing of its
 * secret.
 */
#ifndef WEIR_SMTP_SASL_H
#define WEIR_SMTP_SASL_H

#include "base/buf.h"

/* Does the client's first response of this mechanism carry an identity that
 * smtp_sasl_identity() can read? PLAIN, LOGIN, OAUTHBEARER and XOAUTH2. */
bool smtp_sasl_has_identity(struct span mechanism);

/**
 * smtp_sasl_identity(mechanism, response, out) - append the identity.
 *
 * mechanism  as sent, any case
 * response   the first client response, base64 as on the wire
 *
 * PLAIN: the authentication identity (RFC 4616); LOGIN: the decoded line;
 * OAUTHBEARER: the "a=" of its GS2 header (RFC 7628 3.1); XOAUTH2: "user=".
 * Appends nothing if there is none or the response is not as it should be.
 */
void smtp_sasl_identity(struct span mechanism, struct span response,
	struct buf *out);

#endif
