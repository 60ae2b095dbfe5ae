/*
 * What a state rests on: a sentence, the MX's own words, whose trouble it is,
 * and the figures of every measure.
 */
import { el, wire } from './dom.js';
import { count, duration, share, time, words } from './format.js';
import { state, table } from './widgets.js';

export const MEANING = {
	normal: 'Mail is taken as it usually is.',
	suspect: 'Something is unlike what is usual. If it goes on, the ' +
		'state becomes throttled or blocked; if not, normal again.',
	throttled: 'It slows us down on purpose: it defers more than it ' +
		'usually does, or answers later and later.',
	blocked: 'It refuses to talk to this address, or refuses all mail ' +
		'from it.',
	recovering: 'It was throttled or blocked, and takes mail again.',
};

const BLAME = {
	unknown: 'There is nothing to compare with yet.',
	source: 'Other addresses fare well there: it is about this address.',
	group: 'All addresses fare alike: it is about the MX.',
	content: 'It is about what is sent.',
};

const MEASURES = { throttles: 'Replies: too much, too fast',
	blocks: 'Replies: blocklist or bad repute', hangups: 'Replies: 421',
	deferrals: 'Deferred', refusals: 'Refused for good',
	authentication: 'Refused for SPF, DKIM or DMARC',
	content: 'Refused for content', unreached: 'Connections failed',
	sender: 'Refused, one sender domain', strangers: 'Deferred, none ' +
	'accepted', slowness: 'Time of' };

function blame(name, domain) {
	return name === 'sender_domain' ? ['Other senders fare well: it is ' +
		'about mail of ', wire(domain), '.'] : BLAME[name] || null;
}

export function evidence(e) {
	if (!e)
		return null;
	return [el('p', null, wire(e.words[0].toUpperCase() +
		e.words.slice(1)), '. ', blame(e.attribution,
		e.sender_domain), e.since ? [' It began ', time(e.since),
		'.'] : null), e.code ? el('p.quote', null, el('code', null,
		e.code, ' ', wire(e.text))) : null,
	e.score > 0 ? el('p.note', null, `Evidence ${e.score.toFixed(1)}, ` +
		`of which ${e.threshold.toFixed(1)} is needed.`) : null];
}

function figures(f) {
	return f.measure === 'slowness' ? [duration(f.recent_us),
		duration(f.usual_us), duration(f.limit_us)] :
		[`${share(f.rate)} (${count(f.hits)} of ${count(f.of)})`,
			share(f.usual), share(f.limit)];
}

/* Of those that have measured anything. */
export function detectors(m, phaseNames) {
	const list = Object.values(m.detectors || {}).flat().filter((f) =>
		f.of > 0 || f.recent_us > 0 || f.state !== 'normal');
	return list.length === 0 ? null : el('details', { key:
		m.source }, el('summary', null, 'Measured from ',
		el('code', null, m.source)), table({ label:
		'Measured from ' + m.source, spec: 'dense', columns: [
		{ name: 'Measure', spec: 'full' }, { name: 'State',
			spec: 'bare' }, { name: 'Lately', num: true },
		{ name: 'Usual', num: true }, { name: 'Limit', num: true },
		{ name: 'Evidence / needed', num: true }],
	rows: list.map((f) => ({ key: f.measure + f.phase, cells: [
		(MEASURES[f.measure] || words(f.measure)) + (f.phase ? ' ' +
			(phaseNames[f.phase] || f.phase) : ''),
		state(f.state), ...figures(f), `${f.score.toFixed(1)} / ` +
			f.threshold.toFixed(1)] })) }));
}
