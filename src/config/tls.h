/*
 * Which tls block speaks for a destination. The first one in the file that
 * fits does. Pure.
 */
#ifndef WEIR_CONFIG_TLS_H
#define WEIR_CONFIG_TLS_H

#include "config/config.h"

/* By the address; NULL: none, and upstream.tls counts. */
const struct config_tls_block *config_tls_of_network(const struct config *c,
	const struct addr *destination);

/* By the name that the MX greets with; NULL: none. That name is not
 * authenticated: such a block may demand more than what counted so far, and
 * never less. */
const struct config_tls_block *config_tls_of_group(const struct config *c,
	struct span greeting_name);

#endif
