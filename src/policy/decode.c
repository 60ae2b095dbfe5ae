/*
 * FromPolicy frames as answers. What a policy server sends is not trusted:
 *
 *  - All memory, protobuf-c's and ours, comes from one arena with a budget
 *    that follows from the frame's size: protobuf-c itself has none, and two
 *    bytes on the wire can cost it fifty. One free() of the arena frees all.
 *  - protobuf-c 1.4 loses the length of a string. It asks for the string's
 *    length and one byte more, and the arena remembers the size of every
 *    block, so the length is known again, and a NUL inside is seen.
 *  - What makes no sense inside a decision makes that decision unreadable
 *    (action NONE, and why), never half of it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/arena.h"
#include "policy/codec.h"
#include "proto/policy.pb-c.h"

#define PB(name) Weir__Policy__V1__##name
#define ANSWER(name) WEIR__POLICY__V1__FROM_POLICY__ANSWER_##name

/* Bytes of memory per byte of a frame, and for every frame: the dearest
 * messages that make sense (very many tiny splices) take about 24. */
#define BUDGET_FACTOR 32
#define BUDGET_BASE 4096

/* ------------------------------------------------------------ their pieces */

/* A string with its true length, which may include NUL. Only for what
 * protobuf-c allocated from the arena, or its default. */
static struct span
string(const char *s)
{
	if (s == NULL || s == protobuf_c_empty_string)
		return (struct span){ 0 };
	return span_of(s, arena_size(s) - 1);
}

static struct span
octets(ProtobufCBinaryData b)
{
	return span_of(b.data, b.len);
}

static bool
has_nul(struct span s)
{
	return span_find(s, 0) < s.len;
}

/* A string as a C string; "" if it holds a NUL. */
static const char *
c_string(const char *s)
{
	return s == NULL || has_nul(string(s)) ? "" : s;
}

/* Phases that this weir knows; the names of others go to refused_r. Returns 0,
 * or -1 at the end of the budget. */
static int
subscriptions(struct arena *a, PB(Subscription) *const *in, size_t n,
    const struct policy_subscription **list_r, size_t *n_r,
    const char *const **refused_r, size_t *n_refused_r)
{
	struct policy_subscription *list = arena_get(a, n, sizeof(*list));
	const char **refused = arena_get(a, n, sizeof(*refused));
	size_t known = 0, unknown = 0;

	if (n > 0 && (list == NULL || refused == NULL))
		return -1;
	for (size_t i = 0; i < n; i++) {
		int phase = (int)in[i]->phase;
		char *name;

		if (phase > 0 && phase < POLICY_PHASE_COUNT) {
			list[known++] = (struct policy_subscription){
				.phase = (enum policy_phase)phase,
				.decide = in[i]->decide,
				.body_prefix = in[i]->body_prefix,
			};
			continue;
		}
		name = arena_get(a, 16, 1);
		if (name == NULL)
			return -1;
		snprintf(name, 16, "%d", phase);
		refused[unknown++] = name;
	}
	*list_r = list;
	*n_r = known;
	*refused_r = refused;
	*n_refused_r = unknown;
	return 0;
}

/* ---------------------------------------------------------------- decision */

/* The reader of one decision: the first thing that makes no sense stays. */
struct reader {
	struct arena *arena;
	struct policy_decision *d;
	bool no_memory;
};

static void
unreadable(struct reader *r, const char *why)
{
	if (r->d->unreadable == NULL)
		r->d->unreadable = why;
}

static struct span
clean_string(struct reader *r, const char *s)
{
	struct span text = string(s);

	if (has_nul(text))
		unreadable(r, "a string holds a NUL byte");
	return text;
}

static void *
get(struct reader *r, size_t n, size_t size)
{
	void *mem = arena_get(r->arena, n, size);

	if (n > 0 && mem == NULL)
		r->no_memory = true;
	return mem;
}

static void
read_reply(struct reader *r, const PB(SmtpReply) *in)
{
	struct policy_reply *reply = &r->d->reply;

	if (in == NULL)
		return;
	if (in->n_lines > POLICY_REPLY_LINES_MAX) {
		unreadable(r, "the reply has more than 32 lines");
		return;
	}
	reply->code = in->code;
	reply->enhanced = clean_string(r, in->enhanced);
	reply->n_lines = in->n_lines;
	for (size_t i = 0; i < in->n_lines; i++)
		reply->lines[i] = octets(in->lines[i]);
}

