/*
 * weirctl: weir, asked and told from a terminal. A program of its own that
 * knows weir by its HTTP API; only `db` opens what weir owns, with weir's code.
 *
 *	command line --> options --> a row of command --> client --> weir
 *	                                     |
 *	             terminal <-- table, text (made safe)
 */
#include <locale.h>

#include "config.h"

#include "weirctl/options.h"

static enum command_exit
run(struct ctl *ctl, int argc, char *argv[])
{
	struct command_call call;
	enum command_exit code;

	terminal_init(&ctl->terminal, stdout, true);
	code = options_parse(ctl, argc, argv, &call);
	if (code != COMMAND_OK)
		return code;
	if (ctl_has(ctl, CTL_OPTION_NO_COLOR))
		ctl->terminal.colour = false;
	if (ctl_has(ctl, CTL_OPTION_VERSION)) {
		puts("weirctl " PACKAGE_VERSION);
		return COMMAND_OK;
	}
	if (ctl_has(ctl, CTL_OPTION_HELP)) {
		options_help(ctl, call.command);
		return COMMAND_OK;
	}
	if (call.command == NULL)
		return ctl_error(COMMAND_USAGE, "which command? weirctl "
		    "status is a good one; weirctl --help lists them all");
	return call.command->run(ctl, &call);
}

int
main(int argc, char *argv[])
{
	struct ctl ctl = { .values = { NULL } };
	enum command_exit code;

	(void)setlocale(LC_CTYPE, "");
	code = run(&ctl, argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout))
		return (int)ctl_error(COMMAND_FAILED, "what was asked for cannot "
		    "be written to standard output");
	return (int)code;
}
