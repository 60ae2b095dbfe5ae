/*
 * The pools and their addresses for people and for Prometheus.
 */
#ifndef WEIR_SERVICE_SOURCE_REPORT_H
#define WEIR_SERVICE_SOURCE_REPORT_H

#include "service/source_health.h"

/* {"pools": [...], "default": [...]}; h may be NULL. */
void source_report_json(struct buf *out, struct source_health *h,
	const struct config *c);

/* weir_source_up and its like, by address and pool ("" for upstream.source);
 * nothing where no address is configured. */
void source_report_prometheus(struct buf *out, struct source_health *h,
	const struct config *c);

#endif
