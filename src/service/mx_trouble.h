/*
 * Which MXs treat mail badly now, in short.
 */
#ifndef WEIR_SERVICE_MX_TROUBLE_H
#define WEIR_SERVICE_MX_TROUBLE_H

#include "base/addr.h"
#include "mx/group.h"
#include "mx/state.h"
#include "service/mx_health.h"

struct mx_trouble {
	char group[MX_GROUP_MAX];
	struct addr source;
	enum mx_state state;
};

/* The pairs of source address and group that are throttled or blocked: up to
 * max of them in list. Returns how many there are. h may be NULL. */
size_t mx_trouble_list(struct mx_health *h, uint64_t now_us,
	struct mx_trouble *list, size_t max);

#endif
