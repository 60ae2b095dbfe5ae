/*
 * The order of the families here is the order of `weirctl --help`: looking
 * first, then changing.
 */
#include "weirctl/command.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/compiler.h"

static const struct command *const family_table[] = {
	command_status_table, command_sessions_table, command_show_table,
	command_tail_table, command_top_table, command_mx_table,
	command_policies_table, command_sources_table, command_config_table,
	command_control_table, command_db_table,
};

const struct command *
command_at(size_t i)
{
	const struct command *c;
	size_t f;

	for (f = 0; f < ARRAY_LEN(family_table); f++)
		for (c = family_table[f]; c->name != NULL; c++)
			if (i-- == 0)
				return c;
	return NULL;
}

const struct command *
command_find(const char *name)
{
	const struct command *c;
	size_t i;

	for (i = 0; (c = command_at(i)) != NULL; i++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

const char *
command_value(const struct command_call *call, const char *name)
{
	const struct command_option *o = call->command->options;
	size_t i;

	for (i = 0; o != NULL && o[i].name != NULL; i++)
		if (strcmp(o[i].name, name) == 0)
			return call->values[i];
	assert(false && "the command has this option");
	return NULL;
}
