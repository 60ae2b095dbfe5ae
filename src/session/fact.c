/*
 * The texts of directions, as the record has always shown them: the arrow
 * points the way the line went, the bar is weir, and a line without a bar
 * passed through it.
 */
#include "session/fact.h"

#include <assert.h>

static const char *const direction_texts[] = {
	[FACT_CLIENT_TO_MX] = "->",
	[FACT_MX_TO_CLIENT] = "<-",
	[FACT_CLIENT_TO_WEIR] = ">|",
	[FACT_WEIR_TO_MX] = "|>",
	[FACT_MX_TO_WEIR] = "|<",
	[FACT_WEIR_TO_CLIENT] = "<|",
	[FACT_EVENT] = "--",
};
static_assert(ARRAY_LEN(direction_texts) == FACT_DIRECTION_COUNT,
    "give every direction its text");

const char *
fact_direction_text(enum fact_direction d)
{
	assert(d < FACT_DIRECTION_COUNT);
	return direction_texts[d];
}
