/*
 * The session's actions, one function each.
 */
#include "daemon/driver_internal.h"

static void
execute_send(struct driver *d, const struct session_action *a, bool last)
{
	struct stream *stream = a->side == SESSION_CLIENT ? d->client :
	    d->up->stream;

	if (stream == NULL)
		return;
	if (last)
		stream_write_last(stream, a->u.send);
	else
		stream_write(stream, a->u.send);
}

static void
execute_close(struct driver *d, const struct session_action *a)
{
	if (a->side == SESSION_UPSTREAM) {
		driver_end_upstream(d, STREAM_END_FLUSH);
		return;
	}
	/* After QUIT nothing more comes; anybody else may still be talking. */
	stream_end(d->client, strcmp(a->u.why, "quit") == 0 ?
	    STREAM_END_FLUSH : STREAM_END_LINGER);
	d->client = NULL;
}

static void
execute_abort(struct driver *d, const struct session_action *a)
{
	if (a->side == SESSION_UPSTREAM) {
		driver_end_upstream(d, STREAM_END_ABORT);
		return;
	}
	stream_end(d->client, STREAM_END_ABORT);
	d->client = NULL;
}

static void
execute_accept_tls(struct driver *d)
{
	if (d->client != NULL && d->client_tls != NULL)
		stream_accept_tls(d->client, d->client_tls,
		    d->config->limits.client_tls_timeout_us);
}

static void
execute_ask(struct driver *d, const struct session_action *a)
{
	const struct policy_event *event = a->u.ask.event;
	struct session_event ev = { .type = SESSION_ANSWER };

	ev.u.answer.policy = a->u.ask.policy;
	ev.u.answer.error = policy_pool_send(d->member, a->u.ask.policy,
	    event);
	ev.u.answer.seq = event->seq;
	if (ev.u.answer.error != POLICY_OK && event->seq != 0)
		driver_queue(d, &ev);
}

static void
spool_failed(struct driver *d, const char *why)
{
	struct session_event ev = { .type = SESSION_SPOOL_FAILED };

	ev.u.failed.why = why;
	driver_queue(d, &ev);
}

static void
execute_spool_write(struct driver *d, const struct session_action *a)
{
	const char *why = "no memory";

	if (d->spool == NULL)
		d->spool = spool_new(d->config->limits.spool_memory,
		    d->config->limits.spool_directory);
	if (d->spool == NULL || spool_append(d->spool, a->u.send, &why) != 0)
		spool_failed(d, why);
}

static void
execute_spool_read(struct driver *d, const struct session_action *a)
{
	d->spool_offset = a->u.read.offset;
	d->spool_length = a->u.read.length;
	d->spool_waits = true;
	d->spool_for = a->side;
}

/* Gives the session what it asked for, when the MX's side has room for it. */
void
driver_spool_read(struct driver *d)
{
	struct session_event ev = { .type = SESSION_SPOOL_BYTES };
	const char *why = "nothing was spooled";

	d->spool_waits = false;
	if (d->spool == NULL || spool_read(d->spool, d->spool_offset,
	    d->spool_length, &ev.u.bytes, &why) != 0)
		spool_failed(d, why);
	else
		driver_queue(d, &ev);
}

static void
execute_spool_drop(struct driver *d)
{
	spool_free(d->spool);
	d->spool = NULL;
	d->spool_waits = false;		/* what was wanted is gone */
}

static void
execute_tls_memory(struct driver *d, enum tls_result result)
{
	struct tls_memory *m = d->worker->shared->tls_memory;

	if (result == TLS_RESULT_SUCCESS)
		tls_memory_forget(m, &d->up->destination);
	else
		tls_memory_add(m, &d->up->destination, result,
		    loop_now_us(d->worker->loop));
}

static void
execute_count(struct driver *d, const struct session_action *a)
{
	metrics_add(&d->worker->metrics->session[a->u.count.counter],
	    a->u.count.add);
}

/* What the status page shows of times, taken where the facts go by. */
static void
execute_record(struct driver *d, const struct session_action *a)
{
	const struct fact *f = a->u.fact;

	if (f->type == FACT_TRANSACTION && f->u.transaction.reply_us > 0)
		histogram_add(&d->worker->metrics->final_reply_us,
		    f->u.transaction.reply_us);
	if (f->type == FACT_TRANSACTION && f->u.transaction.data_reply_us > 0)
		histogram_add(&d->worker->metrics->data_reply_us,
		    f->u.transaction.data_reply_us);
	if (d->record != NULL && f->type == FACT_TRANSACTION)
		driver_record_transaction(d, f);
	else if (d->record != NULL && f->type == FACT_CLOSE)
		driver_record_close(d, f);
	else if (d->record != NULL)
		record_session_fact(d->record, f);
}

static void
execute_one(struct driver *d, const struct session_action *a)
{
	switch (a->type) {
	case SESSION_SEND:	/* by driver_execute() */
		break;
	case SESSION_CLOSE:
		execute_close(d, a);
		break;
	case SESSION_ABORT:
		execute_abort(d, a);
		break;
	case SESSION_CONNECT:
		driver_connect(d, a);
		break;
	case SESSION_KEEP:
		driver_keep(d, a->u.kept);
		break;
	case SESSION_PARK:
		driver_park(d);
		break;
	case SESSION_UNPARK:
		driver_unpark(d);
		break;
	case SESSION_LEAVE_PARKED:
		driver_leave_parked(d, a->u.send);
		break;
	case SESSION_START_TLS:
		driver_start_tls(d, a);
		break;
	case SESSION_VERIFY_TLS:
		driver_verify(d, a);
		break;
	case SESSION_ACCEPT_TLS:
		execute_accept_tls(d);
		break;
	case SESSION_PAUSE:
	case SESSION_RESUME:
		driver_pause(d, a->side, a->type == SESSION_PAUSE);
		break;
	case SESSION_ASK:
		execute_ask(d, a);
		break;
	case SESSION_REPORT:
		policy_pool_report(d->member, a->u.report.policy,
		    a->u.report.error);
		break;
	case SESSION_WOULD_CHANGE:
		policy_pool_would_change(d->member, a->u.would_change.policy,
		    a->u.would_change.action);
		break;
	case SESSION_DROPPED:
		policy_pool_dropped(d->member, a->u.report.policy);
		break;
	case SESSION_SPOOL_WRITE:
		execute_spool_write(d, a);
		break;
	case SESSION_SPOOL_READ:
		execute_spool_read(d, a);
		break;
	case SESSION_SPOOL_DROP:
		execute_spool_drop(d);
		break;
	case SESSION_REMEMBER_TLS_FAILURE:
		execute_tls_memory(d, a->u.tls_result);
		break;
	case SESSION_MEASURE:
		driver_measure(d->up, a);
		break;
	case SESSION_RECORD:
		execute_record(d, a);
		break;
	case SESSION_COUNT:
		execute_count(d, a);
		break;
	case SESSION_ACTION_COUNT:
		break;
	}
}

void
driver_execute(struct driver *d, const struct session_actions *actions)
{
	const struct session_action *list = actions->list;
	size_t last[2] = { SIZE_MAX, SIZE_MAX };
	size_t i;

	for (i = 0; i < actions->n; i++)
		if (list[i].type == SESSION_SEND)
			last[list[i].side] = i;
	for (i = 0; i < actions->n; i++) {
		if (list[i].type == SESSION_SEND)
			execute_send(d, &list[i], i == last[list[i].side]);
		else
			execute_one(d, &list[i]);
	}
}
