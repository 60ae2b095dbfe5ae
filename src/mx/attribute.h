/*
 * Whose trouble it is: a source address's, or all of theirs at that group of
 * MXs. Pure, over the pairs of one group.
 */
#ifndef WEIR_MX_ATTRIBUTE_H
#define WEIR_MX_ATTRIBUTE_H

#include "mx/detect.h"

/**
 * mx_attribute(all, n, which, now_us) - of the n pairs of a group, whose
 * trouble is that of all[which]?
 *
 *	sender_domain, content	the pair itself knows so
 *	group	another address has the same kind of trouble, or the beginnings
 *		of it
 *	source	no other has, and at least one fared well since it began
 *	unknown	no other was there to compare with
 *	none	there is no trouble
 */
enum mx_attribution mx_attribute(struct mx_detect *const all[], size_t n,
	size_t which, uint64_t now_us);

/* Does it have to be asked anew, of this pair? After each sample of the group;
 * moved: one of the pairs has changed its state. */
bool mx_attribute_is_due(const struct mx_detect *d, bool moved,
	uint64_t now_us);

/* Notes it. true: it is another, and t_r tells so (but for group and source).*/
bool mx_attribute_set(struct mx_detect *d, enum mx_attribution a,
	uint64_t now_us, struct mx_transition *t_r);

#endif
