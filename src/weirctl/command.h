/*
 * What weirctl can do: one row per command. Help texts, parsing and the tests
 * of manual and completions all come from the rows.
 */
#ifndef WEIR_WEIRCTL_COMMAND_H
#define WEIR_WEIRCTL_COMMAND_H

#include <stddef.h>

struct ctl;
struct command_call;

#define COMMAND_OPTIONS_MAX 16

/* Exit codes, as weirctl(8) says. */
enum command_exit {
	COMMAND_OK = 0,
	COMMAND_FAILED = 1,	/* weir refused it, or it could not be done */
	COMMAND_USAGE = 2,	/* the command line */
	COMMAND_UNREACHABLE = 3,	/* no weir there, or it does not answer */
	COMMAND_NOT_FOUND = 4,	/* weir has no such session, group, ... */
};

struct command_option {
	const char *name;	/* without "--"; NULL ends a table */
	int letter;		/* 0: none */
	const char *argument;	/* what help calls its value; NULL: a flag */
	const char *help;
};

struct command {
	const char *name;
	const char *arguments;	/* as help shows them; "": none. Words between
				   '|' are the choices for the first one */
	int least, most;	/* how many arguments */
	const char *summary;	/* one line, no full stop */
	const struct command_option *options;	/* NULL: none */
	enum command_exit (*run)(struct ctl *ctl,
		const struct command_call *call);
};

/* A command as it was given. */
struct command_call {
	const struct command *command;
	const char *values[COMMAND_OPTIONS_MAX];	/* NULL: not given */
	char **arguments;
	int n_arguments;
};

/* Each family's rows; a name of NULL ends a table. */
extern const struct command command_status_table[];
extern const struct command command_sessions_table[];
extern const struct command command_show_table[];
extern const struct command command_tail_table[];
extern const struct command command_top_table[];
extern const struct command command_mx_table[];
extern const struct command command_policies_table[];
extern const struct command command_sources_table[];
extern const struct command command_config_table[];
extern const struct command command_control_table[];
extern const struct command command_db_table[];

/* The i-th of all commands in the order of the help text; NULL: no more. */
const struct command *command_at(size_t i);
const struct command *command_find(const char *name);	/* NULL: none */

/* The value of an option that the command's table has, "" for a flag; NULL:
 * not given. */
const char *command_value(const struct command_call *call, const char *name);

#endif
