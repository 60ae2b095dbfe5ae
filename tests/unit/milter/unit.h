/*
 * What every unit test of smtp/ includes.
 */
#ifndef WEIR_TESTS_UNIT_MILTER_UNIT_H
#define WEIR_TESTS_UNIT_MILTER_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/escape.h"

static inline void
assert_span(struct span got, struct span want)
{
	if (!span_eq(got, want)) {
		struct buf text;

		buf_init(&text, 0);
		buf_append_str(&text, "got  ");
		escape_record(&text, got);
		buf_append_str(&text, "\nwant ");
		escape_record(&text, want);
		buf_append_str(&text, "\n");
		buf_append_byte(&text, '\0');
		print_error("%s", (const char *)buf_span(&text).data);
		buf_release(&text);
		fail();
	}
}

#define assert_span_str(got, want) assert_span((got), span_str(want))

#endif
