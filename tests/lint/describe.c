/*
 * For the documentation lint: prints the table of keys, as `weir -T` does; or,
 * with a file, what is wrong with it as a configuration.
 */
#include <stdio.h>

#include "config/config.h"

int
main(int argc, char *argv[])
{
	struct config *c = NULL;
	struct buf out;

	buf_init(&out, 0);
	if (argc > 1)
		c = config_load(argv[1], &out);
	else
		config_describe(&out);
	fwrite(buf_span(&out).data, 1, buf_len(&out), stdout);
	buf_release(&out);
	config_unref(c);
	return argc > 1 && c == NULL;
}
