/*
 * Lines of a scenario about policies and the record.
 */
#include "tests/replay/script.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/replay/answer.h"

/* ------------------------------------------------------------------- setup */

static unsigned
setup_phases(struct run *r, struct span list)
{
	unsigned set = 0;

	while (list.len > 0) {
		struct span name = span_take(list, span_find(list, ','));
		enum policy_phase phase = policy_phase_parse(name);

		if (span_eq(name, SPAN("all")))
			set |= POLICY_PHASES_ALL;
		else if (phase == POLICY_PHASE_NONE)
			script_fails(r, "no phase: %.*s", (int)name.len,
			    (const char *)name.data);
		else
			set |= POLICY_PHASE_BIT(phase);
		list = span_skip(list, name.len + 1);
	}
	return set;
}

static enum policy_error
error_parse(struct span name)
{
	unsigned e;

	for (e = 1; e < POLICY_ERROR_COUNT; e++)
		if (span_eq(name, span_str(policy_error_name(
		    (enum policy_error)e))))
			return (enum policy_error)e;
	return POLICY_OK;
}

static bool
key_is(struct span word, const char *key, struct span *value_r)
{
	size_t n = strlen(key);

	if (word.len <= n || memcmp(word.data, key, n) != 0 ||
	    word.data[n] != '=')
		return false;
	*value_r = span_skip(word, n + 1);
	return true;
}

static size_t
policies_so_far(const struct run *r)
{
	size_t n = 0;

	while (n < POLICY_MAX && r->world.seats[n].version != NULL)
		n++;
	return n;
}

static bool
setup_subscription(struct run *r, struct span word,
    struct session_policy *seat)
{
	struct span v;
	uint64_t n;

	if (key_is(word, "decide", &v))
		seat->decide = setup_phases(r, v);
	else if (key_is(word, "notify", &v))
		seat->notify = setup_phases(r, v);
	else if (key_is(word, "prefix", &v) && span_to_u64(v, &n) == 0)
		seat->body_prefix = n;
	else if (key_is(word, "credit", &v) && span_to_u64(v, &n) == 0)
		seat->body_credit = n;
	else
		return false;
	return true;
}

/* policy NAME [decide=..] [notify=..] [prefix=N] [credit=N] [unknown]
 * [away=CAUSE]
 * [{ lines of weir.conf }] */
bool
script_policy_setup(struct run *r, const char *text)
{
	const char *conf = strchr(text, '{');
	size_t i = policies_so_far(r);
	struct session_policy *seat = &r->world.seats[i];
	struct words w;
	struct span v;
	char *head;

	if (strncmp(text, "policy ", 7) != 0)
		return false;
	head = strndup(text, conf == NULL ? strlen(text) :
	    (size_t)(conf - text));
	if (i == POLICY_MAX || script_words(&w, head) != 0 || w.n < 2) {
		script_fails(r, "cannot be read");
		free(head);
		return true;
	}
	*seat = (struct session_policy){ .known = true, .ready = true,
	    .version = "rules-1" };
	for (i = 2; i < w.n; i++) {
		if (setup_subscription(r, w.list[i], seat))
			continue;
		if (key_is(w.list[i], "away", &v)) {
			seat->ready = false;
			seat->error = error_parse(v);
		} else if (span_eq(w.list[i], SPAN("unknown")))
			seat->known = false;
		else
			script_fails(r, "unknown word in policy");
	}
	buf_printf(&r->conf, "policy \"%.*s\" {\nendpoint = "
	    "\"unix:/run/p.sock\"\n%s\n", (int)w.list[1].len,
	    (const char *)w.list[1].data, conf == NULL ? "}" : conf + 1);
	script_words_free(&w);
	free(head);
	return true;
}

int
script_policy_index(const struct run *r, struct span name)
{
	size_t i;

	for (i = 0; i < r->world.config->n_policies; i++)
		if (span_eq(name, span_str(
		    r->world.config->policies[i].name)))
			return (int)i;
	return -1;
}

/* ------------------------------------------------------------ expectations */

static bool
text_has_line(const char *text, struct span line)
{
	const char *end;

	for (; *text != '\0'; text = end + 1) {
		end = strchr(text, '\n');
		if (end == NULL)
			return false;
		if (span_eq(span_of(text, (size_t)(end - text)), line))
			return true;
	}
	return false;
}

