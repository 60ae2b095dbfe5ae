/*
 * What every unit test of smtp/ includes.
 */
#ifndef WEIR_TESTS_UNIT_SMTP_UNIT_H
#define WEIR_TESTS_UNIT_SMTP_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/compiler.h"

static inline void
assert_span(struct span got, struct span want)
{
	if (!span_eq(got, want))
		print_error("got  \"%.*s\"\nwant \"%.*s\"\n", (int)got.len,
		    (const char *)got.data, (int)want.len,
		    (const char *)want.data);
	assert_true(span_eq(got, want));
}

#define assert_span_str(got, want) assert_span((got), span_str(want))

#endif
