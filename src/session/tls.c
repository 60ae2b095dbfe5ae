/*
 * What the record and the policies hear of a handshake, on either leg.
 */
#include "session/internal.h"

static const char *
tls_peer(enum policy_leg leg)
{
	return leg == POLICY_LEG_CLIENT ? "client" : "MX";
}

void
session_tls_fact(struct session *s, enum policy_leg leg,
    const struct session_tls *tls)
{
	struct policy_event ev = { .type = POLICY_PHASE_TLS };
	struct fact *f = session_fact(s, FACT_TLS);

	f->u.tls.leg = ev.u.tls.leg = leg;
	f->u.tls.rehoming = leg == POLICY_LEG_UPSTREAM && s->rehome != NULL;
	f->u.tls.version = ev.u.tls.version = tls->version;
	f->u.tls.cipher = ev.u.tls.cipher = tls->cipher;
	f->u.tls.bits = ev.u.tls.cipher_bits = tls->bits;
	f->u.tls.certificate = ev.u.tls.peer_certificate = tls->certificate;
	f->u.tls.subject = ev.u.tls.peer_subject = tls->subject;
	f->u.tls.issuer = ev.u.tls.peer_issuer = tls->issuer;
	f->u.tls.verified = ev.u.tls.verified = tls->verified;
	f->u.tls.verify_error = ev.u.tls.verify_error = tls->verify_error;
	f->u.tls.resumed = ev.u.tls.resumed = tls->resumed;
	f->u.tls.handshake_us = ev.u.tls.handshake_us = tls->handshake_us;
	f->u.tls.error = "";
	session_fact_event(s, "TLS with the %s: %s %s%s", tls_peer(leg),
	    tls->version, tls->cipher, tls->resumed ? ", resumed" : "");
	session_memo(s, NULL, &ev, 0, s->config->n_policies);
	session_notify(s, &ev);
}

void
session_tls_failed_fact(struct session *s, enum policy_leg leg,
    const char *why)
{
	struct fact *f = session_fact(s, FACT_TLS);

	f->u.tls.leg = leg;
	f->u.tls.rehoming = leg == POLICY_LEG_UPSTREAM && s->rehome != NULL;
	f->u.tls.version = f->u.tls.cipher = "";
	f->u.tls.subject = f->u.tls.issuer = f->u.tls.verify_error = "";
	f->u.tls.error = (const char *)session_keep(s,
	    span_of(why, strlen(why) + 1)).data;
	session_fact_event(s, "TLS with the %s failed: %s", tls_peer(leg),
	    why);
}