static void
read_edits(struct reader *r, const PB(Decision) *in)
{
	struct policy_header_edit *edits;

	if (in->n_headers > POLICY_EDITS_MAX) {
		unreadable(r, "more than 512 header edits");
		return;
	}
	edits = get(r, in->n_headers, sizeof(*edits));
	for (size_t i = 0; edits != NULL && i < in->n_headers; i++) {
		const PB(HeaderEdit) *edit = in->headers[i];
		int op = (int)edit->op;

		if (op <= POLICY_EDIT_NONE || op > POLICY_EDIT_DELETE)
			unreadable(r, "a header edit's op is unknown");
		edits[i].op = (enum policy_edit_op)op;
		edits[i].name = octets(edit->name);
		edits[i].value = octets(edit->value);
		edits[i].index = edit->index;
	}
	r->d->edits = edits;
	r->d->n_edits = edits == NULL ? 0 : in->n_headers;
}

static void
read_splices(struct reader *r, const PB(Decision) *in)
{
	struct policy_splice *splices = get(r, in->n_body, sizeof(*splices));

	for (size_t i = 0; splices != NULL && i < in->n_body; i++) {
		splices[i].offset = in->body[i]->offset;
		splices[i].remove = in->body[i]->remove;
		splices[i].insert = octets(in->body[i]->insert);
	}
	r->d->splices = splices;
	r->d->n_splices = splices == NULL ? 0 : in->n_body;
}

/* Never a name: what was looked up for one address must not be sent to
 * another. Port 0, as if there were none, is SMTP's. */
static void
read_next_hop(struct reader *r, const PB(Endpoint) *in)
{
	struct addr *hop = &r->d->outbound.next_hop;

	if (in == NULL)
		return;
	if (addr_parse(span_str(in->address), hop) != 0 || addr_is_any(hop)) {
		unreadable(r, "the next hop is no IP address");
		*hop = (struct addr){ .family = ADDR_NONE };
	} else if (in->port > UINT16_MAX)
		unreadable(r, "the next hop's port is none");
	else
		hop->port = in->port == 0 ? 25 : (uint16_t)in->port;
}

/* Whether they are any good is policy_decision_check()'s to say. */
static void
read_demand(struct reader *r, const PB(Outbound) *in, struct tls_demand *out)
{
	const char **names = get(r, in->n_tls_names, sizeof(*names));
	struct tls_tlsa *tlsa = get(r, in->n_tlsa, sizeof(*tlsa));

	for (size_t i = 0; names != NULL && i < in->n_tls_names; i++)
		(void)clean_string(r, names[i] = in->tls_names[i]);
	for (size_t i = 0; tlsa != NULL && i < in->n_tlsa; i++) {
		const PB(Tlsa) *t = in->tlsa[i];

		if ((t->usage | t->selector | t->matching) > UINT8_MAX)
			unreadable(r, "a number of a TLSA record is over 255");
		tlsa[i] = (struct tls_tlsa){ (uint8_t)t->usage, (uint8_t)
		    t->selector, (uint8_t)t->matching, octets(t->data) };
	}
	*out = (struct tls_demand){ in->tls == (int)POLICY_TLS_DANE,
	    names, names == NULL ? 0 : in->n_tls_names,
	    tlsa, tlsa == NULL ? 0 : in->n_tlsa };
}

static void
read_outbound(struct reader *r, const PB(Outbound) *in)
{
	struct policy_outbound *out = &r->d->outbound;
	int tls;

	if (in == NULL)
		return;
	tls = (int)in->tls;
	if (tls < POLICY_TLS_UNSPECIFIED || tls > POLICY_TLS_DANE)
		unreadable(r, "the TLS level is unknown");
	out->set = true;
	out->source_address = clean_string(r, in->source_address);
	out->source_pool = clean_string(r, in->source_pool);
	out->ehlo_name = clean_string(r, in->ehlo_name);
	out->tls = (enum policy_tls_level)tls;
	read_demand(r, in, &out->demand);
	read_next_hop(r, in->next_hop);
}

static void
read_annotations(struct reader *r, const PB(Decision) *in)
{
	struct policy_annotation *list = get(r, in->n_annotations,
	    sizeof(*list));

	for (size_t i = 0; list != NULL && i < in->n_annotations; i++) {
		list[i].key = clean_string(r, in->annotations[i]->key);
		list[i].value = clean_string(r, in->annotations[i]->value);
	}
	r->d->annotations = list;
	r->d->n_annotations = list == NULL ? 0 : in->n_annotations;
}

