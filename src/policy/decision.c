/*
 * Decisions: whether one may be obeyed, and how several become one verdict.
 * A decision is obeyed whole or not at all, so everything that can be wrong
 * with it by itself is looked at here, before any of it takes effect. What
 * depends on the message (does that field exist, does the body reach that
 * far) is looked at by whoever has the message.
 */
#include "base/compiler.h"
#include "policy/decision.h"
#include "policy/event.h"
#include "policy/splice.h"

#define AT(phase) POLICY_PHASE_BIT(POLICY_PHASE_##phase)
#define ADDRESS_MAX 512		/* octets of a rewritten address */
#define NAME_MAX_OCTETS 255	/* of an EHLO name, RFC 1035 2.3.4 */
#define LINE_MAX_OCTETS 510	/* of a reply, RFC 5321 4.5.3.1.5 */

static bool
is_granted(const struct policy_rules *rules, enum policy_grant grant)
{
	return (rules->grants & 1u << grant) != 0;
}

static bool
is_phase(const struct policy_rules *rules, unsigned phases)
{
	return (POLICY_PHASE_BIT(rules->phase) & phases) != 0;
}

/* ------------------------------------------------------------------- reply */

static bool
is_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return s.len >= 1 && s.len <= 3;
}

/* class "." subject "." detail, RFC 3463 2. */
static bool
is_enhanced(struct span s, unsigned class)
{
	struct span rest;
	size_t dot;

	if (s.len < 5 || s.data[0] != '0' + class || s.data[1] != '.')
		return false;
	rest = span_skip(s, 2);
	dot = span_find(rest, '.');
	return dot < rest.len && is_digits(span_take(rest, dot)) &&
	    is_digits(span_skip(rest, dot + 1));
}

static bool
has_line_end_or_nul(struct span s)
{
	return span_find(s, '\r') < s.len || span_find(s, '\n') < s.len ||
	    span_find(s, 0) < s.len;
}

static const char *
check_code(enum policy_action action, unsigned code)
{
	switch (action) {
	case POLICY_REJECT:
		return code >= 500 && code <= 599 ? NULL :
		    "the code of a REJECT must be 5xx";
	case POLICY_TEMPFAIL:
		return code >= 400 && code <= 499 ? NULL :
		    "the code of a TEMPFAIL must be 4xx";
	case POLICY_DISCONNECT:
		return code == 421 ? NULL :
		    "the code of a DISCONNECT must be 421";
	case POLICY_DISCARD:
		return code == 250 ? NULL :
		    "the code of a DISCARD must be 250";
	default:
		return "a RELAY carries no reply";
	}
}

static const char *
check_reply(const struct policy_decision *d)
{
	const struct policy_reply *r = &d->reply;
	const char *why;

	if (r->code == 0)
		return r->n_lines == 0 && r->enhanced.len == 0 ? NULL :
		    "the reply has no code";
	why = check_code(d->action, r->code);
	if (why != NULL)
		return why;
	if (r->enhanced.len > 0 && !is_enhanced(r->enhanced, r->code / 100))
		return "the enhanced code does not fit the code";
	for (size_t i = 0; i < r->n_lines; i++) {
		if (has_line_end_or_nul(r->lines[i]))
			return "a line of the reply holds CR, LF or NUL";
		if (r->lines[i].len > LINE_MAX_OCTETS)
			return "a line of the reply is longer than 510 octets";
	}
	return NULL;
}

/* ------------------------------------------------------------------- edits */

/* RFC 5322 2.2: printable ASCII but the colon. */
static bool
is_field_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~' || s.data[i] == ':')
			return false;
	return s.len > 0;
}

/* No NUL; CR and LF only as CRLF with white space behind it. */
static bool
is_field_value(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] == 0 || s.data[i] == '\n')
			return false;
		if (s.data[i] != '\r')
			continue;
		if (s.len - i < 3 || s.data[i + 1] != '\n' ||
		    (s.data[i + 2] != ' ' && s.data[i + 2] != '\t'))
			return false;
		i += 2;
	}
	return true;
}

static const char *
check_edits(const struct policy_decision *d, const struct policy_rules *rules)
{
	if (d->n_edits == 0)
		return NULL;
	if (!is_granted(rules, POLICY_GRANT_HEADERS))
		return "header edits are not granted";
	if (!is_phase(rules, AT(HEADERS) | AT(END_OF_MESSAGE)))
		return "header edits only fit HEADERS and END_OF_MESSAGE";
	for (size_t i = 0; i < d->n_edits; i++) {
		if (!is_field_name(d->edits[i].name))
			return "a header edit's name is no field name";
		if (!is_field_value(d->edits[i].value))
			return "a header edit's value holds NUL, "
			    "or CR or LF that do not fold";
	}
	return NULL;
}

static const char *
check_splices(const struct policy_decision *d,
    const struct policy_rules *rules)
{
	if (d->n_splices == 0)
		return NULL;
	if (!is_granted(rules, POLICY_GRANT_BODY))
		return "changing the body is not granted";
	if (!is_phase(rules, AT(END_OF_MESSAGE)))
		return "the body can only be changed at END_OF_MESSAGE";
	return policy_splices_check(d->splices, d->n_splices, UINT64_MAX);
}