/* Are these words in the note: its name first, then any of its lines? */
bool
script_note_is(const struct note *n, const struct words *w, size_t from)
{
	struct buf b = { 0 };
	struct span first = span_take(span_str(n->text),
	    span_find(span_str(n->text), '\n'));
	bool is = true;
	size_t i;

	for (i = from; i < w->n && is; i++) {
		buf_clear(&b);
		tell_escaped(&b, w->list[i]);
		is = i == from ? span_eq(first, buf_span(&b)) :
		    text_has_line(n->text, buf_span(&b));
	}
	buf_release(&b);
	return is;
}

static struct note *
next_for(struct run *r, int policy)
{
	size_t i;

	for (i = 0; i < r->world.n_notes; i++)
		if (r->world.notes[i].policy == policy &&
		    !r->world.notes[i].seen)
			return &r->world.notes[i];
	return NULL;
}

static void
expect_told(struct run *r, const struct words *w, int policy, bool question)
{
	struct note *n = next_for(r, policy);

	if (n == NULL) {
		script_fails(r, "the policy was told nothing");
		return;
	}
	n->seen = true;
	if ((n->seq != 0) != question)
		script_fails(r, "it was %s: %s", n->seq != 0 ? "asked" :
		    "only told", n->text);
	else if (!script_note_is(n, w, 2))
		script_fails(r, "it was told (seq %u): %s", n->seq, n->text);
}

/* R: words of a fact, somewhere behind the last one. A line of the dialogue is
 * one string: R: "-> QUIT\r\n". */
static void
expect_log(struct run *r, const struct words *w)
{
	struct world *world = &r->world;
	struct buf all = { 0 };
	size_t i;

	for (i = r->log_seen; i < world->n_notes; i++) {
		if (world->notes[i].policy >= 0)
			continue;
		if (script_note_is(&world->notes[i], w, 1)) {
			r->log_seen = i + 1;
			return;
		}
	}
	for (i = r->log_seen; i < world->n_notes; i++)
		if (world->notes[i].policy < 0)
			buf_printf(&all, "\n#   %s", world->notes[i].text);
	buf_append_byte(&all, 0);
	script_fails(r, "not in the record, which has:%s",
	    (const char *)buf_span(&all).data);
	buf_release(&all);
}

/* Nowhere in what left the session for the record or a policy. */
static void
expect_never(struct run *r, const struct words *w)
{
	size_t i;

	for (i = 0; i < r->world.n_notes; i++)
		if (memmem(r->world.notes[i].text,
		    strlen(r->world.notes[i].text), w->list[1].data,
		    w->list[1].len) != NULL)
			script_fails(r, "it is told: %s",
			    r->world.notes[i].text);
}

