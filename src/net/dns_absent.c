/*
 * Instead of dns.c where configure found no libunbound.
 */
#include "net/dns.h"

#define ABSENT "this weir was built without libunbound"

const char *
dns_library(void)
{
	return NULL;
}

struct dns *
dns_new(struct loop *loop UNUSED, const struct dns_options *options UNUSED,
    struct buf *error)
{
	buf_append_str(error, ABSENT);
	return NULL;
}

void
dns_free(struct dns *d UNUSED)
{
}

bool
dns_validates(const struct dns *d UNUSED)
{
	return false;
}

struct dns_query *
dns_lookup(struct dns *d UNUSED, const char *name UNUSED,
    enum dns_type type UNUSED, dns_fn *fn UNUSED, void *ctx UNUSED)
{
	return NULL;
}

void
dns_cancel(struct dns_query *q UNUSED)
{
}

int
dns_probe(const struct dns_options *options UNUSED, struct buf *error)
{
	buf_append_str(error, ABSENT);
	return -1;
}