static int
read_decision(struct arena *a, const PB(Decision) *in,
    struct policy_decision *d)
{
	struct reader r = { .arena = a, .d = d };
	int action = (int)in->action, scope = (int)in->scope;

	if (action <= POLICY_ACTION_NONE || action >= POLICY_ACTION_COUNT)
		unreadable(&r, "the action is missing or unknown");
	if (scope < 0 || scope >= POLICY_SCOPE_COUNT)
		unreadable(&r, "the scope is unknown");
	if (!isfinite(in->score))
		unreadable(&r, "the score is no finite number");
	d->action = (enum policy_action)action;
	d->scope = (enum policy_scope)scope;
	read_reply(&r, in->reply);
	read_edits(&r, in);
	read_splices(&r, in);
	read_outbound(&r, in->outbound);
	d->rewrite = octets(in->rewrite);
	d->rewrite_set = in->rewrite_set || in->rewrite.len > 0;
	d->delay_ms = in->delay_ms;
	d->rule = clean_string(&r, in->rule);
	d->reason = clean_string(&r, in->reason);
	d->score = in->score;
	read_annotations(&r, in);
	if (d->unreadable != NULL)
		*d = (struct policy_decision){ .unreadable = d->unreadable };
	return r.no_memory ? -1 : 0;
}

/* ----------------------------------------------------------------- answers */

static int
read_welcome(struct arena *a, const PB(Welcome) *in, struct policy_answer *out)
{
	out->type = POLICY_ANSWER_WELCOME;
	out->u.welcome.major = in->major == 0 ? 1 : in->major;
	out->u.welcome.software = c_string(in->software);
	out->u.welcome.version = c_string(in->version);
	out->u.welcome.max_frame = in->max_frame;
	out->u.welcome.body_credit = in->body_credit;
	return subscriptions(a, in->subscriptions, in->n_subscriptions,
	    &out->u.welcome.subscriptions, &out->u.welcome.n_subscriptions,
	    &out->u.welcome.refused, &out->u.welcome.n_refused);
}

static int
read_update(struct arena *a, const PB(Update) *in, struct policy_answer *out)
{
	out->type = POLICY_ANSWER_UPDATE;
	out->u.update.version = c_string(in->version);
	return subscriptions(a, in->subscriptions, in->n_subscriptions,
	    &out->u.update.subscriptions, &out->u.update.n_subscriptions,
	    &out->u.update.refused, &out->u.update.n_refused);
}

/* Annotations with a NUL in them are left out. */
static int
read_annotate(struct arena *a, const PB(Annotate) *in,
    struct policy_answer *out)
{
	struct policy_annotation *list = arena_get(a, in->n_annotations,
	    sizeof(*list));
	size_t n = 0;

	if (list == NULL && in->n_annotations > 0)
		return -1;
	for (size_t i = 0; i < in->n_annotations; i++) {
		struct span key = string(in->annotations[i]->key);
		struct span value = string(in->annotations[i]->value);

		if (!has_nul(key) && !has_nul(value))
			list[n++] = (struct policy_annotation){ key, value };
	}
	out->type = POLICY_ANSWER_ANNOTATE;
	out->u.annotate.annotations = list;
	out->u.annotate.n_annotations = n;
	return 0;
}

static int
read_answer(struct arena *a, const PB(FromPolicy) *in,
    struct policy_answer *out)
{
	switch (in->answer_case) {
	case ANSWER(WELCOME):
		return read_welcome(a, in->welcome, out);
	case ANSWER(UPDATE):
		return read_update(a, in->update, out);
	case ANSWER(DECISION):
		out->type = POLICY_ANSWER_DECISION;
		return read_decision(a, in->decision, &out->u.decision);
	case ANSWER(ANNOTATE):
		return read_annotate(a, in->annotate, out);
	case ANSWER(PONG):
		out->type = POLICY_ANSWER_PONG;
		out->u.pong_token = in->pong->token;
		return 0;
	case ANSWER(WORKING):
		out->type = POLICY_ANSWER_WORKING;
		out->u.working_extra_ms = in->working->extra_ms;
		return 0;
	case ANSWER(CREDIT):
		out->type = POLICY_ANSWER_CREDIT;
		out->u.credit.max_offset = in->credit->max_offset;
		out->u.credit.message = in->credit->message;
		return 0;
	default:
		out->type = POLICY_ANSWER_UNKNOWN;
		return 0;
	}
}

