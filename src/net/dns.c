/*
 * One libunbound context per loop. It resolves and validates in a thread of
 * its own, made with the first question, and its answers come through a
 * descriptor: signatures are checked off the worker's time.
 *
 *	dns_lookup() --> ub_resolve_async() ~~> ub_fd() readable
 *	                                            |
 *	       fn <-- on_result() <-- ub_process() <+
 *
 * A question that takes too long is cancelled and answered here. Should the
 * library not be able to cancel, its late result finds a query without fn.
 */
#include "net/dns.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unbound.h>
#include <unistd.h>

#include "net/loop_event.h"

#define QUERIES_MAX 512
#define RECORDS_MAX 64		/* of one answer; the rest is not looked at */

struct dns_query {
	TAILQ_ENTRY(dns_query) link;
	struct dns *dns;
	struct loop_timer *timer;
	int id;
	dns_fn *fn;		/* NULL: nobody waits any more */
	void *ctx;
	char name[DNS_NAME_MAX];
};

struct dns {
	struct loop *loop;
	struct ub_ctx *ub;
	struct event readable;
	uint64_t timeout_us;
	bool validates;
	size_t n;
	TAILQ_HEAD(, dns_query) queries;
};

const char *
dns_library(void)
{
	return "libunbound " LIBUNBOUND_VERSION;
}

/* ---------------------------------------------------------------- answers */

static void
query_free(struct dns_query *q)
{
	TAILQ_REMOVE(&q->dns->queries, q, link);
	q->dns->n--;
	loop_timer_free(q->timer);
	free(q);
}

static void
query_answer(struct dns_query *q, const struct dns_answer *answer)
{
	dns_fn *fn = q->fn;
	void *ctx = q->ctx;

	query_free(q);
	if (fn != NULL)
		fn(ctx, answer);
}

static void
query_failed(struct dns_query *q, const char *why)
{
	const struct dns_answer answer = { .status = DNS_FAILED, .why = why,
	    .canonical = "" };

	query_answer(q, &answer);
}

static const char *
rcode_text(int rcode, char text[32])
{
	static const char *const names[] = { [1] = "FORMERR",
	    [2] = "SERVFAIL", [4] = "NOTIMP", [5] = "REFUSED" };

	if (rcode > 0 && (size_t)rcode < ARRAY_LEN(names) &&
	    names[rcode] != NULL)
		return names[rcode];
	snprintf(text, 32, "rcode %d", rcode);
	return text;
}

static void
query_result(struct dns_query *q, const struct ub_result *r)
{
	struct span records[RECORDS_MAX];
	struct dns_answer a = { .status = r->havedata ? DNS_FOUND : DNS_NONE,
	    .secure = r->secure != 0, .why = "", .canonical = "",
	    .records = records };
	char canonical[DNS_NAME_MAX], name[DNS_NAME_MAX], text[32];

	memcpy(name, q->name, sizeof(name));
	if (r->bogus != 0) {
		a = (struct dns_answer){ .status = DNS_FAILED, .bogus = true,
		    .why = r->why_bogus == NULL ? "bogus" : r->why_bogus,
		    .canonical = "" };
	} else if (r->rcode != 0 && !r->nxdomain) {
		a = (struct dns_answer){ .status = DNS_FAILED,
		    .why = rcode_text(r->rcode, text), .canonical = "" };
	} else if (r->canonname == NULL) {
		a.canonical = name;
	} else if (dns_name(span_str(r->canonname), canonical) == 0)
		a.canonical = canonical;
	if (a.status == DNS_FOUND)
		for (; a.n < RECORDS_MAX && r->data[a.n] != NULL; a.n++)
			records[a.n] = span_of(r->data[a.n],
			    (size_t)r->len[a.n]);
	query_answer(q, &a);
}

static void
on_result(void *ctx, int error, struct ub_result *result)
{
	struct dns_query *q = ctx;

	if (error != 0 || result == NULL)
		query_failed(q, ub_strerror(error));
	else
		query_result(q, result);
	ub_resolve_free(result);
}

static void
on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *ctx)
{
	struct dns *d = ctx;

	loop_event_was_ready(d->loop);
	(void)ub_process(d->ub);	/* its errors are answers, too */
}

static void
on_timeout(void *ctx)
{
	struct dns_query *q = ctx;
	const struct dns_answer answer = { .status = DNS_FAILED,
	    .why = "no answer in time", .canonical = "" };
	dns_fn *fn = q->fn;
	void *fn_ctx = q->ctx;

	dns_cancel(q);
	fn(fn_ctx, &answer);
}

/* ---------------------------------------------------------------- asking */

bool
dns_validates(const struct dns *d)
{
	return d->validates;
}

struct dns_query *
dns_lookup(struct dns *d, const char *name, enum dns_type type, dns_fn *fn,
    void *ctx)
{
	struct dns_query *q;

	if (d == NULL || d->n >= QUERIES_MAX ||
	    (q = calloc(1, sizeof(*q))) == NULL)
		return NULL;
	q->dns = d;
	q->fn = fn;
	q->ctx = ctx;
	q->timer = loop_timer_new(d->loop, on_timeout, q);
	TAILQ_INSERT_TAIL(&d->queries, q, link);
	d->n++;
	snprintf(q->name, sizeof(q->name), "%s", name);
	if (q->timer == NULL || ub_resolve_async(d->ub, name, (int)type, 1, q,
	    on_result, &q->id) != 0) {
		query_free(q);
		return NULL;
	}
	loop_timer_start(q->timer, loop_now_us(d->loop) + d->timeout_us);
	return q;
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	q->fn = NULL;
	loop_timer_stop(q->timer);
	if (ub_cancel(q->dns->ub, q->id) == 0)
		query_free(q);
}

