/*
 * The names of what is measured, as they stand in the record, in metrics and
 * on the status page.
 */
#include "mx/sample.h"

#include <assert.h>

#include "base/compiler.h"

const char *
mx_phase_name(enum mx_phase p)
{
	static const char *const names[] = {
		[MX_PHASE_CONNECT] = "connect", [MX_PHASE_GREETING] =
		"greeting", [MX_PHASE_EHLO] = "ehlo", [MX_PHASE_TLS] = "tls",
		[MX_PHASE_MAIL] = "mail", [MX_PHASE_RCPT] = "rcpt",
		[MX_PHASE_DATA] = "data", [MX_PHASE_BODY] = "body",
		[MX_PHASE_FINAL] = "final", [MX_PHASE_QUIT] = "quit",
	};
	static_assert(ARRAY_LEN(names) == MX_PHASE_COUNT, "name every phase");

	return names[p];
}

const char *
mx_result_name(enum mx_result r)
{
	static const char *const names[] = {
		[MX_RESULT_DELIVERED] = "delivered",
		[MX_RESULT_DEFERRED] = "deferred",
		[MX_RESULT_REJECTED] = "rejected",
		[MX_RESULT_NONE] = "none",
		[MX_RESULT_REFUSED] = "refused",
		[MX_RESULT_TIMED_OUT] = "timed_out",
		[MX_RESULT_CLOSED] = "closed",
	};
	static_assert(ARRAY_LEN(names) == MX_RESULT_COUNT, "name every result");

	return names[r];
}
