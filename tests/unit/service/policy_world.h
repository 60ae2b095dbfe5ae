/*
 * For tests: a pool with one policy, "rep", whose server is a policy_peer; and
 * sessions that only note what they are told.
 */
#ifndef WEIR_TESTS_POLICY_WORLD_H
#define WEIR_TESTS_POLICY_WORLD_H

#include "policy_peer.h"
#include "service/policy_pool.h"

#define TO(name) WEIR__POLICY__V1__TO_POLICY__EVENT_##name
#define FROM(name) WEIR__POLICY__V1__FROM_POLICY__ANSWER_##name

struct world {
	struct peer peer;
	struct metrics metrics;
	struct config *config;
	struct policy_pool *pool;
};

/* A session, and what it was told. */
struct guest {
	struct world *world;
	struct policy_member *member;
	struct session_policy policies[POLICY_MAX];
	unsigned answers, losses, returns;
	unsigned policy;		/* of the last answer or loss */
	enum policy_answer_type type;
	uint32_t seq;
	enum policy_error lost;
	bool report;			/* each decision, as valid */
	bool leave;			/* when told anything */
};

static inline void
on_answer(void *session, unsigned policy, struct policy_answer *a)
{
	struct guest *g = session;

	g->answers++;
	g->policy = policy;
	g->type = a->type;
	g->seq = a->seq;
	if (g->report)
		policy_pool_report(g->member, policy, POLICY_OK);
	if (g->leave)
		policy_pool_leave(g->member);
}

static inline void
on_lost(void *session, unsigned policy, enum policy_error error)
{
	struct guest *g = session;

	g->losses++;
	g->policy = policy;
	g->lost = error;
	if (g->leave)
		policy_pool_leave(g->member);
}

static inline void
on_back(void *session, unsigned policy, const struct session_policy *now)
{
	struct guest *g = session;

	g->returns++;
	g->policies[policy] = *now;
	if (g->leave)
		policy_pool_leave(g->member);
}

static inline bool
is_once_back(void *session)
{
	return ((struct guest *)session)->returns == 1;
}

static const struct policy_pool_handlers handlers = {
	.on_answer = on_answer, .on_lost = on_lost, .on_back = on_back,
};

/* more: further lines of the policy's block */
static inline struct config *
make_config(struct world *w, const char *before, const char *more)
{
	struct buf text, errors;
	struct config *config;

	buf_init(&text, 0);
	buf_init(&errors, 0);
	buf_printf(&text, "listener \"l\" {\n address = \"127.0.0.1:0\"\n"
	    " mode = \"redirect\"\n}\n%s"
	    "policy \"rep\" {\n endpoint = \"unix:%s\"\n"
	    "%s}\n", before, w->peer.path, more);
	config = config_load_text("test", buf_span(&text), &errors);
	if (config == NULL)
		fail_msg("%.*s", (int)buf_len(&errors),
		    (const char *)buf_span(&errors).data);
	buf_release(&text);
	buf_release(&errors);
	return config;
}

static inline void
start(struct world *w, const char *before, const char *more)
{
	peer_start(&w->peer, "pool");
	peer_listen(&w->peer);
	metrics_init(&w->metrics);
	w->config = make_config(w, before, more);
	w->pool = policy_pool_new(w->peer.loop, w->config, "instance",
	    &w->metrics, &handlers);
	assert_non_null(w->pool);
}

static inline void
end(struct world *w)
{
	policy_pool_free(w->pool);
	config_unref(w->config);
	peer_end(&w->peer);
}

static inline void
join(struct world *w, struct guest *g)
{
	*g = (struct guest){ .world = w };
	g->member = policy_pool_join(w->pool, g, g->policies);
	assert_non_null(g->member);
}

static inline uint64_t
connects(const struct world *w, size_t i)
{
	return atomic_load(&w->metrics.policies[i].connects);
}

static inline bool
is_connected(void *ctx)
{
	return connects(ctx, 0) > 0;
}

static inline bool
is_connected_twice(void *ctx)
{
	return connects(ctx, 0) > 1;
}

/* The server's part of a handshake on its connection i. */
static inline void
shake_hands(struct world *w, size_t i, bool (*until)(void *ctx))
{
	PB(ToPolicy) *ready;

	peer_expect(&w->peer, i, TO(HELLO), 0);
	peer_welcome(&w->peer, i, 1, 0);
	assert_true(peer_run(&w->peer, until, w));
	ready = peer_next(&w->peer, i);
	assert_int_equal(ready->event_case, TO(READY));
	assert_int_equal(ready->ready->n_subscriptions, 4);
	for (size_t k = 0; k < 4; k++)
		assert_int_equal(ready->ready->subscriptions[k]->decide,
		    ready->ready->subscriptions[k]->phase ==
		    WEIR__POLICY__V1__PHASE__PHASE_MAIL ||
		    ready->ready->subscriptions[k]->phase ==
		    WEIR__POLICY__V1__PHASE__PHASE_RCPT);
	assert_int_equal(ready->ready->n_refused, 1);
	assert_string_equal(ready->ready->refused[0], "99");
	weir__policy__v1__to_policy__free_unpacked(ready, NULL);
}

static inline enum policy_error
ask(struct guest *g, uint32_t seq)
{
	const struct policy_event mail = { .type = POLICY_PHASE_MAIL,
	    .seq = seq, .deadline_ms = seq == 0 ? 0 : 2000,
	    .u.mail = { .transaction_id = "01T" } };

	return policy_pool_send(g->member, 0, &mail);
}

static inline void
answer(struct world *w, size_t i, uint64_t session, uint32_t seq)
{
	PB(FromPolicy) m = WEIR__POLICY__V1__FROM_POLICY__INIT;
	PB(Decision) d = WEIR__POLICY__V1__DECISION__INIT;

	m.session = session;
	m.seq = seq;
	m.answer_case = FROM(DECISION);
	m.decision = &d;
	d.action = WEIR__POLICY__V1__ACTION__ACTION_REJECT;
	peer_send(&w->peer, i, &m);
}

struct figure { const _Atomic uint64_t *value; uint64_t want; };

static inline bool
is_figure(void *ctx)
{
	struct figure *f = ctx;

	return atomic_load(f->value) == f->want;
}

static inline void
expect_figure(struct world *w, const _Atomic uint64_t *value, uint64_t want)
{
	struct figure f = { value, want };

	if (!peer_run(&w->peer, is_figure, &f))
		fail_msg("%llu instead of %llu",
		    (unsigned long long)atomic_load(value),
		    (unsigned long long)want);
}

static inline bool
has_answer(void *ctx)
{
	return ((struct guest *)ctx)->answers > 0;
}

static inline bool
has_loss(void *ctx)
{
	return ((struct guest *)ctx)->losses > 0;
}

#endif
