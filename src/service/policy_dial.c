/*
 * Reaching a policy server. A name is looked up for each attempt, since
 * servers move, and "localhost" is often two addresses of which one refuses.
 */
#include "service/policy_dial.h"

#include <stdlib.h>

#include "net/connect.h"
#include "service/policy_resolve.h"

struct policy_dial {
	struct loop *loop;
	policy_dial_fn *fn;
	void *ctx;
	uint64_t timeout_us;
	uint16_t port;
	struct addr addresses[POLICY_RESOLVE_MAX];
	size_t n_addresses, tried;
	/* one of them is under way */
	struct policy_resolve *lookup;
	struct connect_attempt *attempt;
};

static int try_next(struct policy_dial *d);

static void
tell(struct policy_dial *d, int fd, const char *why)
{
	policy_dial_fn *fn = d->fn;
	void *ctx = d->ctx;

	free(d);
	fn(ctx, fd, why);
}

static void
on_connected(void *ctx, int fd, const struct addr *local, const char *why,
    int error)
{
	struct policy_dial *d = ctx;

	(void)local;
	(void)error;
	d->attempt = NULL;
	if (fd >= 0 || d->tried >= d->n_addresses || try_next(d) != 0)
		tell(d, fd, why);
}

static void
on_resolved(void *ctx, const struct addr *addresses, size_t n,
    const char *why)
{
	struct policy_dial *d = ctx;

	d->lookup = NULL;
	if (n > 0)
		memcpy(d->addresses, addresses, n * sizeof(*addresses));
	d->n_addresses = n;
	if (n == 0)
		tell(d, -1, why);
	else if (try_next(d) != 0)
		tell(d, -1, "out of memory");
}

static int
try_next(struct policy_dial *d)
{
	struct connect_request request = {
		.destination = d->addresses[d->tried++],
		.timeout_us = d->timeout_us,
	};

	request.destination.port = d->port;
	d->attempt = connect_start(d->loop, &request, on_connected, d);
	return d->attempt == NULL ? -1 : 0;
}

static int
begin(struct policy_dial *d, const struct config_policy *block)
{
	struct connect_request request = {
		.unix_path = block->path, .timeout_us = d->timeout_us,
	};

	if (block->transport == CONFIG_ENDPOINT_UNIX) {
		d->attempt = connect_start(d->loop, &request, on_connected, d);
		return d->attempt == NULL ? -1 : 0;
	}
	if (addr_parse(span_str(block->host), &d->addresses[0]) == 0) {
		d->n_addresses = 1;
		return try_next(d);
	}
	d->lookup = policy_resolve_start(d->loop, block->host, on_resolved, d);
	return d->lookup == NULL ? -1 : 0;
}

struct policy_dial *
policy_dial_start(struct loop *loop, const struct config_policy *block,
    uint64_t timeout_us, policy_dial_fn *fn, void *ctx)
{
	struct policy_dial *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->loop = loop;
	d->fn = fn;
	d->ctx = ctx;
	d->timeout_us = timeout_us;
	d->port = block->port;
	if (begin(d, block) != 0) {
		free(d);
		return NULL;
	}
	return d;
}

void
policy_dial_cancel(struct policy_dial *d)
{
	if (d == NULL)
		return;
	policy_resolve_cancel(d->lookup);
	connect_cancel(d->attempt);
	free(d);
}
