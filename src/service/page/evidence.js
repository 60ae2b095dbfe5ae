/*
 * What a state rests on, in words. Numbers that this page has no words for
 * are shown by their names.
 */
import { el, wire } from './dom.js';
import { duration, NONE, share, words } from './format.js';

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

/* A number by what the end of its name says about its unit. */
function value(name, v) {
	if (v === null || v === undefined || v === '')
		return NONE;
	if (typeof v === 'boolean')
		return v ? 'yes' : 'no';
	if (typeof v !== 'number')
		return wire(v);
	if (name.endsWith('_us'))
		return duration(v);
	if (name.endsWith('_ms'))
		return duration(v * 1000);
	if (name.endsWith('_s'))
		return duration(v * 1e6);
	if (/rate|share|posterior|probability|fraction|usual/.test(name))
		return share(v);
	return Number.isInteger(v) ? String(v) : v.toFixed(2);
}

function pairs(object) {
	return Object.entries(object).map(([name, v]) =>
		el('div', { 'data-key': name }, el('dt', null, words(name
			.replace(/_(us|ms|s)$/, ''))), el('dd', null,
			v !== null && typeof v === 'object' ? list(v) :
				value(name, v))));
}

function list(object) {
	return Object.entries(object).flatMap(([name, v], i) => [
		i > 0 ? ', ' : '', Array.isArray(object) ? '' : words(name) +
		' ', v !== null && typeof v === 'object' ? list(v) :
			value(name, v)]);
}

export function evidence(object) {
	if (object === null || object === undefined)
		return null;
	if (typeof object !== 'object')
		return el('p', null, wire(object));
	const { words: text, ...rest } = object;
	return [text ? el('p', null, wire(text)) : null,
		Object.keys(rest).length === 0 ? null :
			el('dl.evidence', null, pairs(rest))];
}
