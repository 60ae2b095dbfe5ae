/*
 * What an operator would want to be told now.
 */
#ifndef WEIR_SERVICE_STATUS_ALARMS_H
#define WEIR_SERVICE_STATUS_ALARMS_H

#include "service/status.h"

#define STATUS_ALARMS_SHOWN 100

/**
 * status_alarms_json(source, config, out) - what is wrong, as an array.
 *
 * Each: {"about": "weir", "policy", "source", "mx" or "record",
 * "name", "text"}; at
 * most STATUS_ALARMS_SHOWN of them. out may be NULL. Returns how many there
 * are.
 */
unsigned status_alarms_json(const struct status_source *source,
	const struct config *config, struct buf *out);

#endif
