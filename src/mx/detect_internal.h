/* What detect.c and detect_report.c share. */
#ifndef WEIR_MX_DETECT_INTERNAL_H
#define WEIR_MX_DETECT_INTERNAL_H

#include "mx/detect.h"

/* A rate that is measured: what is believed of it, and from which rate on it
 * is of consequence (0: never so bad). */
struct mx_detect_kind {
	struct mx_rate_prior prior;
	float suspect, throttled, blocked;
};

extern const struct mx_detect_kind mx_detect_kinds[MX_MEASURE_RATES];
extern const struct mx_rate_prior mx_detect_sender_prior;

#define MX_DETECT_STRANDED 12.0f	/* deferred strangers, and nobody else
					   accepted */

/* The score at which a measure raises an alarm. */
float mx_detect_threshold(const struct mx_detect *d, enum mx_measure m);

/* The measure in alarm that counts; false: none. culprit_r: the sender domain
 * whose trouble it is, or NULL. state_r: what it comes to. */
bool mx_detect_worst(const struct mx_detect *d, enum mx_measure *m_r,
	const struct mx_sender **culprit_r, enum mx_state *state_r);

/* The worst of the phases in alarm. */
unsigned mx_detect_slowest(const struct mx_detect *d);

/* Evidence for it. s: the sample at hand; NULL: none. */
void mx_detect_evidence(const struct mx_detect *d, enum mx_measure m,
	const struct mx_sender *culprit, const struct mx_sample *s,
	struct mx_evidence *e);

#endif
