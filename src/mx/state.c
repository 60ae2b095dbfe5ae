/*
 * Thresholds that an operator can check in the head. They know no baseline: a
 * receiver that defers a fifth of everybody's mail makes everybody suspect.
 */
#include "mx/state.h"

#include <assert.h>

#include "base/compiler.h"

#define ENOUGH 3.0
#define FEW 0.2
#define MANY 0.5

const char *
mx_state_name(enum mx_state s)
{
	static const char *const names[] = {
		[MX_NORMAL] = "normal", [MX_SUSPECT] = "suspect",
		[MX_THROTTLED] = "throttled", [MX_BLOCKED] = "blocked",
		[MX_RECOVERING] = "recovering",
	};
	static_assert(ARRAY_LEN(names) == MX_STATE_COUNT, "name every state");

	return names[s];
}

double
mx_figures_total(const struct mx_figures *f)
{
	return f->delivered + f->deferred + f->rejected;
}

enum mx_state
mx_state_of(const struct mx_figures *f, bool was_bad)
{
	double n = mx_figures_total(f);

	if (n >= ENOUGH) {
		if (f->blocked >= MANY * n)
			return MX_BLOCKED;
		if (f->throttled >= FEW * n || f->deferred >= MANY * n)
			return MX_THROTTLED;
		if (f->deferred + f->rejected >= FEW * n)
			return MX_SUSPECT;
	}
	return was_bad ? MX_RECOVERING : MX_NORMAL;
}
