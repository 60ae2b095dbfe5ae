/*
 * The files of the status page, built in by page/embed.
 */
#ifndef WEIR_SERVICE_STATUS_PAGE_H
#define WEIR_SERVICE_STATUS_PAGE_H

#include <stddef.h>

struct status_page_file {
	const char *path;	/* "/page.css"; NULL ends the table */
	const char *type;	/* Content-Type */
	const unsigned char *data;
	size_t len;
};

extern const struct status_page_file status_page_files[];

#endif
