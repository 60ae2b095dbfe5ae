/*
 * What a granted outbound choice comes to: a pool becomes one of its
 * addresses, of the destination's family, with the pool's EHLO name.
 */
#include "session/route.h"

#include "config/tls.h"

#include <stdlib.h>
#include <string.h>

#include "smtp/path.h"

static const char *
put_text(char **at, struct span text)
{
	char *to = *at;

	if (text.len > 0)
		memcpy(to, text.data, text.len);
	to[text.len] = '\0';
	*at = to + text.len + 1;
	return to;
}

static struct route *
route_new(const struct route *like, struct span ehlo_name,
    const char *chosen_by, struct span rule)
{
	struct span by = span_str(chosen_by);
	struct route *r = malloc(sizeof(*r) + ehlo_name.len + by.len +
	    rule.len + 3);
	char *at;

	if (r == NULL)
		return NULL;
	*r = *like;
	if (tls_demand_copy(&like->demand, &r->demand, &r->memory) != 0) {
		free(r);
		return NULL;
	}
	r->references = 1;
	at = r->text;
	r->ehlo_name = put_text(&at, ehlo_name);
	r->chosen_by = put_text(&at, by);
	r->rule = put_text(&at, rule);
	return r;
}

static struct addr
default_source(const struct config *c, const struct addr *destination)
{
	return c->upstream.source[destination->family == ADDR_IPV6 ? 1 : 0];
}

static void
default_tls(const struct config *c, struct route *like)
{
	const struct config_tls_block *b = config_tls_of_network(c,
	    &like->destination);

	like->tls = b != NULL ? b->level : c->upstream.tls;
	like->demand = (struct tls_demand){ 0 };
	if (b != NULL) {
		like->demand.names = b->names;
		like->demand.n_names = b->n_names;
	}
}

/* What weir.conf asks of like's destination, and what a policy chose for
 * another one where that is more: neither weakens the other. */
static void
keep_tls(const struct config *c, const struct route *chosen,
    struct route *like)
{
	default_tls(c, like);
	like->tls_chosen = chosen->tls_chosen && chosen->tls > like->tls &&
	    route_tls(chosen) >= route_tls(like);
	if (!like->tls_chosen)
		return;
	like->tls = chosen->tls;
	like->demand = chosen->demand;
}

/* Names that weir.conf has stay where the policy has none. */
static void
choose_tls(struct route *like, const struct policy_outbound *o)
{
	like->tls = (enum config_tls)(o->tls - POLICY_TLS_NONE);
	like->tls_chosen = true;
	if (o->demand.n_names > 0) {
		like->demand.names = o->demand.names;
		like->demand.n_names = o->demand.n_names;
	}
	like->demand.tlsa = o->demand.tlsa;
	like->demand.n_tlsa = o->demand.n_tlsa;
}

struct route *
route_default(const struct config *c, const struct addr *destination,
    const struct addr *client)
{
	struct route like = {
		.destination = *destination,
		.source = default_source(c, destination),
	};

	default_tls(c, &like);
	if (client != NULL && client->family == destination->family) {
		like.source = *client;
		like.source.port = 0;
	}
	return route_new(&like, span_of(NULL, 0), "", span_of(NULL, 0));
}

struct route *
route_ref(struct route *r)
{
	r->references++;
	return r;
}

void
route_unref(struct route *r)
{
	if (r == NULL || --r->references > 0)
		return;
	free(r->memory);
	free(r);
}

static const struct addr *
source_by_address(const struct config *c, struct span text,
    const struct config_pool **pool_r)
{
	struct addr source;
	size_t i, k;

	if (addr_parse(text, &source) != 0)
		return NULL;
	for (i = 0; i < c->n_pools; i++) {
		*pool_r = &c->pools[i];
		for (k = 0; k < (*pool_r)->n_addresses; k++)
			if (addr_eq_ip(&(*pool_r)->addresses[k], &source))
				return &(*pool_r)->addresses[k];
	}
	return NULL;
}

static const struct config_pool *
pool_by_name(const struct config *c, struct span name)
{
	size_t i;

	for (i = 0; i < c->n_pools; i++)
		if (span_eq(name, span_str(c->pools[i].name)))
			return &c->pools[i];
	return NULL;
}