static const struct {
	const char *name;
	enum session_counter counter;
} counters[] = {
	{ "commands", SESSION_COUNTER_COMMANDS },
	{ "transactions", SESSION_COUNTER_TRANSACTIONS },
	{ "delivered", SESSION_COUNTER_DELIVERED },
	{ "deferred", SESSION_COUNTER_DEFERRED },
	{ "rejected", SESSION_COUNTER_REJECTED },
	{ "discarded", SESSION_COUNTER_DISCARDED },
	{ "aborted", SESSION_COUNTER_ABORTED },
	{ "content_bytes", SESSION_COUNTER_CONTENT_BYTES },
	{ "held", SESSION_COUNTER_HELD },
	{ "bare_newline", SESSION_COUNTER_BARE_NEWLINE },
	{ "too_large", SESSION_COUNTER_TOO_LARGE },
	{ "protocol_upstream", SESSION_COUNTER_PROTOCOL_UPSTREAM },
	{ "tls_upstream", SESSION_COUNTER_TLS_UPSTREAM },
	{ "tls_resumed", SESSION_COUNTER_TLS_RESUMED },
	{ "tls_failed", SESSION_COUNTER_TLS_FAILED },
	{ "tls_client", SESSION_COUNTER_TLS_CLIENT },
	{ "tls_client_resumed", SESSION_COUNTER_TLS_CLIENT_RESUMED },
	{ "tls_client_failed", SESSION_COUNTER_TLS_CLIENT_FAILED },
	{ "tls_fallback", SESSION_COUNTER_TLS_FALLBACK },
	{ "tls_injection", SESSION_COUNTER_TLS_INJECTION },
	{ "tls_refused", SESSION_COUNTER_TLS_REFUSED },
	{ "tls_no_reply", SESSION_COUNTER_TLS_NO_REPLY },
	{ "tls_plain_text", SESSION_COUNTER_TLS_PLAIN_TEXT },
	{ "tls_handshake_failed", SESSION_COUNTER_TLS_HANDSHAKE },
	{ "tls_afterwards", SESSION_COUNTER_TLS_AFTERWARDS },
	{ "tls_verified", SESSION_COUNTER_TLS_VERIFIED },
	{ "tls_unverified", SESSION_COUNTER_TLS_UNVERIFIED },
	{ "connect_failed", SESSION_COUNTER_CONNECT_FAILED },
	{ "timeout_client", SESSION_COUNTER_TIMEOUT_CLIENT },
	{ "timeout_upstream", SESSION_COUNTER_TIMEOUT_UPSTREAM },
	{ "tunnel", SESSION_COUNTER_TUNNEL },
	{ "rehomed", SESSION_COUNTER_REHOMED },
	{ "rehomed_not", SESSION_COUNTER_REHOMED_NOT },
	{ "reuse_kept", SESSION_COUNTER_REUSE_KEPT },
	{ "reused", SESSION_COUNTER_REUSED },
	{ "reuse_redialled", SESSION_COUNTER_REUSE_REDIALLED },
};

static void
expect_count(struct run *r, const struct words *w)
{
	uint64_t want = 0, got;
	size_t i;

	if (span_eq(w->list[1], SPAN("samples"))) {
		if (span_to_u64(w->list[2], &want) != 0 ||
		    want != r->world.samples)
			script_fails(r, "there were %u samples",
			    r->world.samples);
		return;
	}
	for (i = 0; i < ARRAY_LEN(counters); i++) {
		if (!span_eq(w->list[1], span_str(counters[i].name)))
			continue;
		got = r->world.counts[counters[i].counter];
		if (span_to_u64(w->list[2], &want) != 0 || want != got)
			script_fails(r, "%s is %llu", counters[i].name,
			    (unsigned long long)got);
		return;
	}
	script_fails(r, "no such counter");
}

/* ----------------------------------------------------------------- answers */

/* "NAME: value" or "NAME/3: value" or "3 NAME: value" */
static bool
answer_edit(struct answer *a, struct span word)
{
	static const char *const ops[] = { "", "add", "insert", "change",
	    "delete" };
	struct answer_edit *e = &a->edits[a->n_edits];
	struct span v, index;
	uint64_t n = 0;
	unsigned op;
	size_t slash, colon;

	for (op = 1; op < ARRAY_LEN(ops); op++)
		if (key_is(word, ops[op], &v))
			break;
	if (op == ARRAY_LEN(ops) || a->n_edits == ANSWER_EDITS_MAX)
		return false;
	colon = span_find(v, ':');
	e->op = op;
	e->name = span_take(v, colon);
	e->value = span_skip(v, colon + 1);
	slash = span_find(e->name, '/');
	if (slash < e->name.len) {
		index = span_skip(e->name, slash + 1);
		if (span_to_u64(index, &n) != 0)
			return false;
		e->name = span_take(e->name, slash);
	}
	e->index = (uint32_t)n;
	a->n_edits++;
	return true;
}

/* "OFFSET/REMOVE:INSERT" */
static bool
answer_splice(struct answer *a, struct span v)
{
	struct answer_splice *s = &a->splices[a->n_splices];
	size_t slash = span_find(v, '/'), colon = span_find(v, ':');

	if (a->n_splices == ANSWER_EDITS_MAX || slash > colon ||
	    span_to_u64(span_take(v, slash), &s->offset) != 0 ||
	    span_to_u64(span_skip(span_take(v, colon), slash + 1),
	    &s->remove) != 0)
		return false;
	s->insert = span_skip(v, colon + 1);
	a->n_splices++;
	return true;
}

