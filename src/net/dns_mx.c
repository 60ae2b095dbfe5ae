/*
 * Three rounds of questions:
 *
 *	MX of the domain
 *	   |  no MX records: the domain itself (RFC 5321 5.1)
 *	   v
 *	addresses of all hosts ---> which of them are at the destination?
 *	   |  dane, and MX proven          (none: all, to know whether mail
 *	   v                                is led away from their TLSA)
 *	for each of those: an alias whose target is not proven: is it itself?
 *	                   TLSA at the target, then at the host
 *
 * All questions of a round are open at a time; a host goes on to the next one
 * by itself. Nothing secure is ever taken from an answer that is not.
 */
#include "net/dns_mx.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_dane.h"

#define HOSTS_MAX 32

enum ask { ASK_ADDRESS, ASK_ALIAS, ASK_TLSA };

enum round { ROUND_MX, ROUND_ADDRESS, ROUND_TLSA };

struct host {
	struct dns_mx_lookup *lookup;
	struct dns_query *query;
	enum ask ask;			/* what query is about */
	char name[DNS_NAME_MAX];
	char target[DNS_NAME_MAX];	/* where its aliases end; "": nowhere */
	bool proven;			/* the addresses of target */
	bool is_here;			/* at the destination */
	const char *base;		/* name or target, where its TLSA
					   records are; NULL: nowhere (yet) */
};

struct dns_mx_lookup {
	struct dns *dns;
	struct dns_query *query;	/* for the MX records */
	struct addr destination;
	bool dane, client_chose;
	bool proven;			/* the MX records */
	bool is_led_away;		/* no host is at the destination */
	dns_mx_fn *fn;
	void *ctx;
	char domain[DNS_NAME_MAX];
	struct host hosts[HOSTS_MAX];
	size_t n_hosts;
	enum round round;
	size_t open;			/* questions of this round */
	struct tls_tlsa tlsa[TLS_TLSA_MAX];
	uint8_t *tlsa_data[TLS_TLSA_MAX];
	size_t n_tlsa;
	struct tls_verdict wrong;	/* why is not "": it has failed */
};

/* ----------------------------------------------------------------- result */

static void
lookup_free(struct dns_mx_lookup *l)
{
	size_t i;

	dns_cancel(l->query);
	for (i = 0; i < l->n_hosts; i++)
		dns_cancel(l->hosts[i].query);
	for (i = 0; i < l->n_tlsa; i++)
		free(l->tlsa_data[i]);
	free(l);
}

static void
finish(struct dns_mx_lookup *l, const struct dns_mx_result *r)
{
	l->fn(l->ctx, r);
	lookup_free(l);
}

static void
finish_failed(struct dns_mx_lookup *l)
{
	const struct dns_mx_result r = { .status = DNS_MX_FAILED,
	    .result = l->wrong.result, .why = l->wrong.why, .host = "" };

	finish(l, &r);
}

static void
finish_elsewhere(struct dns_mx_lookup *l)
{
	struct dns_mx_result r = { .status = DNS_MX_ELSEWHERE, .host = "" };
	char text[ADDR_TEXT_MAX], why[ADDR_TEXT_MAX + DNS_NAME_MAX + 40];

	snprintf(why, sizeof(why), "%s is no mail exchanger of %s",
	    addr_format(&l->destination, text), l->domain);
	r.why = why;
	finish(l, &r);
}

static void
add_name(const char *name, const char **names, size_t *n)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (strcmp(names[i], name) == 0)
			return;
	if (*n < TLS_NAMES_MAX && tls_name_is_valid(span_str(name)))
		names[(*n)++] = name;
}

/* With TLSA records: the name that has them, the host's own, and the domain,
 * which proven MX records speak for (RFC 7672 3.2.2). Else the host's own. */
static void
finish_found(struct dns_mx_lookup *l, bool dane)
{
	const char *names[TLS_NAMES_MAX];
	struct dns_mx_result r = { .status = DNS_MX_FOUND, .why = "",
	    .demand = { .dane = dane, .names = names, .tlsa = l->tlsa,
	    .n_tlsa = l->n_tlsa } };
	size_t i;

	for (i = 0; i < l->n_hosts; i++) {
		const struct host *h = &l->hosts[i];

		if (!h->is_here || (dane && h->base == NULL))
			continue;
		if (r.host == NULL)
			r.host = dane ? h->base : h->name;
		if (dane)
			add_name(h->base, names, &r.demand.n_names);
		add_name(h->name, names, &r.demand.n_names);
	}
	if (dane)
		add_name(l->domain, names, &r.demand.n_names);
	finish(l, &r);
}