/* ------------------------------------------------------------------- plain */

static bool
take_byte(struct span *in, uint8_t byte)
{
	if (in->len == 0 || in->data[0] != byte)
		return false;
	*in = span_skip(*in, 1);
	return true;
}

/* The number behind that tag; 0 if there is none. False: too large. */
static bool
take_number(struct span *in, uint8_t tag, uint64_t max, uint64_t *value_r)
{
	unsigned shift;
	uint8_t byte;

	*value_r = 0;
	if (!take_byte(in, tag))
		return true;
	for (shift = 0; shift < 63 && in->len > 0; shift += 7) {
		byte = in->data[0];
		*in = span_skip(*in, 1);
		*value_r |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return *value_r <= max;
	}
	return false;
}

#define TAG_DECISION1 0xa2	/* field 20, with a length, takes two bytes */
#define TAG_DECISION2 0x01

/*
 * Nearly every answer is a Decision of an action and perhaps a scope, and is
 * read here without protobuf-c and memory: a tenth of the time. Anything else,
 * and all that looks wrong, is not for here.
 */
static bool
decode_plain(struct span in, struct policy_answer *a)
{
	uint64_t session, seq, action, scope;

	if (!take_number(&in, 0x08, UINT64_MAX, &session) ||
	    !take_number(&in, 0x10, UINT32_MAX, &seq) ||
	    !take_byte(&in, TAG_DECISION1) || !take_byte(&in, TAG_DECISION2) ||
	    in.len == 0 || in.len > 0x7f || in.data[0] != in.len - 1)
		return false;
	in = span_skip(in, 1);
	if (!take_number(&in, 0x08, POLICY_ACTION_COUNT - 1, &action) ||
	    !take_number(&in, 0x10, POLICY_SCOPE_COUNT - 1, &scope) ||
	    in.len > 0 || action == POLICY_ACTION_NONE)
		return false;
	a->type = POLICY_ANSWER_DECISION;
	a->session = session;
	a->seq = (uint32_t)seq;
	a->u.decision.action = (enum policy_action)action;
	a->u.decision.scope = (enum policy_scope)scope;
	return true;
}

int
policy_decode(struct span frame, struct policy_answer *answer_r)
{
	struct arena arena = {
		.budget = frame.len * BUDGET_FACTOR + BUDGET_BASE,
	};
	ProtobufCAllocator allocator = { arena_alloc, arena_free_one, &arena };
	PB(FromPolicy) *message;

	*answer_r = (struct policy_answer){ .type = POLICY_ANSWER_UNKNOWN };
	if (decode_plain(frame, answer_r))
		return 0;
	message = weir__policy__v1__from_policy__unpack(&allocator, frame.len,
	    frame.data);
	if (message == NULL || read_answer(&arena, message, answer_r) != 0) {
		arena_free_all(arena.chunks);
		*answer_r = (struct policy_answer){ 0 };
		return -1;
	}
	answer_r->session = message->session;
	answer_r->seq = message->seq;
	answer_r->memory = arena.chunks;
	return 0;
}

const char *
policy_answer_name(enum policy_answer_type type)
{
	static const char *const names[] = {
		[POLICY_ANSWER_UNKNOWN] = "an answer of an unknown kind",
		[POLICY_ANSWER_WELCOME] = "a Welcome",
		[POLICY_ANSWER_PONG] = "a Pong",
		[POLICY_ANSWER_UPDATE] = "an Update",
		[POLICY_ANSWER_DECISION] = "a Decision",
		[POLICY_ANSWER_WORKING] = "a Working",
		[POLICY_ANSWER_CREDIT] = "a Credit",
		[POLICY_ANSWER_ANNOTATE] = "an Annotate",
	};

	return names[type];
}

void
policy_answer_free(struct policy_answer *a)
{
	if (a == NULL)
		return;
	arena_free_all(a->memory);
	*a = (struct policy_answer){ 0 };
}

struct policy_decision *
policy_answer_take_decision(struct policy_answer *a)
{
	struct policy_decision *d = malloc(sizeof(*d));

	if (d == NULL)
		return NULL;
	*d = a->u.decision;
	d->taken = true;
	d->memory = a->memory;
	a->memory = NULL;
	a->type = POLICY_ANSWER_UNKNOWN;
	return d;
}

void
policy_decision_free(struct policy_decision *d)
{
	if (d == NULL || !d->taken)
		return;
	arena_free_all(d->memory);
	free(d);
}
