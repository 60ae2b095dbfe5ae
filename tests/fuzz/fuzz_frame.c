/*
 * What a policy server sends: the same frames wherever the reads split them,
 * and no frame that the decoder cannot cope with.
 */
#include "fuzz.h"
#include "policy/codec.h"
#include "split.h"

#define FRAME_MAX 4096

/* Touches every byte that an answer points to. */
static void
put_answer(struct split_run *run, const struct policy_answer *a)
{
	const struct policy_decision *d = &a->u.decision;

	split_put(run, 't', span_of(&a->type, sizeof(a->type)));
	switch (a->type) {
	case POLICY_ANSWER_WELCOME:
		split_put(run, 's', span_str(a->u.welcome.software));
		split_put(run, 'v', span_str(a->u.welcome.version));
		for (size_t i = 0; i < a->u.welcome.n_refused; i++)
			split_put(run, 'r', span_str(a->u.welcome.refused[i]));
		break;
	case POLICY_ANSWER_DECISION:
		CHECK((d->unreadable == NULL) ==
		    (d->action != POLICY_ACTION_NONE));
		CHECK(d->reply.n_lines <= POLICY_REPLY_LINES_MAX);
		CHECK(d->n_edits <= POLICY_EDITS_MAX);
		split_put(run, 'r', d->rule);
		split_put(run, 'R', d->reason);
		split_put(run, 'w', d->rewrite);
		for (size_t i = 0; i < d->reply.n_lines; i++)
			split_put(run, 'l', d->reply.lines[i]);
		for (size_t i = 0; i < d->n_edits; i++)
			split_put(run, 'e', d->edits[i].value);
		for (size_t i = 0; i < d->n_splices; i++)
			split_put(run, 'i', d->splices[i].insert);
		for (size_t i = 0; i < d->n_annotations; i++)
			split_put(run, 'a', d->annotations[i].value);
		break;
	case POLICY_ANSWER_ANNOTATE:
		for (size_t i = 0; i < a->u.annotate.n_annotations; i++)
			split_put(run, 'a', a->u.annotate.annotations[i].key);
		break;
	default:
		break;
	}
}

static size_t
step(struct split_run *run, void *state, struct span in)
{
	struct policy_answer a;
	struct span frame;
	size_t need;

	(void)state;
	switch (policy_frame_next(in, FRAME_MAX, &frame, &need)) {
	case POLICY_FRAME_MORE:
		CHECK(need > in.len && need <= FRAME_MAX + 4);
		return 0;
	case POLICY_FRAME_TOO_LARGE:
		CHECK(in.len >= 4);
		split_mark(run, '!');
		run->stopped = true;
		return 0;
	case POLICY_FRAME_OK:
		break;
	}
	CHECK(need == frame.len + 4 && need <= in.len);
	buf_append(&run->wire, span_take(in, need));
	split_put(run, 'f', frame);
	if (policy_decode(frame, &a) == 0)
		put_answer(run, &a);
	else
		split_mark(run, '?');
	policy_answer_free(&a);
	return need;
}

static void
init(void *state)
{
	(void)state;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct split_run run = split_check(step, init, NULL,
	    span_of(data, size), 7);

	CHECK(policy_frame_guess(span_of(data, size)) != NULL);
	split_release(&run);
	return 0;
}