/* ------------------------------------------------------------------ asking */

static void on_host(void *ctx, const struct dns_answer *a);
static void round_end(struct dns_mx_lookup *l);

static void
fail(struct dns_mx_lookup *l, const char *what, const char *name,
    const char *why)
{
	tls_verdict_set(&l->wrong, false, TLS_RESULT_DNSSEC_INVALID,
	    "looking up the %s of %s failed: %s", what, name, why);
}

static void
ask(struct host *h, enum ask what, const char *name, enum dns_type type)
{
	h->ask = what;
	h->query = dns_lookup(h->lookup->dns, name, type, on_host, h);
	if (h->query == NULL)
		fail(h->lookup, "records", name, "too many questions");
	else
		h->lookup->open++;
}

static void
ask_tlsa(struct host *h, const char *base)
{
	char name[DNS_NAME_MAX];
	int n = snprintf(name, sizeof(name), "_%u._tcp.%s",
	    (unsigned)h->lookup->destination.port, base);

	h->base = NULL;
	if (n >= (int)sizeof(name))
		return;			/* there can be no such name */
	h->base = base;
	ask(h, ASK_TLSA, name, DNS_TLSA);
}

/* ------------------------------------------------------ the third: TLSA */

static bool
is_alias(const struct host *h)
{
	return strcmp(h->name, h->target) != 0;
}

/* RFC 7672 2.2.2: the name after aliases first. Where that is not proven, the
 * alias itself may be. */
static void
tlsa_begin(struct host *h)
{
	if (h->proven && h->target[0] != '\0')
		ask_tlsa(h, h->target);
	else if (is_alias(h))
		ask(h, ASK_ALIAS, h->name, DNS_CNAME);
}

static void
tlsa_take(struct dns_mx_lookup *l, struct span data)
{
	struct dns_tlsa record;
	struct tls_tlsa t;

	if (dns_record_tlsa(data, &record) != 0)
		return;
	t = (struct tls_tlsa){ record.usage, record.selector, record.matching,
	    record.data };
	if (l->n_tlsa == TLS_TLSA_MAX || !tls_dane_is_usable(&t))
		return;
	l->tlsa_data[l->n_tlsa] = malloc(t.data.len);
	if (l->tlsa_data[l->n_tlsa] == NULL) {
		fail(l, "TLSA records", l->domain, "no memory");
		return;
	}
	memcpy(l->tlsa_data[l->n_tlsa], t.data.data, t.data.len);
	t.data.data = l->tlsa_data[l->n_tlsa];
	l->tlsa[l->n_tlsa++] = t;
}

static void
on_tlsa(struct host *h, const struct dns_answer *a)
{
	size_t i;

	if (a->status == DNS_FOUND && a->secure)
		for (i = 0; i < a->n; i++)
			tlsa_take(h->lookup, a->records[i]);
	else if (h->base != h->name && is_alias(h))
		ask_tlsa(h, h->name);
	else
		h->base = NULL;
}

static void
tlsa_done(struct dns_mx_lookup *l)
{
	char text[ADDR_TEXT_MAX];
	bool any = false;
	size_t i;

	for (i = 0; i < l->n_hosts; i++)
		any |= l->hosts[i].base != NULL;
	if (any && l->is_led_away) {
		tls_verdict_set(&l->wrong, false, TLS_RESULT_VALIDATION_FAILURE,
		    "%s is no mail exchanger of %s, which has TLSA records",
		    addr_format(&l->destination, text), l->domain);
		finish_failed(l);
	} else if (l->is_led_away)
		finish_elsewhere(l);
	else
		finish_found(l, any);
}

/* ------------------------------------------------- the second: addresses */

static void
on_address(struct host *h, const struct dns_answer *a)
{
	const struct addr *destination = &h->lookup->destination;
	enum dns_type type = destination->family == ADDR_IPV4 ? DNS_A :
	    DNS_AAAA;
	struct addr found;
	size_t i;

	h->proven = a->secure;
	snprintf(h->target, sizeof(h->target), "%s", a->canonical);
	for (i = 0; i < a->n; i++)
		if (dns_record_addr(type, a->records[i], &found) == 0 &&
		    addr_eq_ip(&found, destination))
			h->is_here = true;
}

