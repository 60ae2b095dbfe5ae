/*
 * Chart.js as this page uses it: series over time on a quiet grid, in the
 * colours of the style sheet, with the same numbers as a table for whoever
 * does not see a canvas. Charts live in elements with data-keep, which
 * updates of the page leave alone.
 */
import { el, fill } from './dom.js';
import { clock, day, when } from './format.js';

const charts = new Map();	/* key -> { chart, canvas } */
const dark = matchMedia('(prefers-color-scheme: dark)');
const STEPS_S = [10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600,
	43200, 86400];
const TABLE_ROWS = 12, LEAST_MS = 600000;

function colour(name) {
	return getComputedStyle(document.documentElement)
		.getPropertyValue('--' + name).trim();
}

/* Round times of the viewer's clock. */
function timeTicks(scale) {
	const room = Math.max(2, Math.floor(scale.width / 64));
	const step = 1000 * (STEPS_S.find((s) =>
		(scale.max - scale.min) / 1000 / s <= room) || 86400);
	const zone = new Date(scale.max).getTimezoneOffset() * 60000;
	const first = Math.ceil((scale.min - zone) / step) * step + zone;
	scale.ticks = [];
	for (let t = first; t <= scale.max; t += step)
		scale.ticks.push({ value: t });
}

/* A weir that has just been started fills its charts all the same. */
function begin(spec) {
	const first = spec.lines[0].points[0]?.x ?? spec.to;
	return Math.max(spec.from, Math.min(first, spec.to -
		(spec.span ?? LEAST_MS)));
}

/* At midnight the day. */
function atTick(ms, spec) {
	const date = new Date(ms);
	return spec.to - spec.from > 7.3e7 && date.getHours() === 0 &&
		date.getMinutes() === 0 ? day(ms) : clock(ms);
}

/* No line goes to it. */
function alone(points, i) {
	const known = (p) => Number.isFinite(p?.y);
	return known(points[i]) && !known(points[i - 1]) &&
		!known(points[i + 1]);
}

function dataset(line, spec) {
	const ink = colour(line.colour);
	return {
		label: line.name, data: line.points, parsing: false,
		normalized: true,
		borderColor: ink, borderWidth: spec.stacked || line.thin ? 1 :
			1.8,
		backgroundColor: ink + (spec.stacked ? '66' : '22'),
		fill: spec.stacked ? 'stack' : Boolean(line.fill),
		pointRadius: line.points.map((p, i) => alone(line.points, i) ?
			2 : 0),
		pointHitRadius: 8, pointHoverRadius: 3,
		spanGaps: false, tension: 0,
	};
}

function options(spec) {
	const muted = colour('muted'), grid = colour('grid');
	const font = { family: getComputedStyle(document.body).fontFamily,
		size: 11 };
	return {
		animation: false, responsive: true, maintainAspectRatio: false,
		interaction: { mode: 'index', intersect: false },
		layout: { padding: { top: 4 } },
		scales: {
			x: { type: 'linear', min: begin(spec), max: spec.to,
				afterBuildTicks: timeTicks,
				grid: { color: grid, drawTicks: false,
					drawBorder: false },
				ticks: { color: muted, font, padding: 4,
					maxRotation: 0, autoSkip: false,
					callback: (value) => atTick(value,
						spec) } },
			y: { stacked: Boolean(spec.stacked), min: 0,
				suggestedMax: spec.least,
				grid: { color: grid, drawTicks: false,
					drawBorder: false },
				ticks: { color: muted, font, padding: 6,
					maxTicksLimit: spec.small ? 4 : 5,
					callback: (value) =>
						spec.format(value) } },
		},
		plugins: {
			legend: { display: false },
			tooltip: {
				animation: false, displayColors: true,
				backgroundColor: colour('raised'),
				titleColor: colour('text'),
				bodyColor: colour('text'),
				borderColor: colour('edge'), borderWidth: 1,
				titleFont: font, bodyFont: font, boxWidth: 8,
				boxHeight: 8, padding: 8,
				callbacks: {
					title: (items) => items.length === 0 ?
						'' : when(items[0].parsed.x *
							1000),
					label: (item) => ' ' +
						item.dataset.label + ' ' +
						spec.format(item.parsed.y),
				},
			},
		},
	};
}

export function legend(lines) {
	return el('ul.legend', null, lines.map((line) =>
		el('li.' + line.colour + (line.thin ? '.thin' : ''), null,
			line.name)));
}

