/*
 * Blocks are few and sessions ask twice: a walk from the first one on.
 */
#include "config/tls.h"

const struct config_tls_block *
config_tls_of_network(const struct config *c, const struct addr *destination)
{
	size_t i, k;

	for (i = 0; i < c->n_tls_blocks; i++)
		for (k = 0; k < c->tls_blocks[i].n_networks; k++)
			if (addr_prefix_has(&c->tls_blocks[i].networks[k],
			    destination))
				return &c->tls_blocks[i];
	return NULL;
}

/* Is name this domain, or below it? */
static bool
lies_in(struct span name, struct span domain)
{
	if (name.len > 0 && name.data[name.len - 1] == '.')
		name.len--;
	if (name.len > domain.len &&
	    name.data[name.len - domain.len - 1] == '.')
		name = span_skip(name, name.len - domain.len);
	return span_eq_nocase(name, domain);
}

const struct config_tls_block *
config_tls_of_group(const struct config *c, struct span greeting_name)
{
	size_t i, k;

	for (i = 0; i < c->n_tls_blocks; i++)
		for (k = 0; k < c->tls_blocks[i].n_groups; k++)
			if (lies_in(greeting_name,
			    span_str(c->tls_blocks[i].groups[k])))
				return &c->tls_blocks[i];
	return NULL;
}