static void
addresses_done(struct dns_mx_lookup *l)
{
	bool any = false;
	size_t i;

	l->round = ROUND_TLSA;
	for (i = 0; i < l->n_hosts; i++)
		any |= l->hosts[i].is_here;
	if (any)
		l->wrong.why[0] = '\0';	/* it was about others */
	l->is_led_away = !any;
	if (l->wrong.why[0] != '\0')
		finish_failed(l);
	else if (!any && (!l->dane || !l->proven || !l->client_chose))
		finish_elsewhere(l);
	else if (!l->dane || !l->proven)
		finish_found(l, false);
	else {
		for (i = 0; i < l->n_hosts; i++)
			if (l->hosts[i].is_here || l->is_led_away)
				tlsa_begin(&l->hosts[i]);
		round_end(l);
	}
}

/* --------------------------------------------------- the first: MX records */

static void
add_host(struct dns_mx_lookup *l, const char *name)
{
	struct host *h = &l->hosts[l->n_hosts];

	if (l->n_hosts == HOSTS_MAX) {
		l->client_chose = false;	/* maybe it is one of the rest */
		return;
	}
	h->lookup = l;
	snprintf(h->name, sizeof(h->name), "%s", name);
	l->n_hosts++;
}

static void
on_mx(void *ctx, const struct dns_answer *a)
{
	struct dns_mx_lookup *l = ctx;
	struct dns_mx mx;
	size_t i;

	l->query = NULL;
	l->proven = a->secure;
	l->round = ROUND_ADDRESS;
	if (a->status == DNS_FAILED)
		fail(l, "MX records", l->domain, a->why);
	else if (a->status == DNS_NONE)
		add_host(l, l->domain);
	for (i = 0; i < a->n; i++)
		if (dns_record_mx(a->records[i], &mx) == 0 &&
		    mx.host[0] != '\0')
			add_host(l, mx.host);
	for (i = 0; i < l->n_hosts; i++)
		ask(&l->hosts[i], ASK_ADDRESS, l->hosts[i].name,
		    l->destination.family == ADDR_IPV4 ? DNS_A : DNS_AAAA);
	round_end(l);
}

/* ---------------------------------------------------------------- rounds */

static void
round_end(struct dns_mx_lookup *l)
{
	if (l->round == ROUND_TLSA && l->wrong.why[0] != '\0')
		finish_failed(l);	/* nothing can make up for it */
	else if (l->open > 0)
		return;
	else if (l->round == ROUND_ADDRESS)
		addresses_done(l);
	else
		tlsa_done(l);
}

static void
on_host(void *ctx, const struct dns_answer *a)
{
	static const char *const what[] = { [ASK_ADDRESS] = "address",
	    [ASK_ALIAS] = "alias", [ASK_TLSA] = "TLSA records" };
	struct host *h = ctx;
	struct dns_mx_lookup *l = h->lookup;

	h->query = NULL;
	l->open--;
	if (a->status == DNS_FAILED)
		fail(l, what[h->ask], h->ask == ASK_TLSA ? h->base : h->name,
		    a->why);
	else if (h->ask == ASK_ADDRESS)
		on_address(h, a);
	else if (h->ask == ASK_TLSA)
		on_tlsa(h, a);
	else if (a->status == DNS_FOUND && a->secure)
		ask_tlsa(h, h->name);
	round_end(l);
}

struct dns_mx_lookup *
dns_mx_lookup(struct dns *d, const struct dns_mx_request *request,
    dns_mx_fn *fn, void *ctx)
{
	struct dns_mx_lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->dns = d;
	l->destination = request->destination;
	l->dane = request->dane;
	l->client_chose = request->client_chose;
	l->fn = fn;
	l->ctx = ctx;
	snprintf(l->domain, sizeof(l->domain), "%s", request->domain);
	l->query = dns_lookup(d, l->domain, DNS_MX, on_mx, l);
	if (l->query == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

void
dns_mx_cancel(struct dns_mx_lookup *l)
{
	if (l != NULL)
		lookup_free(l);
}

int
dns_mx_domain(struct span text, char name_r[DNS_NAME_MAX])
{
	gnutls_datum_t ascii = { NULL, 0 };
	int result = dns_name(text, name_r);

	if (result == 0 || text.len >= DNS_NAME_MAX ||
	    gnutls_idna_map((const char *)text.data, (unsigned)text.len,
	    &ascii, 0) != 0)
		return result;
	result = dns_name(span_of(ascii.data, ascii.size), name_r);
	gnutls_free(ascii.data);
	return result;
}
