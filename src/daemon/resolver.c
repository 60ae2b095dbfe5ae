/*
 * A promise of DNSSEC is checked before the first mail: a resolver that does
 * not give signatures, or the wrong trust anchor, would turn level dane into
 * deferred mail for everybody, an hour later.
 */
#include "daemon/resolver.h"

#include "base/log.h"

#include <unistd.h>

static bool
validates(const struct config *c)
{
	size_t i;

	for (i = 0; i < c->n_tls_blocks; i++)
		if (c->tls_blocks[i].level == CONFIG_TLS_DANE)
			return true;
	return c->upstream.tls == CONFIG_TLS_DANE ||
	    c->dns.trust_anchor[0] != '\0';
}

struct dns_options
resolver_options(const struct config *c)
{
	return (struct dns_options){
		.resolvers = c->dns.resolvers,
		.n_resolvers = c->dns.n_resolvers,
		.validate = validates(c),
		.trust_anchor = c->dns.trust_anchor,
		.timeout_us = c->dns.timeout_us,
	};
}

int
resolver_check(const struct config *c, struct buf *error)
{
	if (dns_library() != NULL) {
		if (c->dns.trust_anchor[0] == '\0' ||
		    access(c->dns.trust_anchor, R_OK) == 0)
			return 0;
		buf_printf(error, "dns.trust_anchor: %s cannot be read",
		    c->dns.trust_anchor);
		return -1;
	}
	if (validates(c)) {
		buf_append_str(error, "level dane and dns.trust_anchor need "
		    "libunbound, and this weir was built without");
		return -1;
	}
	return 0;
}

int
resolver_probe(const struct config *c, struct buf *error)
{
	const struct dns_options options = resolver_options(c);
	struct buf why;
	int result;

	if (!options.validate)
		return 0;
	if (resolver_check(c, error) != 0)
		return -1;
	buf_init(&why, 0);
	result = dns_probe(&options, &why);
	if (result != 0)
		buf_printf(error, "DNSSEC, which %s needs: %.*s; see "
		    "section dns in weir.conf(5)",
		    c->dns.trust_anchor[0] != '\0' ? "dns.trust_anchor" :
		    "level dane", (int)buf_len(&why),
		    (const char *)buf_span(&why).data);
	buf_release(&why);
	return result;
}

static bool
is_same(const struct config_dns *a, const struct config_dns *b)
{
	size_t i;

	for (i = 0; i < a->n_resolvers && i < b->n_resolvers; i++)
		if (!addr_eq(&a->resolvers[i], &b->resolvers[i]))
			return false;
	return a->n_resolvers == b->n_resolvers &&
	    strcmp(a->trust_anchor, b->trust_anchor) == 0 &&
	    a->timeout_us == b->timeout_us;
}

int
resolver_reload(const struct config *old, const struct config *c,
    struct buf *error)
{
	if (validates(c) && !validates(old)) {
		buf_append_str(error, "level dane, or dns.trust_anchor, is new "
		    "here: it needs a restart");
		return -1;
	}
	if (!is_same(&old->dns, &c->dns))
		log_event(LOG_WARNING, "reload.restart_needed",
		    "key=dns.resolver,dns.trust_anchor,dns.timeout");
	return 0;
}
