/*
 * Two policies' splices on a body: the stream makes of it what a naive model
 * makes, wherever it is split, and no CR or LF is bare that was not so before.
 */
#include "fuzz.h"
#include "splice_model.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	splice_model_check(span_of(data, size));
	return 0;
}
