/*
 * What the status server counts of itself.
 */
#ifndef WEIR_SERVICE_STATUS_FIGURES_H
#define WEIR_SERVICE_STATUS_FIGURES_H

#include <stdatomic.h>

#include "base/buf.h"

#define STATUS_FIGURES_CODES 14

struct status_figures {
	_Atomic uint64_t codes[STATUS_FIGURES_CODES];	/* as the .c's table */
	_Atomic uint64_t cut;			/* streams of slow readers */
	atomic_uint streams;			/* open now */
};

void status_figures_answered(struct status_figures *f, unsigned code);
void status_figures_prometheus(struct buf *out, struct status_figures *f);

#endif
