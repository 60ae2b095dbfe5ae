/*
 * What a granted outbound choice comes to: a pool becomes one of its
 * addresses, of the destination's family, with the pool's EHLO name.
 */
#include "session/route.h"

#include <stdlib.h>
#include <string.h>

static struct route *
route_new(const struct route *like, struct span ehlo_name,
    const char *chosen_by)
{
	size_t by_size = strlen(chosen_by) + 1;
	struct route *r = malloc(sizeof(*r) + ehlo_name.len + 1 + by_size);

	if (r == NULL)
		return NULL;
	*r = *like;
	r->references = 1;
	r->ehlo_name = r->text;
	if (ehlo_name.len > 0)
		memcpy(r->text, ehlo_name.data, ehlo_name.len);
	r->text[ehlo_name.len] = '\0';
	r->chosen_by = r->text + ehlo_name.len + 1;
	memcpy(r->text + ehlo_name.len + 1, chosen_by, by_size);
	return r;
}

struct route *
route_default(const struct config *c, const struct addr *destination)
{
	struct route like = {
		.destination = *destination,
		.source = c->upstream.source[
		    destination->family == ADDR_IPV6 ? 1 : 0],
		.tls = c->upstream.tls,
	};

	return route_new(&like, span_of(NULL, 0), "");
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
	if (r != NULL && --r->references == 0)
		free(r);
}

/* The address of a pool that a decision names, of the MX's family; NULL: there
 * is none. pool_r: whose it is. */
static const struct addr *
route_source(const struct config *c, const struct addr *destination,
    const struct policy_outbound *o, const struct config_pool **pool_r)
{
	struct addr source = { .family = ADDR_NONE };
	size_t i, k;

	if (o->source_address.len > 0 &&
	    addr_parse(o->source_address, &source) != 0)
		return NULL;
	for (i = 0; i < c->n_pools; i++) {
		*pool_r = &c->pools[i];
		for (k = 0; k < (*pool_r)->n_addresses; k++) {
			const struct addr *a = &(*pool_r)->addresses[k];

			if (a->family == destination->family &&
			    (o->source_address.len > 0 ?
			    addr_eq_ip(a, &source) : span_eq(o->source_pool,
			    span_str((*pool_r)->name))))
				return a;
		}
	}
	return NULL;
}

struct route *
route_choose(const struct route *base, const struct config *c,
    const struct policy_outbound *o, const char *chosen_by,
    const char **why_r)
{
	struct span ehlo_name = span_str(base->ehlo_name);
	const struct config_pool *pool = NULL;
	struct route like = *base, *r;
	const struct addr *source;

	if (o->source_address.len > 0 || o->source_pool.len > 0) {
		source = route_source(c, &base->destination, o, &pool);
		if (source == NULL) {
			*why_r = base->destination.family == ADDR_IPV6 ?
			    "no IPv6 source address where the policy chose" :
			    "no IPv4 source address where the policy chose";
			return NULL;
		}
		like.source = *source;
		ehlo_name = span_str(pool->ehlo_name);
	}
	if (o->ehlo_name.len > 0)
		ehlo_name = o->ehlo_name;
	if (o->tls != POLICY_TLS_UNSPECIFIED)
		like.tls = (enum config_tls)(o->tls - POLICY_TLS_NONE);
	r = route_new(&like, ehlo_name, chosen_by);
	if (r == NULL)
		*why_r = "no memory";
	return r;
}
