/*
 * Sessions in lists: the filters that name some, and the columns of each.
 */
#ifndef WEIR_WEIRCTL_SESSION_ROW_H
#define WEIR_WEIRCTL_SESSION_ROW_H

#include "weirctl/report.h"

/* A table of the sessions in an array of /api/v1/sessions. */
void session_row_table(const struct ctl *ctl, const json_t *sessions);

/* One line about a session that has just ended. */
void session_row_line(const struct ctl *ctl, struct buf *out,
	const json_t *session);

#endif
