/*
 * Host names in weir.conf.
 */
#ifndef WEIR_DAEMON_RESOLVE_H
#define WEIR_DAEMON_RESOLVE_H

#include "config/config.h"

/**
 * resolve_config(config, error) - give every listener's destination that is a
 * host's name its address.
 *
 * The first address that the system's resolver gives. Blocks: for the main
 * thread, before anybody else has the configuration. Returns 0, or -1 with
 * error in words.
 */
int resolve_config(struct config *config, struct buf *error) MUSTUSE;

#endif