static bool
answer_option(struct answer *a, struct span word)
{
	static const char *const scopes[] = { "command", "transaction",
	    "session" };
	static const char *const levels[] = { "", "none", "may", "encrypt",
	    "verify", "dane" };
	struct span v;
	uint64_t n = 0;
	unsigned i;

	if (key_is(word, "scope", &v)) {
		for (i = 0; i < ARRAY_LEN(scopes); i++)
			if (span_eq(v, span_str(scopes[i])))
				a->scope = i;
	} else if (key_is(word, "tls", &v)) {
		a->outbound = true;
		for (i = 0; i < ARRAY_LEN(levels); i++)
			if (span_eq(v, span_str(levels[i])))
				a->tls = i;
	} else if (key_is(word, "delay", &v) && span_to_u64(v, &n) == 0)
		a->delay_ms = (uint32_t)n;
	else if (key_is(word, "source", &v)) {
		a->outbound = true;
		a->source = v;
	} else if (key_is(word, "pool", &v)) {
		a->outbound = true;
		a->pool = v;
	} else if (key_is(word, "ehlo", &v)) {
		a->outbound = true;
		a->ehlo_name = v;
	} else if (key_is(word, "tls-name", &v)) {
		a->outbound = true;
		if (a->n_tls_names < ANSWER_EDITS_MAX)
			a->tls_names[a->n_tls_names++] = v;
	} else if (key_is(word, "tlsa", &v)) {
		a->outbound = true;
		a->tlsa = v;
	} else if (key_is(word, "rule", &v))
		a->rule = v;
	else if (key_is(word, "reason", &v))
		a->reason = v;
	else if (key_is(word, "rewrite", &v)) {
		a->rewrite_set = true;
		a->rewrite = v;
	} else if (key_is(word, "splice", &v))
		return answer_splice(a, v);
	else if (key_is(word, "next-hop", &v)) {
		a->outbound = true;
		a->next_hop = v;
	}
	else
		return answer_edit(a, word);
	return true;
}

/* ACTION [CODE [ENHANCED]] ["text"...] [option...] */
static void
answer_read(struct run *r, const struct words *w, size_t i, struct answer *a)
{
	uint64_t n;

	a->action = policy_action_parse(w->list[i]);
	if (a->action == POLICY_ACTION_NONE &&
	    !span_eq(w->list[i], SPAN("none")))
		script_fails(r, "no action");
	r->world.may_discard |= a->action == POLICY_DISCARD;
	for (i++; i < w->n; i++) {
		if (a->code == 0 && w->list[i].len == 3 &&
		    span_to_u64(w->list[i], &n) == 0)
			a->code = (unsigned)n;
		else if (a->enhanced.len == 0 && a->n_lines == 0 &&
		    a->code != 0 && w->list[i].len > 2 &&
		    w->list[i].len < 9 && w->list[i].data[1] == '.')
			a->enhanced = w->list[i];
		else if (!answer_option(a, w->list[i]) &&
		    a->n_lines < ANSWER_LINES_MAX)
			a->lines[a->n_lines++] = w->list[i];
	}
	r->world.may_edit |= a->n_edits > 0 || a->n_splices > 0;
}

static void
answer_send(struct run *r, const struct words *w, int policy, uint32_t seq)
{
	struct answer a = { 0 };
	struct buf frame = { 0 };
	struct span v;
	uint64_t ms = 0;

	if (key_is(w->list[3], "error", &v)) {
		world_answer_error(&r->world, (unsigned)policy, seq,
		    error_parse(v));
		return;
	}
	if (span_eq(w->list[3], SPAN("working"))) {
		if (w->n < 5 || span_to_u64(w->list[4], &ms) != 0)
			script_fails(r, "working how long?");
		answer_working(&frame, seq, (uint32_t)ms);
	} else {
		answer_read(r, w, 3, &a);
		r->world.may_discard_message |= a.action == POLICY_DISCARD &&
		    (a.scope != POLICY_SCOPE_COMMAND ||
		    !span_eq(span_take(w->list[2], 4), SPAN("rcpt")));
		answer_decision(&frame, seq, &a);
	}
	world_answer(&r->world, (unsigned)policy, buf_span(&frame));
	buf_release(&frame);
}

