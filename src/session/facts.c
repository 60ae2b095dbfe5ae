/*
 * Facts for the record, each an action. Bytes are the peer's own, cut into
 * lines; secrets never come this far.
 */
#include "session/internal.h"
#include "session/route.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct fact *
session_fact(struct session *s, enum fact_type type)
{
	struct fact *f = session_alloc(s, sizeof(*f));

	f->type = type;
	f->now_us = s->now_us;
	if (!s->record)
		return f;
	session_act(s, SESSION_RECORD, SESSION_CLIENT)->u.fact = f;
	return f;
}

void
session_fact_open(struct session *s)
{
	struct fact *f = session_fact(s, FACT_OPEN);

	f->u.open.id = s->id.text;
	f->u.open.wall_us = s->wall_us;
	f->u.open.listener = s->listener->name;
	f->u.open.client = s->client;
	f->u.open.destination = s->destination;
	s->opened = true;
}

static void
fact_line(struct session *s, enum fact_direction direction, struct span data)
{
	struct fact *f = session_fact(s, FACT_LINE);

	f->u.line.direction = direction;
	f->u.line.data = data;
}

/* One fact per line; lines live as long as the actions. */
void
session_fact_lines(struct session *s, enum fact_direction direction,
    struct span lines)
{
	size_t n;

	if (!s->record)
		return;
	while (lines.len > 0) {
		n = span_find(lines, '\n');
		if (n < lines.len)
			n++;
		fact_line(s, direction, span_take(lines, n));
		lines = span_skip(lines, n);
	}
}

void
session_fact_event(struct session *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	if (!s->record)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = (int)sizeof(text) - 1;
	fact_line(s, FACT_EVENT, session_keep(s, span_of(text, (size_t)n)));
}

/* What the route asks for, as RFC 8460 4.2 names policies. A certificate that
 * must carry a name is MTA-STS where a policy server asked for it. */
static const char *
fact_tls_policy(const struct session *s, const struct route *route,
    struct span domain)
{
	const struct config_tls_block *b = s->up->tls_block;

	/* Opportunistic until a domain had something to demand. */
	if (route_tls(route) == CONFIG_TLS_DANE ||
	    session_tls_level(s) == CONFIG_TLS_DANE || (domain.len > 0 &&
	    (route->tls == CONFIG_TLS_DANE || (!route->tls_chosen &&
	    b != NULL && b->level == CONFIG_TLS_DANE))))
		return "tlsa";
	if (route->tls == CONFIG_TLS_VERIFY && route->tls_chosen)
		return "sts";
	return "no-policy-found";
}

void
session_tls_result(struct session *s, const struct route *route,
    enum tls_result result, struct span domain, const char *reason)
{
	struct fact *f = session_fact(s, FACT_TLS_RESULT);

	f->u.tls_result.number = s->n_tls_results++;
	f->u.tls_result.result = result;
	f->u.tls_result.policy = fact_tls_policy(s, route, domain);
	f->u.tls_result.domain = domain;
	f->u.tls_result.mx = session_keep(s, buf_span(&s->up->name));
	f->u.tls_result.local = s->up->local;
	f->u.tls_result.remote = s->up->route->destination;
	f->u.tls_result.reason = (const char *)session_keep(s,
	    span_of(reason, strlen(reason) + 1)).data;
	if (domain.len == 0)
		s->up->tls_result = result;
}

void
session_fact_close(struct session *s)
{
	struct fact *f;

	session_fact_event(s, "end: %s", s->cause);
	f = session_fact(s, FACT_CLOSE);
	f->u.close.cause = s->cause;
	f->u.close.transactions = s->n_transactions;
	f->u.close.client_bytes = s->client_bytes;
	f->u.close.upstream_bytes = s->upstream_bytes;
	f->u.close.elapse_ms = s->elapse_ms;
	f->u.close.ehlo_us = s->ehlo_us;
	f->u.close.quit_us = s->quit_us;
}