/* ---------------------------------------------------- outbound and envelope */

static bool
is_pool_address(const struct policy_rules *rules, struct span text)
{
	struct addr a;

	if (addr_parse(text, &a) != 0)
		return false;
	for (size_t i = 0; i < rules->n_pools; i++)
		for (size_t k = 0; k < rules->pools[i].n_addresses; k++)
			if (addr_eq_ip(&a, &rules->pools[i].addresses[k]))
				return true;
	return false;
}

static bool
is_pool_name(const struct policy_rules *rules, struct span name)
{
	for (size_t i = 0; i < rules->n_pools; i++)
		if (span_eq(span_str(rules->pools[i].name), name))
			return true;
	return false;
}

static bool
is_ehlo_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] > '~')
			return false;
	return s.len <= NAME_MAX_OCTETS;
}

/* Another destination needs the grant for that, and nothing else. */
static bool
is_next_hop_only(const struct policy_outbound *o)
{
	return o->next_hop.family != ADDR_NONE && o->source_address.len == 0 &&
	    o->source_pool.len == 0 && o->ehlo_name.len == 0 &&
	    o->tls == POLICY_TLS_UNSPECIFIED;
}

static const char *
check_demand(const struct policy_outbound *o)
{
	const struct tls_demand *d = &o->demand;
	size_t i;

	if (d->n_names > 0 && o->tls != POLICY_TLS_VERIFY &&
	    o->tls != POLICY_TLS_DANE)
		return "tls_names only fit the TLS levels VERIFY and DANE";
	if (d->n_tlsa > 0 && o->tls != POLICY_TLS_DANE)
		return "tlsa only fits the TLS level DANE";
	if (d->n_names > TLS_NAMES_MAX)
		return "there are more than 32 tls_names";
	if (d->n_tlsa > TLS_TLSA_MAX)
		return "there are more than 16 TLSA records";
	for (i = 0; i < d->n_names; i++)
		if (!tls_name_is_valid(span_str(d->names[i])))
			return "one of tls_names is no host name";
	for (i = 0; i < d->n_tlsa; i++)
		if (d->tlsa[i].data.len == 0 ||
		    d->tlsa[i].data.len > TLS_TLSA_BYTES_MAX)
			return "a TLSA record has no data, or more than 8192 "
			    "octets";
	return NULL;
}

static const char *
check_outbound(const struct policy_decision *d,
    const struct policy_rules *rules)
{
	const struct policy_outbound *o = &d->outbound;

	if (!o->set)
		return NULL;
	if (o->next_hop.family != ADDR_NONE &&
	    !is_granted(rules, POLICY_GRANT_NEXT_HOP))
		return "choosing the next hop is not granted";
	if (!is_next_hop_only(o) && !is_granted(rules, POLICY_GRANT_OUTBOUND))
		return "an outbound choice is not granted";
	if (!is_phase(rules, AT(CONNECT) | AT(MAIL) | AT(RCPT)))
		return "an outbound choice only fits CONNECT, MAIL and RCPT";
	if (o->source_address.len > 0 && o->source_pool.len > 0)
		return "it names both a source address and a source pool";
	if (o->source_address.len > 0 &&
	    !is_pool_address(rules, o->source_address))
		return "the source address is in no pool";
	if (o->source_pool.len > 0 && !is_pool_name(rules, o->source_pool))
		return "there is no such source pool";
	if (!is_ehlo_name(o->ehlo_name))
		return "the EHLO name is no host name";
	return check_demand(o);
}

static const char *
check_rewrite(const struct policy_decision *d,
    const struct policy_rules *rules)
{
	struct span s = d->rewrite;

	if (!d->rewrite_set)
		return NULL;
	if (!is_granted(rules, POLICY_GRANT_ENVELOPE))
		return "rewriting the envelope is not granted";
	if (!is_phase(rules, AT(MAIL) | AT(RCPT)))
		return "a rewrite only fits MAIL and RCPT";
	if (s.len == 0 && rules->phase == POLICY_PHASE_RCPT)
		return "a recipient cannot be rewritten to nothing";
	if (s.len > ADDRESS_MAX)
		return "the rewritten address is longer than 512 octets";
	if (has_line_end_or_nul(s) || span_find(s, '<') < s.len ||
	    span_find(s, '>') < s.len)
		return "the rewritten address holds CR, LF, NUL, < or >";
	return NULL;
}

static const char *
check_action(const struct policy_decision *d, const struct policy_rules *rules)
{
	if (d->unreadable != NULL)
		return d->unreadable;
	if (policy_action_rank(d->action) == 0)
		return "the action is missing or unknown";
	if ((unsigned)d->scope >= POLICY_SCOPE_COUNT)
		return "the scope is unknown";
	if (d->action != POLICY_DISCARD)
		return NULL;
	if (!is_granted(rules, POLICY_GRANT_DISCARD))
		return "DISCARD is not granted";
	if (!is_phase(rules, AT(MAIL) | AT(RCPT) | AT(DATA) |
	    POLICY_PHASES_CONTENT))
		return "DISCARD only fits MAIL to END_OF_MESSAGE";
	return NULL;
}