/* ------------------------------------------------------------------- life */

static const char *
system_anchor(void)
{
	static const char *const files[] = { "/usr/share/dns/root.key",
	    "/var/lib/unbound/root.key", "/etc/unbound/root.key" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++)
		if (access(files[i], R_OK) == 0)
			return files[i];
	return "";
}

/* "192.0.2.53@53", as the library wants it. */
static int
add_resolver(struct ub_ctx *ub, const struct addr *a)
{
	char text[ADDR_TEXT_MAX], at[ADDR_TEXT_MAX + 8];

	snprintf(at, sizeof(at), "%s@%u", addr_format(a, text),
	    (unsigned)a->port);
	return ub_ctx_set_fwd(ub, at);
}

static int
set_options(struct ub_ctx *ub)
{
	static const struct { const char *name, *value; } list[] = {
		{ "do-not-query-localhost:", "no" },
		/* Sockets: of all that a worker may open, few. */
		{ "outgoing-range:", "64" },
		{ "num-queries-per-thread:", "512" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(list); i++)
		if (ub_ctx_set_option(ub, list[i].name, list[i].value) != 0)
			return -1;
	return ub_ctx_async(ub, 1);
}

static int
add_resolvers(struct ub_ctx *ub, const struct dns_options *options,
    struct buf *error)
{
	size_t i;

	if (options->n_resolvers == 0 && ub_ctx_resolvconf(ub, NULL) != 0) {
		buf_append_str(error, "/etc/resolv.conf cannot be read");
		return -1;
	}
	for (i = 0; i < options->n_resolvers; i++)
		if (add_resolver(ub, &options->resolvers[i]) != 0) {
			buf_append_str(error, "libunbound refuses a resolver");
			return -1;
		}
	return 0;
}

static int
add_anchor(struct ub_ctx *ub, const char *anchor, struct buf *error)
{
	if (anchor[0] == '\0')
		anchor = system_anchor();
	if (anchor[0] == '\0')
		buf_append_str(error, "there is no trust anchor of the root "
		    "zone here; install dns-root-data");
	else if (access(anchor, R_OK) != 0)
		buf_printf(error, "the trust anchor %s cannot be read",
		    anchor);
	else if (ub_ctx_add_ta_file(ub, anchor) != 0)
		buf_printf(error, "libunbound refuses %s", anchor);
	else
		return 0;
	return -1;
}

static int
configure(struct ub_ctx *ub, const struct dns_options *options,
    struct buf *error)
{
	(void)ub_ctx_debugout(ub, NULL);
	if (set_options(ub) != 0) {
		buf_append_str(error, "libunbound refuses its options");
		return -1;
	}
	if (add_resolvers(ub, options, error) != 0)
		return -1;
	return options->validate ? add_anchor(ub, options->trust_anchor,
	    error) : 0;
}

struct dns *
dns_new(struct loop *loop, const struct dns_options *options,
    struct buf *error)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (d == NULL || (d->ub = ub_ctx_create()) == NULL) {
		buf_append_str(error, "no memory or no file descriptors");
		free(d);
		return NULL;
	}
	d->loop = loop;
	d->timeout_us = options->timeout_us;
	d->validates = options->validate;
	TAILQ_INIT(&d->queries);
	if (configure(d->ub, options, error) != 0) {
		ub_ctx_delete(d->ub);
		free(d);
		return NULL;
	}
	event_assign(&d->readable, loop_event_base(loop), ub_fd(d->ub),
	    EV_READ | EV_PERSIST, on_readable, d);
	event_add(&d->readable, NULL);
	return d;
}

void
dns_free(struct dns *d)
{
	struct dns_query *q;

	if (d == NULL)
		return;
	event_del(&d->readable);
	ub_ctx_delete(d->ub);
	while ((q = TAILQ_FIRST(&d->queries)) != NULL)
		query_free(q);
	free(d);
}

/* ------------------------------------------------------------------ probe */

struct probe {
	struct loop *loop;
	struct buf *error;
	int result;
};

static void
on_probe(void *ctx, const struct dns_answer *a)
{
	struct probe *p = ctx;

	loop_stop(p->loop);
	if (a->status == DNS_FAILED)
		buf_printf(p->error, "the root zone cannot be validated: %s "
		    "(the resolver must pass signatures on, and the trust "
		    "anchor hold the keys of the root)", a->why);
	else if (!a->secure)
		buf_append_str(p->error, "the trust anchor is not the root "
		    "zone's");
	else
		p->result = 0;
}

int
dns_probe(const struct dns_options *options, struct buf *error)
{
	struct probe p = { loop_new(), error, -1 };
	struct dns *d = NULL;

	if (p.loop == NULL)
		buf_append_str(error, "no memory or no file descriptors");
	else if ((d = dns_new(p.loop, options, error)) == NULL)
		;
	else if (dns_lookup(d, ".", DNS_SOA, on_probe, &p) == NULL)
		buf_append_str(error, "libunbound cannot ask; is the trust "
		    "anchor a file of DS or DNSKEY records?");
	else
		loop_run(p.loop);
	dns_free(d);
	loop_free(p.loop);
	return p.result;
}
