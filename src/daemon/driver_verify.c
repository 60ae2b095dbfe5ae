/*
 * Who the MX is: the name that SNI asks for, what a certificate teaches about
 * it, and whether it is who a level demands.
 *
 * The name to ask for is the first that is known of: the one that is demanded;
 * the one that a certificate at this address has shown before. A certificate
 * that the trust store vouches for and that carries the name of the MX's
 * greeting, or a name that was demanded, is remembered; a name that the MX does
 * not know, or that its certificate does not carry, is forgotten.
 */
#include "daemon/driver_internal.h"

#include "net/tls_name.h"
#include "net/tls_names.h"

#include <stdlib.h>

void
driver_start_tls(struct driver *d, const struct session_action *a)
{
	char known[TLS_NAMES_SIZE];
	struct tls_peer peer = { d->up->destination, a->u.start_tls.name };

	if (d->up->stream == NULL)
		return;
	if (a->u.start_tls.bare)
		peer = (struct tls_peer){ { .family = ADDR_NONE }, "" };
	else if (peer.name[0] == '\0')
		peer.name = tls_names_get(d->worker->shared->tls_names,
		    &d->up->destination, known);
	free(d->tls_name);
	free(d->tls_greeting);
	d->tls_name = strdup(peer.name);
	d->tls_greeting = span_dup(a->u.start_tls.greeting);
	stream_start_tls(d->up->stream, d->worker->shared->tls, &peer,
	    d->config->upstream.tls_timeout_us);
}

static bool
carries(struct span certificate, const char *name)
{
	return tls_name_find(certificate, &name, 1) >= 0;
}

/* What a handshake that ended (info NULL: failed) teaches for the next one. */
void
driver_tls_learn(struct driver *d, const struct tls_info *info)
{
	struct tls_names *names = d->worker->shared->tls_names;
	const char *name = d->tls_name == NULL ? "" : d->tls_name;
	const char *greeting = d->tls_greeting;

	if (info == NULL ? stream_tls_refused_name(d->up->stream) :
	    name[0] != '\0' && !carries(info->certificate, name))
		tls_names_forget(names, &d->up->destination, name);
	if (info != NULL && info->verified && greeting != NULL &&
	    tls_name_is_valid(span_str(greeting)) &&
	    carries(info->certificate, greeting))
		tls_names_put(names, &d->up->destination, span_str(greeting));
}

/* The answer to the session's question, when all that is demanded is known. */
static void
verify(struct driver *d, unsigned number, const struct tls_demand *demand)
{
	struct session_event ev = { .type = SESSION_TLS_VERIFIED };
	struct tls_verdict *v = &ev.u.verified.verdict;
	size_t i;

	ev.u.verified.number = number;
	if (d->up->stream == NULL)
		tls_verdict_set(v, false, TLS_RESULT_STARTTLS_NOT_SUPPORTED,
		    "the connection to the MX is gone");
	else
		stream_tls_verify(d->up->stream, demand, v);
	for (i = 0; v->ok && i < demand->n_names; i++)
		if (stream_tls_carries(d->up->stream, demand->names[i])) {
			tls_names_put(d->worker->shared->tls_names,
			    &d->up->destination, span_str(demand->names[i]));
			break;
		}
	driver_queue(d, &ev);
}

/* What weir.conf or a policy brought is enough; what would have to be looked
 * up for the recipient's domain is not known here. */
void
driver_verify(struct driver *d, const struct session_action *a)
{
	struct session_event ev = { .type = SESSION_TLS_VERIFIED };
	const struct tls_demand *demand = &a->u.verify.demand;

	if (demand->dane ? demand->n_tlsa > 0 : demand->n_names > 0) {
		verify(d, a->u.verify.number, demand);
		return;
	}
	ev.u.verified.number = a->u.verify.number;
	tls_verdict_set(&ev.u.verified.verdict, false,
	    TLS_RESULT_VALIDATION_FAILURE,
	    "it is not known what the certificate of the MX should carry");
	driver_queue(d, &ev);
}

void
driver_verify_release(struct driver *d)
{
	free(d->tls_name);
	free(d->tls_greeting);
}