/* Whose mail it is, as config_pool_pick() wants it. */
static const struct addr *
pick(const struct config_pool *pool, enum addr_family family,
    const struct route_sources *from, bool usable_only)
{
	struct span key = smtp_path_domain(from->sender);
	char client[ADDR_TEXT_MAX];

	if (key.len == 0)
		key = span_str(addr_format(&from->client, client));
	return config_pool_pick(pool, family, key,
	    usable_only ? from->is_usable : NULL, from->ctx);
}

static const char *
no_source(enum addr_family family, bool out)
{
	if (out)
		return family == ADDR_IPV6 ?
		    "the IPv6 source address that the policy chose is out" :
		    "the IPv4 source address that the policy chose is out";
	return family == ADDR_IPV6 ?
	    "what the policy chose has no IPv6 address" :
	    "what the policy chose has no IPv4 address";
}

/* The address that a decision means, and whose it is; NULL with why_r. */
static const struct addr *
route_source(const struct config *c, enum addr_family family,
    const struct policy_outbound *o, const struct route_sources *from,
    const struct config_pool **pool_r, const char **why_r)
{
	const struct addr *a = NULL;
	bool out = false;

	if (o->source_address.len > 0) {
		a = source_by_address(c, o->source_address, pool_r);
		if (a != NULL && a->family != family)
			a = NULL;
		out = a != NULL && from->is_usable != NULL &&
		    !from->is_usable(from->ctx, a);
	} else if ((*pool_r = pool_by_name(c, o->source_pool)) != NULL) {
		a = pick(*pool_r, family, from, true);
		out = a == NULL && pick(*pool_r, family, from, false) != NULL;
	}
	if (a == NULL || out)
		*why_r = no_source(family, out);
	return out ? NULL : a;
}

/* The source of one who did not choose any: base's; or, where the choice is a
 * destination of the other family, the usual one, if base's was that, too. */
static const struct addr *
keep_source(const struct route *base, const struct config *c,
    struct route *like, const char **why_r)
{
	const struct addr usual = default_source(c, &base->destination);

	if (like->destination.family == base->destination.family)
		return &like->source;
	like->source = default_source(c, &like->destination);
	if (base->chosen_by[0] == '\0' || base->source.family == ADDR_NONE ||
	    addr_eq_ip(&base->source, &usual))
		return &like->source;
	*why_r = no_source(like->destination.family, false);
	return NULL;
}

struct route *
route_choose(const struct route *base, const struct config *c,
    const struct policy_decision *d, const struct route_sources *sources,
    const char *chosen_by, const char **why_r)
{
	const struct policy_outbound *o = &d->outbound;
	struct span ehlo_name = span_str(base->ehlo_name);
	const struct config_pool *pool = NULL;
	struct route like = *base, *r;
	const struct addr *source;

	if (o->next_hop.family != ADDR_NONE) {
		like.destination = o->next_hop;
		if (!addr_eq(&like.destination, &base->destination))
			keep_tls(c, base, &like);
	}
	if (o->source_address.len > 0 || o->source_pool.len > 0) {
		source = route_source(c, like.destination.family, o, sources,
		    &pool, why_r);
		if (pool != NULL)
			ehlo_name = span_str(pool->ehlo_name);
	} else
		source = keep_source(base, c, &like, why_r);
	if (source == NULL)
		return NULL;
	like.source = *source;
	if (o->ehlo_name.len > 0)
		ehlo_name = o->ehlo_name;
	if (o->tls != POLICY_TLS_UNSPECIFIED)
		choose_tls(&like, o);
	r = route_new(&like, ehlo_name, chosen_by, d->rule);
	if (r == NULL)
		*why_r = "no memory";
	return r;
}

struct route *
route_with_tls(const struct route *way, const struct config *c,
    const struct route *tls)
{
	struct route like = *way;

	like.tls = tls->tls;
	like.tls_chosen = tls->tls_chosen;
	like.demand = tls->demand;
	if (!addr_eq(&way->destination, &tls->destination))
		keep_tls(c, tls, &like);
	return route_new(&like, span_str(way->ehlo_name), way->chosen_by,
	    span_str(way->rule));
}

bool
route_is_same_way(const struct route *a, const struct route *b)
{
	return a == b || (addr_eq(&a->destination, &b->destination) &&
	    addr_eq_ip(&a->source, &b->source) &&
	    strcmp(a->ehlo_name, b->ehlo_name) == 0);
}

enum config_tls
route_tls(const struct route *r)
{
	return r->tls == CONFIG_TLS_DANE && r->demand.n_tlsa == 0 &&
	    r->demand.n_names == 0 ? CONFIG_TLS_MAY : r->tls;
}