/* At most a dozen rows: the shape, not each point. */
function tableOf(spec) {
	const points = spec.lines[0].points;
	const step = Math.max(1, Math.ceil(points.length / TABLE_ROWS));
	const rows = [];
	for (let i = points.length - 1; i >= 0; i -= step)
		rows.push(i);
	return el('table', null, el('caption', null, spec.title),
		el('thead', null, el('tr', null,
			el('th', { scope: 'col' }, 'Time'),
			spec.lines.map((line) =>
				el('th.num', { scope: 'col' }, line.name)))),
		el('tbody', null, rows.map((i) => el('tr', null,
			el('th', { scope: 'row' }, when(points[i].x * 1000)),
			spec.lines.map((line) => el('td.num', null,
				Number.isFinite(line.points[i]?.y) ?
					spec.format(line.points[i].y) :
					'\u2013'))))));
}

/* The place of a chart; draw() puts it there. */
export function place(key, title, small, note) {
	return el('figure.chart' + (small ? '.small' : ''), { key: key },
		el('figcaption', null, el(small ? 'h3' : 'h2', null, title),
			note ? el('span.note', null, note) : null,
			el('div.chart-legend', { 'data-keep': key + '-legend' })),
		el('div.canvas', { 'data-keep': key, id: 'chart-' + key }),
		el('details.numbers', null, el('summary', null, 'Numbers',
			el('span.hide', null, ' of ' + title)),
		el('div', { 'data-keep': key + '-table' })));
}

function build(key, spec, box) {
	const canvas = el('canvas', { role: 'img' });
	box.replaceChildren(canvas);
	const chart = new globalThis.Chart(canvas, { type: 'line',
		data: { datasets: [] }, options: options(spec) });
	charts.set(key, { chart, canvas, spec });
	return charts.get(key);
}

function update(made, spec) {
	const { chart, canvas } = made;
	made.spec = spec;
	chart.options.scales.x.min = begin(spec);
	chart.options.scales.x.max = spec.to;
	/* The same objects, with new points: others would cost a chart anew. */
	chart.data.datasets = spec.lines.map((line, i) =>
		Object.assign(chart.data.datasets[i] ?? {},
			dataset(line, spec)));
	chart.update('none');
	const last = (line) => line.points.findLast((p) =>
		Number.isFinite(p.y));
	const text = spec.title + ', ' + clock(begin(spec)) + ' to ' +
		clock(spec.to) + '. Now: ' + spec.lines.map((line) =>
		line.name + ' ' + (last(line) ? spec.format(last(line).y) :
			'unknown')).join(', ') + '. The table has the numbers.';
	if (canvas.getAttribute('aria-label') !== text)
		canvas.setAttribute('aria-label', text);
}

/*
 * draw(key, { title, from, to (ms), lines: [{ name, colour, points: [{ x, y }],
 * thin, fill }], stacked, format, least, small, span (least width in ms) })
 */
export function draw(key, spec) {
	const box = byKey(key);
	if (box === null || globalThis.Chart === undefined)
		return;
	let made = charts.get(key);
	if (made === undefined || made.canvas.parentNode !== box) {
		made?.chart.destroy();
		made = build(key, spec, box);
	}
	update(made, spec);
	fill(document.querySelector(`[data-keep="${key}-legend"]`),
		spec.lines.length > 1 &&
		!spec.small ? legend(spec.lines) : null);
	const table = document.querySelector(`[data-keep="${key}-table"]`);
	if (table.parentNode.open || table.firstChild === null)
		fill(table, tableOf(spec));
}

function byKey(key) {
	return document.getElementById('chart-' + key);
}

/* Forget those that are not on the page any more. */
export function sweep() {
	for (const [key, { chart, canvas }] of charts)
		if (!canvas.isConnected) {
			chart.destroy();
			charts.delete(key);
		}
}

/* Its colours are not the style sheet's to change. */
function repaint() {
	for (const [key, { spec, chart }] of [...charts]) {
		chart.destroy();
		charts.delete(key);
		draw(key, spec);
	}
}

export function start() {
	dark.addEventListener('change', repaint);
	document.addEventListener('toggle', (event) => {
		const table = event.target.querySelector?.('[data-keep]');
		const key = (table?.dataset.keep || '').replace(/-table$/, '');
		if (charts.has(key))
			fill(table, tableOf(charts.get(key).spec));
	}, true);
}

/* Points of one member of the API's series. */
export function points(list, value) {
	return list.map((p) => ({ x: p.at_us / 1000, y: value(p) }));
}
