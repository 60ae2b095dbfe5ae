/*
 * Transitions are rare, so this may take its time: it is called behind the lock
 * of one shard, and only copies.
 */
#include "service/mx_events.h"

#include "base/escape.h"
#include "base/log.h"
#include "service/record_states.h"

static void
tell_log(const struct mx_transition *t)
{
	char group[LOG_QUOTE_MAX], why[LOG_QUOTE_MAX], source[ADDR_TEXT_MAX];
	bool bad = t->to == MX_THROTTLED || t->to == MX_BLOCKED;
	struct buf words;

	buf_init(&words, 0);
	mx_evidence_words(&words, &t->evidence);
	log_event(bad ? LOG_WARNING : LOG_INFO, "mx.state",
	    "group=%s source=%s from=%s to=%s attribution=%s why=%s",
	    log_quote(span_str(t->group), group),
	    addr_format(&t->source, source), mx_state_name(t->from),
	    mx_state_name(t->to),
	    mx_attribution_name(t->evidence.attribution),
	    log_quote(buf_span(&words), why));
	buf_release(&words);
}

void
mx_events_tell(void *events, const struct mx_transition *t)
{
	const struct mx_events *e = events;
	struct buf json;

	tell_log(t);
	record_states_put(e->record, t);
	if (e->ring == NULL)
		return;
	buf_init(&json, 0);
	mx_transition_json(&json, t);
	if (!buf_failed(&json))
		event_ring_push(e->ring, "mx", buf_span(&json));
	buf_release(&json);
}
