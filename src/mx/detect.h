/*
 * The state machine of one pair, a source address and a group of MXs: what each
 * sample makes of it.
 *
 *	             +- replies ------ rates (rate.h), greylisting (contacts.h),
 *	             |                 sender domains (senders.h)
 *	sample ------+- latency ------ per phase (latency.h)
 *	             +- connections -- a rate
 *	                  |
 *	                  v
 *	     a state per measure; the worst is the pair's (state.h)
 *
 * A measure is in alarm when its evidence (score) reaches a threshold that
 * allows it about one false alarm in 20 days, whatever the traffic, and its
 * figure is of consequence (a rate, a time). It only gets worse until it is
 * over, and that takes evidence, too, or two hours without any.
 *
 *	normal -> suspect -> throttled -> blocked	by the worst measure
 *	throttled, blocked -> recovering		none is in alarm
 *	recovering -> normal				for an hour
 *
 * Pure, of fixed size, without allocation. About 8 KB.
 */
#ifndef WEIR_MX_DETECT_H
#define WEIR_MX_DETECT_H

#include "mx/contacts.h"
#include "mx/evidence.h"
#include "mx/latency.h"

#define MX_RECOVERY_US (UINT64_C(3600) * CLOCK_US_PER_S)
#define MX_QUIET_US (UINT64_C(7200) * CLOCK_US_PER_S)

struct mx_detect {
	enum mx_state state;
	uint64_t state_us, state_wall_us;	/* since when */
	uint64_t bad_us;		/* last throttled or blocked; 0: never */
	uint64_t began_us;		/* the first sample */
	uint64_t seen_us;		/* the last one */
	uint64_t wall_offset_us;	/* wall - monotonic, modulo 2^64 */
	float n;			/* samples of the last 7 days, about */
	uint64_t faded_us;
	uint64_t good_us;		/* the last that went well */
	unsigned good;			/* how many in a row went well */
	struct mx_rate rates[MX_MEASURE_RATES];
	struct mx_latency latency;
	struct mx_contacts contacts;
	struct mx_senders senders;
	uint8_t levels[MX_MEASURE_COUNT];	/* enum mx_state of each */
	uint8_t slow[MX_LATENCY_PHASES];	/* of each phase */
	uint64_t slow_us;		/* when a phase was last slow */
	struct mx_evidence evidence;	/* of the present state */
	enum mx_attribution attribution;	/* as of attributed_us */
	uint64_t attributed_us;
};

void mx_detect_init(struct mx_detect *d, uint64_t now_us);

/* Learns. true: the state is another, t_r says why (but for group, source and
 * attribution between addresses, which are the caller's: mx/attribute.h). */
bool mx_detect_learn(struct mx_detect *d, const struct mx_sample *s,
	struct mx_transition *t_r);

/* The same for time that passes without a sample. */
bool mx_detect_pass(struct mx_detect *d, uint64_t now_us,
	struct mx_transition *t_r);

/* What to show of all measures: for /api/v1/mx. */
struct mx_finding {
	enum mx_measure measure;
	enum mx_phase phase;		/* of slowness */
	enum mx_state state;
	float score, threshold;
	float hits, of, rate, usual, limit;	/* a rate */
	float recent_ms, usual_ms, limit_ms;	/* a time */
};

#define MX_FINDINGS (MX_MEASURE_RATES + MX_LATENCY_PHASES)

struct mx_report {
	uint64_t since_wall_us;		/* of the state */
	enum mx_attribution attribution;
	struct mx_evidence evidence;
	struct mx_finding findings[MX_FINDINGS];
	size_t n_findings;
};

void mx_detect_report(const struct mx_detect *d, struct mx_report *r);

/* Appends members, each with a comma before it: ,"state_since":..,
 * "attribution":..,"sender_domain":..,"evidence":{..} or null,
 * "detectors":{"replies":[..],"latency":[..],"connections":[..]} */
void mx_report_json(struct buf *out, const struct mx_report *r);

#endif
