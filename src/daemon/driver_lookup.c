/*
 * What a level demands of an MX and nobody brought: at level verify the names
 * of the recipient's domain's mail exchangers, at level dane their TLSA
 * records.
 *
 * Level dane is opportunistic (RFC 7672 1.3): where DNSSEC proves records, TLS
 * that matches them is a must; where there are none, it is level may, or what
 * the names that weir.conf or a policy gave ask for. Not to know is neither:
 * the mail waits.
 */
#include "daemon/driver_internal.h"

#include "net/dns_mx.h"
#include "net/tls_names.h"

#include <stdlib.h>
#include <strings.h>

struct driver_lookup {
	struct leg *leg;
	struct dns_mx_lookup *mx;
	unsigned number;		/* of the session's question */
	struct tls_demand demand;	/* the question, in memory */
	void *memory;
};

/* Nothing is known that the certificate should carry. */
static void
without(const struct driver_lookup *l, const char *why, struct tls_verdict *v)
{
	struct tls_demand names = l->demand;

	if (names.n_names > 0) {
		names.dane = false;
		driver_verify_now(l->leg, &names, v);
	} else if (l->demand.dane)
		tls_verdict_set(v, true, TLS_RESULT_COUNT, "%s", "");
	else
		tls_verdict_set(v, false, TLS_RESULT_VALIDATION_FAILURE,
		    "it is not known what the certificate of the MX should "
		    "carry: %s", why);
}

/* Proven records: no memory of a TLS that failed may keep the next connection
 * in clear, and it asks for the name that the records are of. */
static void
with_records(const struct driver_lookup *l, const struct dns_mx_result *r,
    struct tls_verdict *v)
{
	struct worker_shared *shared = l->leg->driver->worker->shared;
	const char *asked = l->leg->driver->tls_name;

	driver_verify_now(l->leg, &r->demand, v);
	if (v->ok)
		return;
	tls_memory_forget(shared->tls_memory, &l->leg->destination);
	if (asked != NULL && strcasecmp(asked, r->host) == 0)
		/* It was, and did not help. */
		tls_names_unpin(shared->tls_names, &l->leg->destination,
		    asked);
	else
		tls_names_pin(shared->tls_names, &l->leg->destination,
		    span_str(r->host));
}

static void
on_found(void *ctx, const struct dns_mx_result *r)
{
	struct driver_lookup *l = ctx;
	struct driver *d = l->leg->driver;
	struct session_event ev = { .type = SESSION_TLS_VERIFIED,
	    .u.verified.number = l->number };
	struct tls_verdict *v = &ev.u.verified.verdict;

	l->mx = NULL;
	if (r->status == DNS_MX_FAILED)
		tls_verdict_set(v, false, r->result, "%s", r->why);
	else if (r->status == DNS_MX_FOUND && r->demand.dane)
		with_records(l, r, v);
	else if (r->status == DNS_MX_FOUND && !l->demand.dane)
		driver_verify_now(l->leg, &r->demand, v);
	else
		without(l, r->why, v);
	driver_lookup_cancel(l->leg);
	driver_feed(d, &ev);
}

/* NULL: it is being looked up; else why not, "" for want of a domain. */
static const char *
ask(struct driver_lookup *l, const struct session_action *a)
{
	struct dns *dns = l->leg->driver->worker->dns;
	char domain[DNS_NAME_MAX];
	struct dns_mx_request request = { .domain = domain,
	    .destination = l->leg->destination, .dane = l->demand.dane,
	    .client_chose = a->u.verify.client_chose };

	if (dns == NULL)
		return "nothing can be looked up: see dns in weir.conf(5)";
	if (request.dane && !dns_validates(dns))
		return "DNS is not validated: see dns.trust_anchor in "
		    "weir.conf(5)";
	if (dns_mx_domain(a->u.verify.domain, domain) != 0)
		return "";
	l->mx = dns_mx_lookup(dns, &request, on_found, l);
	return l->mx == NULL ? "too many questions are open" : NULL;
}

bool
driver_lookup(struct driver *d, const struct session_action *a,
    struct tls_verdict *verdict_r)
{
	struct driver_lookup *l = calloc(1, sizeof(*l));
	const char *why = "no memory";

	driver_lookup_cancel(d->up);
	d->up->lookup = l;
	if (l != NULL) {
		l->leg = d->up;
		l->number = a->u.verify.number;
		if (tls_demand_copy(&a->u.verify.demand, &l->demand,
		    &l->memory) == 0)
			why = ask(l, a);
	}
	if (why == NULL)
		return true;
	if (why[0] == '\0')
		without(l, "the recipient has no domain", verdict_r);
	else
		tls_verdict_set(verdict_r, false, a->u.verify.demand.dane ?
		    TLS_RESULT_DNSSEC_INVALID : TLS_RESULT_VALIDATION_FAILURE,
		    "%s", why);
	driver_lookup_cancel(d->up);
	return false;
}

void
driver_lookup_cancel(struct leg *leg)
{
	struct driver_lookup *l = leg->lookup;

	if (l == NULL)
		return;
	leg->lookup = NULL;
	dns_mx_cancel(l->mx);
	free(l->memory);
	free(l);
}
