/*
 * Who the MX is: the name that SNI asks for, what a certificate teaches about
 * it, and whether it is who a level demands.
 *
 * The name to ask for is the first that is known of: the one that is demanded;
 * the one that a certificate at this address has shown before; that of the
 * greeting, if it leads back to this address. A certificate
 * that the trust store vouches for and that carries the name of the MX's
 * greeting, or a name that was demanded, is remembered; a name that the MX does
 * not know, or that its certificate does not carry, is forgotten. Where a name
 * is demanded and another certificate was shown, it is asked for next time.
 */
#include "daemon/driver_internal.h"

#include "net/tls_name.h"
#include "net/tls_names.h"

#include <stdlib.h>
#include <strings.h>

/* d->tls_name may be NULL: no memory for it. */
static void
start(struct leg *leg, bool bare)
{
	struct driver *d = leg->driver;
	struct tls_peer peer = { leg->destination,
	    d->tls_name == NULL ? "" : d->tls_name };

	if (bare)
		peer.address.family = ADDR_NONE;
	stream_start_tls(leg->stream, d->upstream_tls, &peer,
	    d->config->upstream.tls_timeout_us);
}

static void
on_confirmed(void *ctx, bool confirmed)
{
	struct leg *leg = ctx;
	struct driver *d = leg->driver;

	leg->confirm = NULL;
	if (confirmed) {
		free(d->tls_name);
		d->tls_name = strdup(d->tls_greeting);
	}
	start(leg, false);
}

/* Nothing is known of who that is but what it calls itself: is that its name?
 * true: it will be known later. */
static bool
confirm(struct driver *d)
{
	struct dns_confirm *c = d->worker->confirm;
	const char *greeting = d->tls_greeting;
	char name[DNS_NAME_MAX];

	if (c == NULL || greeting == NULL ||
	    !tls_name_is_valid(span_str(greeting)) ||
	    dns_name(span_str(greeting), name) != 0)
		return false;
	switch (dns_confirm_known(c, name, &d->up->destination)) {
	case DNS_CONFIRM_YES:
		free(d->tls_name);
		d->tls_name = strdup(greeting);
		return false;
	case DNS_CONFIRM_NO:
		return false;
	case DNS_CONFIRM_UNKNOWN:
		break;
	}
	d->up->confirm = dns_confirm_start(c, name, &d->up->destination,
	    on_confirmed, d->up);
	return d->up->confirm != NULL;
}

void
driver_start_tls(struct driver *d, const struct session_action *a)
{
	char known[TLS_NAMES_SIZE];
	const char *name = a->u.start_tls.name;

	if (d->up->stream == NULL)
		return;
	if (a->u.start_tls.bare)
		name = "";
	else if (name[0] == '\0')
		name = tls_names_get(d->worker->shared->tls_names,
		    &d->up->destination, known);
	free(d->tls_name);
	free(d->tls_greeting);
	d->tls_name = strdup(name);
	d->tls_greeting = span_dup(a->u.start_tls.greeting);
	if (name[0] != '\0' || a->u.start_tls.bare || !confirm(d))
		start(d->up, a->u.start_tls.bare);
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

/* The certificate was another one's: a server of many names shows the right one
 * only when it is asked for. A name that was pinned for somebody else's records
 * is in the way. */
static void
teach(struct leg *leg, const struct tls_demand *demand)
{
	struct tls_names *names = leg->driver->worker->shared->tls_names;
	const char *asked = leg->driver->tls_name;
	size_t i;

	if (asked != NULL)
		tls_names_unpin(names, &leg->destination, asked);
	for (i = 0; i < demand->n_names; i++)
		if (demand->names[i][0] != '*' && (asked == NULL ||
		    strcasecmp(asked, demand->names[i]) != 0)) {
			tls_names_put(names, &leg->destination,
			    span_str(demand->names[i]));
			break;
		}
}

/* All that is demanded is known. */
void
driver_verify_now(struct leg *leg, const struct tls_demand *demand,
    struct tls_verdict *verdict_r)
{
	struct worker_shared *shared = leg->driver->worker->shared;
	size_t i;

	if (leg->stream == NULL)
		tls_verdict_set(verdict_r, false,
		    TLS_RESULT_STARTTLS_NOT_SUPPORTED,
		    "the connection to the MX is gone");
	else
		stream_tls_verify(leg->stream, demand, verdict_r);
	for (i = 0; verdict_r->ok && i < demand->n_names; i++)
		if (stream_tls_carries(leg->stream, demand->names[i])) {
			tls_names_put(shared->tls_names, &leg->destination,
			    span_str(demand->names[i]));
			break;
		}
	if (!demand->dane && verdict_r->result ==
	    TLS_RESULT_CERTIFICATE_HOST_MISMATCH)
		teach(leg, demand);
}

/* What weir.conf or a policy brought is enough; the rest is looked up for the
 * recipient's domain. */
void
driver_verify(struct driver *d, const struct session_action *a)
{
	struct session_event ev = { .type = SESSION_TLS_VERIFIED };
	const struct tls_demand *demand = &a->u.verify.demand;

	ev.u.verified.number = a->u.verify.number;
	if (demand->dane ? demand->n_tlsa > 0 : demand->n_names > 0)
		driver_verify_now(d->up, demand, &ev.u.verified.verdict);
	else if (driver_lookup(d, a, &ev.u.verified.verdict))
		return;
	driver_queue(d, &ev);
}

void
driver_verify_release(struct driver *d)
{
	free(d->tls_name);
	free(d->tls_greeting);
}
