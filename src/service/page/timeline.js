/*
 * One session drawn: who was waited for, when, and for how long. Between two
 * lines of a leg, the time belongs to whoever spoke last: to the MX after a
 * command was sent to it, to the client after a reply.
 */
import { el, svg } from './dom.js';
import { duration } from './format.js';

const TO_CLIENT = ['<-', '<|'], FROM_CLIENT = ['->', '>|'];
const TO_MX = ['->', '|>'], FROM_MX = ['<-', '|<'];
const LEFT = 68, LANE = 26, TOP = 8;

/* Spans in which somebody was waited for: from the last line towards them to
 * the first line from them. */
function waits(lines, towards, from) {
	const spans = [];
	let since = null, after = '';
	for (const l of lines) {
		if (from.includes(l.direction) && since !== null) {
			spans.push({ from: since, to: l.at, after,
				then: l.text });
			since = null;
		}
		if (towards.includes(l.direction)) {
			since = l.at;
			after = l.text;
		}
	}
	return spans.filter((s) => s.to > s.from);
}

function step(us) {
	const power = 10 ** Math.floor(Math.log10(us));
	return power * (us / power > 5 ? 10 : us / power > 2 ? 5 :
		us / power > 1 ? 2 : 1);
}

function lane(name, kind, spans, y, x, width) {
	return svg('g', { class: 'lane ' + kind },
		svg('text', { x: 0, y: y + 14, class: 'name' }, name),
		svg('line', { x1: LEFT, x2: width, y1: y + 9, y2: y + 9,
			class: 'rail' }),
		spans.map((s) => svg('rect', { x: x(s.from).toFixed(1), y,
			width: Math.max(1.5, x(s.to) - x(s.from)).toFixed(1),
			height: 18, rx: 2 }, svg('title', null, `${name}: ` +
			`${duration(s.to - s.from)} ${s.label || 'after ' +
			s.after}`))));
}

/* session: { started, ended } in us, lines and decisions with `at`. */
function lanes(s) {
	const mx = waits(s.lines, TO_MX, FROM_MX);
	if (s.connect > 0)
		mx.unshift({ from: s.started, to: s.started + s.connect,
			label: 'connecting' });
	return [
		['Client', 'client', waits(s.lines, TO_CLIENT, FROM_CLIENT)],
		['MX', 'mx', mx],
		['Policies', 'policy', s.decisions.filter((d) => d.latency > 0)
			.map((d) => ({ from: Math.max(s.started, d.at -
				d.latency), to: d.at, label: `${d.policy} ` +
				`at ${d.phase}` }))],
	].filter(([, , spans]) => spans.length > 0);
}

function waited(spans) {
	return spans.reduce((n, s) => n + s.to - s.from, 0);
}

export function drawing(s) {
	const list = lanes(s), width = Math.max(280, innerWidth - 70);
	const whole = Math.max(1, s.ended - s.started);
	const x = (at) => LEFT + Math.min(1, (at - s.started) / whole) *
		(width - LEFT);
	const bottom = TOP + list.length * LANE;
	const ticks = [];
	for (let t = 0, by = step(whole / (width / 110)); t <= whole; t += by)
		ticks.push(t);
	return el('figure.timeline', null, el('figcaption', null,
		'Waited for ', list.map(([name, kind, spans]) =>
			el('span.part.' + kind, null, name + ' ',
				el('b', null, duration(waited(spans))))),
		' of ' + duration(whole)),
	svg('svg', { viewBox: `0 0 ${width} ${bottom + 22}`, role: 'img',
		'aria-label': 'Time line of the session: ' + list.map(
			([name, , spans]) => `${name} ` +
			duration(waited(spans))).join(', ') },
	ticks.map((t) => svg('g', { class: 'tick' }, svg('line', {
		x1: x(s.started + t), x2: x(s.started + t), y1: 0,
		y2: bottom }), svg('text', { x: x(s.started + t) + (t === 0 ?
		0 : -2), y: bottom + 15, 'text-anchor': t === 0 ? 'start' :
		'end' }, t === 0 ? '0' : duration(t)))),
	list.map(([name, kind, spans], i) => lane(name, kind, spans,
		TOP + i * LANE, x, width))));
}
