/*
 * What every command works with: the options before it, the terminal, and
 * words for errors.
 */
#ifndef WEIR_WEIRCTL_CTL_H
#define WEIR_WEIRCTL_CTL_H

#include "weirctl/command.h"
#include "weirctl/terminal.h"

#define CTL_SOCKET "/run/weir/control.sock"	/* status.control's default */

enum ctl_option {
	CTL_OPTION_SOCKET, CTL_OPTION_CONFIG, CTL_OPTION_URL,
	CTL_OPTION_TOKEN_FILE, CTL_OPTION_JSON, CTL_OPTION_NO_COLOR,
	CTL_OPTION_UTC, CTL_OPTION_HELP, CTL_OPTION_VERSION,
	CTL_OPTION_COUNT
};

struct ctl {
	const char *values[CTL_OPTION_COUNT];	/* NULL: not given */
	struct terminal terminal;
};

/* By enum ctl_option; a name of NULL ends it. */
extern const struct command_option ctl_option_table[];

static inline bool
ctl_has(const struct ctl *ctl, enum ctl_option option)
{
	return ctl->values[option] != NULL;
}

/* Says "weirctl: ..." on standard error, with what a terminal would obey made
 * visible. Returns code. */
enum command_exit ctl_error(enum command_exit code, const char *fmt, ...)
	PRINTF_LIKE(2, 3);

/* The lines of text, each made safe, on standard error; the first after
 * prefix. */
void ctl_error_lines(const char *prefix, struct span text);

#endif
