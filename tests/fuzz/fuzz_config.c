/*
 * A configuration, whatever the bytes: it is loaded, or refused with words
 * that name the file; never both.
 */
#include "config/config.h"
#include "fuzz.h"
#include <stdlib.h>

#define FUZZ_CONFIG_MAX 16384	/* the parser looks again for each unknown key */

static void
must(bool kept)
{
	if (!kept)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct buf errors;
	struct config *c;

	if (size > FUZZ_CONFIG_MAX)
		return 0;
	buf_init(&errors, 0);
	c = config_load_text("fuzz.conf", text, &errors);
	must((c == NULL) == (buf_len(&errors) > 0));
	must(c != NULL ||
	    span_starts_nocase(buf_span(&errors), SPAN("fuzz.conf:")));
	must(c == NULL || c->n_listeners > 0);
	config_unref(c);
	buf_release(&errors);
	return 0;
}