const char *
policy_decision_check(const struct policy_decision *d,
    const struct policy_rules *rules)
{
	static const char *(*const checks[])(const struct policy_decision *,
	    const struct policy_rules *) = {
		check_action, check_edits, check_splices, check_outbound,
		check_rewrite,
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		const char *why = checks[i](d, rules);

		if (why != NULL)
			return why;
	}
	return check_reply(d);
}

/* ------------------------------------------------------------------- merge */

int
policy_action_rank(enum policy_action action)
{
	switch (action) {
	case POLICY_DISCONNECT:
		return 5;
	case POLICY_REJECT:
		return 4;
	case POLICY_TEMPFAIL:
		return 3;
	case POLICY_DISCARD:
		return 2;
	case POLICY_RELAY:
		return 1;
	default:
		return 0;
	}
}

static bool
is_settled(const struct policy_vote *votes, size_t n,
    const struct policy_merge *m)
{
	for (size_t i = 0; i < n; i++) {
		if (!votes[i].pending)
			continue;
		/* the strongest still wins a tie if it comes first */
		if (m->action != POLICY_DISCONNECT || (int)i < m->winner)
			return false;
	}
	return true;
}

void
policy_merge(const struct policy_vote *votes, size_t n,
    struct policy_merge *merge_r)
{
	struct policy_merge m = {
		.winner = -1, .action = POLICY_RELAY,
		.outbound = -1, .rewrite = -1,
	};
	int rank = 0;

	for (size_t i = 0; i < n; i++) {
		const struct policy_decision *d = votes[i].decision;

		if (votes[i].pending || d == NULL ||
		    policy_action_rank(d->action) == 0)
			continue;
		if (policy_action_rank(d->action) > rank) {
			rank = policy_action_rank(d->action);
			m.winner = (int)i;
			m.action = d->action;
		}
		if (d->delay_ms > m.delay_ms)
			m.delay_ms = d->delay_ms;
		if (m.outbound < 0 && d->outbound.set)
			m.outbound = (int)i;
		if (m.rewrite < 0 && d->rewrite_set)
			m.rewrite = (int)i;
	}
	m.settled = is_settled(votes, n, &m);
	*merge_r = m;
}

void
policy_merge_stage(struct policy_merge *m, const struct policy_merge *stage,
    int first)
{
	if (stage->winner >= 0 && (m->winner < 0 ||
	    policy_action_rank(stage->action) >
	    policy_action_rank(m->action))) {
		m->winner = first + stage->winner;
		m->action = stage->action;
	}
	if (stage->delay_ms > m->delay_ms)
		m->delay_ms = stage->delay_ms;
	if (m->outbound < 0 && stage->outbound >= 0)
		m->outbound = first + stage->outbound;
	if (stage->rewrite >= 0)
		m->rewrite = first + stage->rewrite;
	m->settled = stage->settled;
}

/* ------------------------------------------------------------- weir's words */

struct words {
	unsigned code;
	struct span enhanced, line;
};

static const struct words default_words[POLICY_ACTION_COUNT] = {
	[POLICY_REJECT] = { 550, SPAN("5.7.1"),
	    SPAN("Rejected by local policy") },
	[POLICY_TEMPFAIL] = { 451, SPAN("4.7.1"),
	    SPAN("Deferred by local policy, try again later") },
	[POLICY_DISCARD] = { 250, SPAN("2.0.0"), SPAN("Ok") },
	[POLICY_DISCONNECT] = { 421, SPAN("4.7.1"),
	    SPAN("Closing connection by local policy") },
};

void
policy_default_reply(enum policy_action action, enum policy_phase phase,
    struct policy_reply *reply_r)
{
	const struct words *words;

	if (action == POLICY_RELAY || policy_action_rank(action) == 0)
		return;
	words = &default_words[action];
	if (reply_r->code == 0)
		reply_r->code = action == POLICY_REJECT &&
		    phase == POLICY_PHASE_CONNECT ? 554 : words->code;
	if (reply_r->enhanced.len == 0)
		reply_r->enhanced = words->enhanced;
	if (reply_r->n_lines == 0)
		reply_r->lines[reply_r->n_lines++] = words->line;
}

const struct policy_decision *
policy_fallback(enum policy_action action)
{
	static const struct policy_decision decisions[POLICY_ACTION_COUNT] = {
		[POLICY_RELAY] = { .action = POLICY_RELAY },
		[POLICY_TEMPFAIL] = { .action = POLICY_TEMPFAIL },
		[POLICY_REJECT] = { .action = POLICY_REJECT },
		[POLICY_DISCONNECT] = { .action = POLICY_DISCONNECT },
	};

	return &decisions[action];
}
