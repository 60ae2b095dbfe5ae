/*
 * Why a source address and a group of MXs are in the state that they are in:
 * the figures that decided it, with the thresholds that they were held against,
 * and a word of the MX's own. What the record, the page and the log show.
 */
#ifndef WEIR_MX_EVIDENCE_H
#define WEIR_MX_EVIDENCE_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/ulid.h"
#include "mx/group.h"
#include "mx/sample.h"
#include "mx/senders.h"
#include "mx/state.h"

enum mx_detector {
	MX_DETECTOR_NONE,	/* time has passed */
	MX_DETECTOR_REPLIES,
	MX_DETECTOR_LATENCY,
	MX_DETECTOR_CONNECTIONS,
	MX_DETECTOR_COUNT
};

/* What is measured. Each has a state of its own; the worst counts. */
enum mx_measure {
	MX_MEASURE_THROTTLES,	/* 4xx or 5xx that say: too much, too fast */
	MX_MEASURE_BLOCKS,	/* that say: listed, or of bad repute */
	MX_MEASURE_HANGUPS,	/* 421 */
	MX_MEASURE_DEFERRALS,	/* 4xx about the address, 421 too */
	MX_MEASURE_REFUSALS,	/* 5xx about the address */
	MX_MEASURE_AUTHENTICATION,
	MX_MEASURE_CONTENT,
	MX_MEASURE_UNREACHED,	/* connections that came to nothing */
	MX_MEASURE_RATES,	/* those above are rates */
	MX_MEASURE_SENDER = MX_MEASURE_RATES,	/* one sender domain's */
	MX_MEASURE_STRANGERS,	/* nothing is accepted: greylisting, or not */
	MX_MEASURE_SLOWNESS,	/* of a phase */
	MX_MEASURE_COUNT
};

/* Whose trouble it is. */
enum mx_attribution {
	MX_ATTRIBUTION_NONE,		/* there is none */
	MX_ATTRIBUTION_UNKNOWN,		/* nothing to compare with */
	MX_ATTRIBUTION_SOURCE,		/* other addresses fare well there */
	MX_ATTRIBUTION_GROUP,		/* all addresses: the MX, or an outage */
	MX_ATTRIBUTION_SENDER_DOMAIN,	/* other senders fare well */
	MX_ATTRIBUTION_CONTENT,		/* what is sent */
	MX_ATTRIBUTION_COUNT
};

const char *mx_detector_name(enum mx_detector d);	/* "replies" */
const char *mx_measure_name(enum mx_measure m);		/* "throttles" */
const char *mx_attribution_name(enum mx_attribution a);	/* "sender_domain" */
bool mx_attribution_is_about_source(enum mx_attribution a);
enum mx_detector mx_measure_detector(enum mx_measure m);

#define MX_EVIDENCE_TEXT_MAX 128	/* with the NUL */

struct mx_evidence {
	enum mx_detector detector;
	enum mx_measure measure;	/* none with MX_DETECTOR_NONE */
	enum mx_attribution attribution;
	char sender_domain[MX_SENDER_MAX];	/* of that attribution; or "" */
	float score, threshold;		/* log of the evidence; it was needed */
	/* a rate: so many of so many, against what is usual */
	float hits, of, rate, usual, limit;
	/* a time: the median of the last few, against what is usual */
	enum mx_phase phase;
	float recent_ms, usual_ms;
	unsigned hour;			/* UTC */
	bool by_hour;			/* usual at this hour; else lately */
	uint64_t since_wall_us;		/* when it began; 0: not known */
	unsigned code;			/* of an example; 0: none */
	char text[MX_EVIDENCE_TEXT_MAX];
};

/* "12 of 30 replies were 421, usually 0.1 %" */
void mx_evidence_words(struct buf *out, const struct mx_evidence *e);

/* A JSON object. words is one of its members: a sentence. */
void mx_evidence_json(struct buf *out, const struct mx_evidence *e);

/* From one state to another; from = to: whose trouble it is was found out. */
struct mx_transition {
	uint64_t now_us, wall_us;
	char group[MX_GROUP_MAX];
	struct addr source;
	char session[ULID_TEXT_LEN + 1];	/* that showed it; "": none */
	enum mx_state from, to;
	struct mx_evidence evidence;
};

/* {"occurred_at":..,"group":..,"source":..,"from":..,"to":..,"evidence":{..}} */
void mx_transition_json(struct buf *out, const struct mx_transition *t);

#endif
