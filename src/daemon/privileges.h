/*
 * What weir may do, and what it gives up before the first connection.
 */
#ifndef WEIR_DAEMON_PRIVILEGES_H
#define WEIR_DAEMON_PRIVILEGES_H

#include "base/buf.h"

/* As many descriptors as the hard limit gives, up to what is wanted. Returns
 * the limit in force. */
unsigned long privileges_descriptors(unsigned long wanted);

/**
 * privileges_drop(user, keep_net_admin, error) - become user, for good.
 *
 * user            ignored when not root; "": stay who we are
 * keep_net_admin  SO_MARK or mode tproxy is configured: CAP_NET_ADMIN stays,
 *                 nothing else
 *
 * Also: no new privileges by exec, no core dumps (they would hold mail and
 * passwords). Before any thread is started. Returns 0, or -1 with error in
 * words.
 */
int privileges_drop(const char *user, bool keep_net_admin,
	struct buf *error) MUSTUSE;

#endif
