/*
 * The command line.
 */
#ifndef WEIR_MILTER_OPTIONS_H
#define WEIR_MILTER_OPTIONS_H

#include "base/log.h"
#include "milter-bridge/session.h"

#define MILTER_FILTERS_MAX 32

enum milter_options_action {
	MILTER_OPTIONS_RUN, MILTER_OPTIONS_HELP, MILTER_OPTIONS_VERSION
};

struct milter_options {
	enum milter_options_action action;
	const char *listen;
	const char *hostname;		/* NULL: this machine's */
	enum log_level level;
	enum milter_refusal envelope, quarantine;
	struct milter_filter_setup filters[MILTER_FILTERS_MAX];
	size_t n_filters;
};

/* Returns 0, or -1 with what is wrong appended to error. */
int milter_options_parse(int argc, char *argv[],
	struct milter_options *options_r, struct buf *error) MUSTUSE;

const char *milter_options_usage(void);

#endif
