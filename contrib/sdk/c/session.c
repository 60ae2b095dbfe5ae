/*
 * SMTP sessions: found by weir's number, kept until SESSION_END or until the
 * connection is lost, with the user's two pointers. Here an event meets its
 * callback, and body bytes that were taken become credit.
 */
#include <stdlib.h>

#include "internal.h"

static void
set_pointer(struct user_pointer *p, void *data, weir_free_fn *free_fn)
{
	struct user_pointer old = *p;

	*p = (struct user_pointer){ data, free_fn };
	if (old.data != NULL && old.data != data && old.free_fn != NULL)
		old.free_fn(old.data);
}

/* --------------------------------------------------------------- lifetime */

static struct weir_session *
find(struct connection *c, uint64_t number)
{
	struct weir_session *s;

	HASH_FIND(hh, c->sessions, &number, sizeof number, s);
	return s;
}

static struct weir_session *
find_or_add(struct connection *c, uint64_t number)
{
	struct weir_session *s = find(c, number);

	if (s != NULL)
		return s;
	s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->connection = c;
	s->number = number;
	LIST_INIT(&s->requests);
	HASH_ADD(hh, c->sessions, number, sizeof s->number, s);
	if (s->hh.tbl == NULL) {	/* without memory */
		free(s);
		return NULL;
	}
	return s;
}

/* Its open requests lose their session, and the user hears of it. */
static void
orphan_requests(struct weir_session *s)
{
	struct weir_request *r;

	while ((r = LIST_FIRST(&s->requests)) != NULL) {
		LIST_REMOVE(r, link);
		LIST_INSERT_HEAD(&r->policy->orphans, r, link);
		if (!r->cancelled)
			s->connection->open_requests--;
		r->session = NULL;
		request_cancel(r);
	}
}

static void
end(struct weir_session *s)
{
	set_pointer(&s->transaction, NULL, NULL);
	set_pointer(&s->session, NULL, NULL);
	HASH_DEL(s->connection->sessions, s);
	free(s);
}

void
session_end_all(struct connection *c)
{
	struct weir_event lost = {
		.phase = WEIR_SESSION_END,
		.session_end.cause = "policy connection lost",
	};
	weir_event_fn *fn = c->policy->on[WEIR_SESSION_END].fn;
	struct weir_session *s, *next;

	HASH_ITER(hh, c->sessions, s, next) {
		orphan_requests(s);
		if (fn != NULL)
			fn(s, &lost, NULL);
		end(s);
	}
}

/* ------------------------------------------------------------------ credit */

static void
give_credit(struct weir_session *s, uint64_t taken)
{
	Weir__Policy__V1__Credit credit = WEIR__POLICY__V1__CREDIT__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;
	uint64_t window = s->connection->policy->body_window;
	uint64_t offset = taken < UINT64_MAX - window ? taken + window :
	    UINT64_MAX;

	/* not for each small piece */
	if (window == 0 || offset < s->credit ||
	    offset - s->credit < (window + 1) / 2)
		return;
	s->credit = offset;
	credit.max_offset = offset;
	credit.message = s->message;
	message.session = s->number;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_CREDIT;
	message.credit = &credit;
	connection_send(s->connection, &message);
}

void
weir_credit(struct weir_session *s, uint32_t message, uint64_t offset)
{
	if (message == s->message)
		give_credit(s, offset);
}

/* ------------------------------------------------------------------ events */

/* What an event changes before the user hears of it. */
static void
before(struct weir_session *s, const struct weir_event *e)
{
	uint32_t message = s->message;

	if (e->phase == WEIR_MAIL)
		set_pointer(&s->transaction, NULL, NULL);
	if (e->phase == WEIR_HEADERS)
		message = e->headers.message;
	if (e->phase == WEIR_BODY)
		message = e->body.message;
	if (message != s->message) {
		s->message = message;
		s->credit = s->connection->policy->body_window;
	}
	if (e->phase == WEIR_SESSION_END)
		orphan_requests(s);
}

static void
after(struct weir_session *s, const struct weir_event *e)
{
	if (e->phase == WEIR_BODY && !s->connection->policy->credit_by_hand)
		give_credit(s, e->body.offset + e->body.data.len);
	if (e->phase == WEIR_TRANSACTION_END)
		set_pointer(&s->transaction, NULL, NULL);
	if (e->phase == WEIR_SESSION_END)
		end(s);
}

const char *
session_event(struct connection *c, const to_policy *m)
{
	struct weir_policy *p = c->policy;
	struct weir_request *r = NULL;
	struct weir_session *s;
	struct weir_event e = { 0 };
	const char *wrong = event_read(m, &c->decoded, &e);

	if (wrong != NULL)
		return wrong;
	s = find_or_add(c, m->session);
	if (s != NULL && m->seq != 0)
		r = request_new(s, m->seq);
	if (s == NULL || (m->seq != 0 && r == NULL))
		return "no memory";
	before(s, &e);
	/* a session that began before an Update still asks as it did then */
	if (!p->on[e.phase].decide) {
		weir_relay(r);
		r = NULL;
	}
	if (p->on[e.phase].fn != NULL)
		p->on[e.phase].fn(s, &e, r);
	after(s, &e);
	return NULL;
}

void
session_cancel(struct connection *c, const to_policy *m)
{
	struct weir_session *s = find(c, m->session);
	struct weir_request *r;

	if (s == NULL)
		return;
	LIST_FOREACH(r, &s->requests, link)
		if (r->seq == m->cancel->seq)
			break;
	if (r == NULL || r->cancelled)
		return;
	c->open_requests--;
	request_cancel(r);
}

/* ---------------------------------------------------------------- the user */

struct weir_policy *
weir_session_policy(const struct weir_session *s)
{
	return s->connection->policy;
}

const struct weir_hello *
weir_session_hello(const struct weir_session *s)
{
	return &s->connection->hello;
}

void *
weir_session_data(const struct weir_session *s)
{
	return s->session.data;
}

void
weir_session_set_data(struct weir_session *s, void *data,
    weir_free_fn *free_fn)
{
	set_pointer(&s->session, data, free_fn);
}

void *
weir_transaction_data(const struct weir_session *s)
{
	return s->transaction.data;
}

void
weir_transaction_set_data(struct weir_session *s, void *data,
    weir_free_fn *free_fn)
{
	set_pointer(&s->transaction, data, free_fn);
}

void
weir_annotate(struct weir_session *s, const char *key, const char *value)
{
	Weir__Policy__V1__Annotate__AnnotationsEntry entry =
	    WEIR__POLICY__V1__ANNOTATE__ANNOTATIONS_ENTRY__INIT;
	Weir__Policy__V1__Annotate__AnnotationsEntry *entries[] = { &entry };
	Weir__Policy__V1__Annotate annotate = WEIR__POLICY__V1__ANNOTATE__INIT;
	from_policy message = WEIR__POLICY__V1__FROM_POLICY__INIT;

	entry.key = (char *)key;
	entry.value = (char *)value;
	annotate.annotations = entries;
	annotate.n_annotations = 1;
	message.session = s->number;
	message.answer_case = WEIR__POLICY__V1__FROM_POLICY__ANSWER_ANNOTATE;
	message.annotate = &annotate;
	if (!connection_send(s->connection, &message))
		policy_log(s->connection->policy,
		    "the annotation %s is too large", key);
}
