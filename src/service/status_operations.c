/*
 * Whoever asked for something can be asked why. Who is let in is trusted to
 * ask as often as it takes; who is turned away is not, and may be anybody:
 *
 *	time      0 s      10 s          30 s                  70 s
 *	asked     x x x xx x xx x xx x x x x xx x xx xx x x x  x
 *	told      x        x (12 times)  x (18 times)          ...
 *
 * The rows that this makes have a bound of their own in the record, so that
 * they never push out what was done (service/record_operations.h).
 */
#include "service/status_operations.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "service/record_operations.h"

static const char prefix[] = "/api/v1/";
static const char others[] = "others";

/* "address=192.0.2.1 for=1h". What the path does not take may be anything, a
 * token by mistake: its value is nobody's business. */
static void
list_arguments(const struct status_api_route *route,
    const struct status_api_request *r, struct buf *out)
{
	size_t i;

	for (i = 0; i < r->n_arguments; i++) {
		struct span name = span_take(r->arguments[i].name, 64);

		buf_append_str(out, i == 0 ? "" : " ");
		escape_record(out, name);
		buf_append_byte(out, '=');
		if (route != NULL && status_api_takes(route, name))
			escape_record(out,
			    span_take(r->arguments[i].value, 256));
		else
			buf_append_str(out, "***");
	}
}

static struct span
operation_of(const struct status_api_request *r)
{
	struct span begin = span_take(r->path, strlen(prefix));

	return span_eq(begin, span_str(prefix)) ?
	    span_skip(r->path, strlen(prefix)) : r->path;
}

/* ----------------------------------------------------------------- telling */

static void
push_event(const struct status_source *source,
    const struct record_operation *o)
{
	const struct { const char *key; struct span value; } members[] = {
		{ "operation", o->operation }, { "argument", o->argument },
		{ "by", o->by }, { "result", o->result },
	};
	char time[CLOCK_TEXT_MAX];
	struct buf json;
	size_t i;

	buf_init(&json, 0);
	buf_printf(&json, "{\"occurred_at\":\"%s\"",
	    clock_format_utc(o->wall_us, time));
	for (i = 0; i < ARRAY_LEN(members); i++) {
		buf_printf(&json, ",\"%s\":", members[i].key);
		escape_json(&json, members[i].value);
	}
	buf_append_byte(&json, '}');
	event_ring_push(source->events, "operation", buf_span(&json));
	buf_release(&json);
}

static void
tell(const struct status_source *source, const struct record_operation *o,
    enum log_level level)
{
	const struct span parts[] = { o->operation, o->argument, o->by,
		o->result };
	char text[ARRAY_LEN(parts)][LOG_QUOTE_MAX];
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts); i++)
		log_quote(parts[i], text[i]);
	log_event(level, "status.operation",
	    "operation=%s argument=%s by=%s result=%s", text[0], text[1],
	    text[2], text[3]);
	push_event(source, o);
	if (record_operations_add(source->record, o) != 0)
		log_event(LOG_WARNING, "status.operation",
		    "error=\"the record has no room for it\"");
}

void
status_operations_done(const struct status_source *source,
    const struct status_api_route *route, const struct status_api_request *r,
    const struct status_api_answer *a)
{
	struct record_operation o = { .wall_us = clock_wall_us(),
	    .operation = operation_of(r), .by = span_str(r->by),
	    .result = a->code < 400 ? SPAN("ok") : span_str(a->error) };
	struct buf argument;

	while (o.result.len > 0 && o.result.data[o.result.len - 1] == '\n')
		o.result.len--;		/* of several lines, the last */
	buf_init(&argument, 0);
	list_arguments(route, r, &argument);
	o.argument = buf_span(&argument);
	tell(source, &o, LOG_INFO);
	buf_release(&argument);
}

/* ----------------------------------------------------------------- refused */

void
status_operations_init(struct status_operations *o,
    const struct status_source *source)
{
	memset(o, 0, sizeof(*o));
	o->source = source;
	pthread_mutex_init(&o->lock, NULL);
}

static void
tell_refused(struct status_operations *o, struct status_operations_asker *a)
{
	size_t len = strlen(a->result);

	if (a->n > 1)
		snprintf(a->result + len, sizeof(a->result) - len,
		    " (%ju times)", (uintmax_t)a->n);
	a->n = 0;
	tell(o->source, &(struct record_operation){
		.wall_us = a->wall_us,
		.operation = span_str(a->operation),
		.argument = span_str(a->argument),
		.by = span_str(a->by),
		.result = span_str(a->result),
	}, LOG_WARNING);
}

static void
tell_if_due(struct status_operations *o, struct status_operations_asker *a,
    uint64_t now_us)
{
	const uint64_t least_us = STATUS_OPERATIONS_WAIT_S * CLOCK_US_PER_S;
	const uint64_t most_us = STATUS_OPERATIONS_WAIT_MAX_S * CLOCK_US_PER_S;

	if (now_us < a->next_us)
		return;
	a->wait_us = a->wait_us == 0 ? least_us : 2 * a->wait_us;
	if (a->wait_us > most_us)
		a->wait_us = most_us;
	a->next_us = now_us + a->wait_us;
	tell_refused(o, a);
}

/* Theirs, a free one for them, or that of all others. */
static struct status_operations_asker *
asker(struct status_operations *o, const char *by)
{
	struct status_operations_asker *a, *found = NULL;

	for (a = o->askers; a < o->askers + STATUS_OPERATIONS_ASKERS; a++) {
		if (strcmp(a->by, by) == 0)
			return a;
		if (found == NULL && *a->by == '\0')
			found = a;
	}
	if (found == NULL) {
		found = a;
		by = others;
	}
	snprintf(found->by, sizeof(found->by), "%s", by);
	return found;
}

static void
keep(char *room, size_t size, struct span text)
{
	text = span_take(text, size - 1);
	if (text.len > 0)
		memcpy(room, text.data, text.len);
	room[text.len] = '\0';
}

void
status_operations_refused(struct status_operations *o,
    const struct status_api_route *route, const struct status_api_request *r,
    unsigned code, const char *why, uint64_t now_us)
{
	struct status_operations_asker *a;
	struct buf argument;

	buf_init(&argument, 0);
	list_arguments(route, r, &argument);
	pthread_mutex_lock(&o->lock);
	a = asker(o, r->by);
	a->n++;
	a->wall_us = clock_wall_us();
	keep(a->operation, sizeof(a->operation), operation_of(r));
	keep(a->argument, sizeof(a->argument), buf_span(&argument));
	snprintf(a->result, STATUS_OPERATIONS_RESULT_MAX,
	    RECORD_OPERATIONS_REFUSED "%u: %s", code, why);
	tell_if_due(o, a, now_us);
	pthread_mutex_unlock(&o->lock);
	buf_release(&argument);
}

void
status_operations_check(struct status_operations *o, uint64_t now_us)
{
	struct status_operations_asker *a;
	size_t i;

	pthread_mutex_lock(&o->lock);
	for (i = 0; i < ARRAY_LEN(o->askers); i++) {
		a = &o->askers[i];
		if (a->n > 0)
			tell_if_due(o, a, now_us);
		else if (now_us >= a->next_us)
			memset(a, 0, sizeof(*a));
	}
	pthread_mutex_unlock(&o->lock);
}

void
status_operations_destroy(struct status_operations *o)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(o->askers); i++)
		if (o->askers[i].n > 0)
			tell_refused(o, &o->askers[i]);
	pthread_mutex_destroy(&o->lock);
}
