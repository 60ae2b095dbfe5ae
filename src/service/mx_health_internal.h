/*
 * What mx_health.c and those who read it (mx_flush.c, mx_json.c,
 * mx_prometheus.c) share. Only they include it.
 */
#ifndef WEIR_SERVICE_MX_HEALTH_INTERNAL_H
#define WEIR_SERVICE_MX_HEALTH_INTERNAL_H

#include "service/mx_domains.h"
#include "service/mx_names.h"
#include "service/mx_table.h"

/* Groups that Prometheus is told of by name: MX_SLOTS_RANKED that matter most,
 * and some that did not long ago. */
#define MX_SLOTS 32
#define MX_SLOTS_RANKED 20

struct mx_health {
	struct mx_names *names;
	struct mx_domains *domains;
	struct mx_table table;
	mx_health_tell_fn *tell;	/* NULL: nobody wants to know */
	void *tell_ctx;

	pthread_mutex_t slots_lock;
	struct mx_slot {
		char group[MX_GROUP_MAX];	/* "": free */
		uint64_t ranked_us;		/* when it was last among them */
	} slots[MX_SLOTS];
};

#endif