/* P! POLICY PHASE[#INDEX] ANSWER: to the oldest open question of that phase;
 * seq=N for one that is not open. */
static void
answer(struct run *r, const struct words *w, int policy)
{
	struct world *world = &r->world;
	struct span what = w->list[2], v;
	size_t hash = span_find(what, '#'), i;
	uint64_t n = 0;
	uint32_t seq;

	script_quiet(r);
	if (key_is(what, "seq", &v)) {
		if (span_to_u64(v, &n) != 0)
			script_fails(r, "no number");
		answer_send(r, w, policy, (uint32_t)n);
		return;
	}
	if (hash < what.len && span_to_u64(span_skip(what, hash + 1), &n) != 0)
		script_fails(r, "no number");
	for (i = 0; i < world->n_notes; i++) {
		struct note *q = &world->notes[i];

		if (q->policy != policy || !q->open || q->phase !=
		    policy_phase_parse(span_take(what, hash)) ||
		    (hash < what.len && q->index != n))
			continue;
		q->open = w->n > 3 && span_eq(w->list[3], SPAN("working"));
		n = q->last_seq;
		for (seq = q->seq; seq <= n; seq++)
			answer_send(r, w, policy, seq);
		return;
	}
	script_fails(r, "no such question is open");
}

static void
annotate(struct run *r, const struct words *w, int policy)
{
	struct buf frame = { 0 };

	answer_annotate(&frame, w->list[2], w->list[3]);
	world_answer(&r->world, (unsigned)policy, buf_span(&frame));
	buf_release(&frame);
}

/* P! POLICY credit MAX_OFFSET [MESSAGE] */
static void
give_credit(struct run *r, const struct words *w, int policy)
{
	struct buf frame = { 0 };
	uint64_t max = 0, message = 0;

	script_quiet(r);
	if (w->n < 4 || span_to_u64(w->list[3], &max) != 0 ||
	    (w->n > 4 && span_to_u64(w->list[4], &message) != 0))
		script_fails(r, "how much credit?");
	answer_credit(&frame, max, (uint32_t)message);
	world_answer(&r->world, (unsigned)policy, buf_span(&frame));
	buf_release(&frame);
}

/* P* POLICY [decide=..] [notify=..] [prefix=N] [credit=N] */
static void
come_back(struct run *r, const struct words *w, int policy)
{
	struct session_policy *seat = &r->world.seats[policy];
	size_t i;

	script_quiet(r);
	seat->version = "rules-2";
	if (w->n > 2)
		seat->decide = seat->notify = 0;
	for (i = 2; i < w->n; i++)
		if (!setup_subscription(r, w->list[i], seat))
			script_fails(r, "unknown word");
	world_back(&r->world, (unsigned)policy, seat);
}

/* Returns whether the line is one of these. */
bool
script_policy_step(struct run *r, const struct words *w)
{
	struct span what = w->n > 0 ? w->list[0] : span_of(NULL, 0);
	int policy;

	if (span_eq(what, SPAN("R:")) && w->n > 1) {
		expect_log(r, w);
		return true;
	}
	if (span_eq(what, SPAN("R!")) && w->n == 2) {
		expect_never(r, w);
		return true;
	}
	if (span_eq(what, SPAN("count")) && w->n == 3) {
		expect_count(r, w);
		return true;
	}
	if (what.len != 2 || what.data[0] != 'P' ||
	    w->n < (what.data[1] == '*' ? 2 : 3))
		return false;
	policy = script_policy_index(r, w->list[1]);
	if (policy < 0) {
		script_fails(r, "no such policy");
		return true;
	}
	switch (what.data[1]) {
	case '?':
		expect_told(r, w, policy, true);
		return true;
	case ':':
		expect_told(r, w, policy, false);
		return true;
	case '!':
		if (w->n < 4)
			return false;
		if (span_eq(w->list[2], SPAN("credit")))
			give_credit(r, w, policy);
		else
			answer(r, w, policy);
		return true;
	case '+':
		script_quiet(r);
		annotate(r, w, policy);
		return true;
	case '*':
		come_back(r, w, policy);
		return true;
	case '-':
		script_quiet(r);
		world_lost(&r->world, (unsigned)policy,
		    error_parse(w->list[2]));
		return true;
	}
	return false;
}
