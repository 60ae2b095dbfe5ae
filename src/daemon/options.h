/*
 * weir's command line.
 */
#ifndef WEIR_DAEMON_OPTIONS_H
#define WEIR_DAEMON_OPTIONS_H

#include "base/buf.h"

enum options_action {
	OPTIONS_RUN,		/* serve */
	OPTIONS_CHECK,		/* -t: say what is wrong with the file */
	OPTIONS_KEYS,		/* -T: config_describe() */
	OPTIONS_VERSION,	/* -V: options_version() */
	OPTIONS_HELP,		/* -h: options_usage() */
};

/* Exit codes of weir, as the manual says. */
enum options_exit {
	OPTIONS_EXIT_OK = 0,
	OPTIONS_EXIT_FAILURE = 1,	/* configuration, socket, user, ... */
	OPTIONS_EXIT_USAGE = 64,	/* the command line */
};

struct options {
	enum options_action action;
	const char *file;	/* points into argv, or is the default */
};

/**
 * options_parse(argc, argv, options_r, error) - read the command line.
 *
 * Of several actions the last one counts. error gets one line that names what
 * is wrong, without "weir: " and line end.
 *
 * Returns 0 or -1. Not for threads: getopt_long() has globals.
 */
int options_parse(int argc, char *argv[], struct options *options_r,
	struct buf *error) MUSTUSE;

/* The text of -h, and "weir 0.1.0"; both with their line ends. */
const char *options_usage(void);
const char *options_version(void);

#endif
