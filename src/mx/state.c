/*
 * The words that policies, the record and the status page know.
 */
#include "mx/state.h"

#include <assert.h>

#include "base/compiler.h"

static const struct {
	const char *name;
	int urgency;
} state_table[] = {
	[MX_NORMAL] = { "normal", 0 }, [MX_SUSPECT] = { "suspect", 2 },
	[MX_THROTTLED] = { "throttled", 3 }, [MX_BLOCKED] = { "blocked", 4 },
	[MX_RECOVERING] = { "recovering", 1 },
};
static_assert(ARRAY_LEN(state_table) == MX_STATE_COUNT, "name every state");

const char *
mx_state_name(enum mx_state s)
{
	return state_table[s].name;
}

int
mx_state_urgency(enum mx_state s)
{
	return state_table[s].urgency;
}
