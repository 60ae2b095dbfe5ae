/*
 * weirctl's command line: options of weirctl's own anywhere, a command, its
 * options and arguments.
 */
#ifndef WEIR_WEIRCTL_OPTIONS_H
#define WEIR_WEIRCTL_OPTIONS_H

#include "weirctl/ctl.h"

/**
 * options_parse(ctl, argc, argv, call_r) - read the command line.
 *
 * call_r->command is NULL when none is named. With --help or --version in
 * ctl->values nothing is demanded of arguments. Errors are said.
 *
 * Returns COMMAND_OK or COMMAND_USAGE. Not for threads: getopt_long() has
 * globals.
 */
enum command_exit options_parse(struct ctl *ctl, int argc, char *argv[],
	struct command_call *call_r);

/* The help of a command, or with NULL that of weirctl. */
void options_help(const struct ctl *ctl, const struct command *command);

#endif
