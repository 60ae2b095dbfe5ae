/*
 * Which view is shown, when it is asked for again, and what the frame around
 * it says. A view is an object:
 *
 *	name, title(route)	its entry in the navigation; the heading
 *	load(route, old)	what it needs from weir
 *	draw(data, route)	nodes, made anew each time; see dom.js
 *	after(data, route)	draws charts in their places (optional)
 *	every			seconds between two loads
 *	on { event: (detail, data) => true }	of the stream
 *	click, submit, input, change (event, route) => true	inside of it
 *
 * true stands for: draw it again; 'load': ask weir again.
 */
import * as actions from './actions.js';
import { troubles } from './alarms.js';
import * as charts from './charts.js';
import { byId, el, fill, setText } from './dom.js';
import { span } from './format.js';
import { bus, live, pollStatus, start as startLive } from './live.js';
import { config } from './config.js';
import { mx, group } from './mx.js';
import { operations } from './operations.js';
import { overview } from './overview.js';
import { policies } from './policies.js';
import { senders } from './senders.js';
import { session } from './session.js';
import { sessions } from './sessions.js';

const VIEWS = { '': overview, mx, group, policies, senders, sessions, session,
	operations, config };

const shown = { view: null, route: null, data: null, charted: null, error: null,
	at: 0, timer: 0, turn: 0 };

function routeOf(hash) {
	const [path, query] = hash.replace(/^#\/?/, '').split('?');
	const [name, ...rest] = path.split('/');
	let argument = rest.join('/');
	try {
		argument = decodeURIComponent(argument);
	} catch {
		/* then as it stands */
	}
	return { name: name === 'mx' && argument !== '' ? 'group' : name,
		argument, query: new URLSearchParams(query || '') };
}

/* -------------------------------------------------------------------- view */

function draw() {
	const { view, route, data, error, at } = shown;
	const old = data !== null && error !== null;
	fill(byId('view'), error === null ? null : [el('p.notice.bad', {
		key: 'error', role: 'alert' }, error.status === 404 &&
		view.missing ? view.missing : `This cannot be shown` +
		`${old ? ' anew' : ''}: ${error.message}.`), old ?
		el('p.note', { key: 'old' }, 'What stands here is ' +
			`of ${span((Date.now() - at) / 1000)} ago.`) : null],
	data === null ? error === null ? el('p.empty', { key: 'wait' },
		'Asking weir \u2026') : null : view.draw(data, route));
	if (data !== null && data !== shown.charted)
		view.after?.(data, route);
	shown.charted = data;
	charts.sweep();
}

async function load() {
	const { view, route, turn } = shown;
	clearTimeout(shown.timer);
	try {
		const data = await view.load(route, shown.data);
		if (turn !== shown.turn)
			return;
		Object.assign(shown, { data, error: null, at: Date.now() });
	} catch (error) {
		if (turn !== shown.turn)
			return;
		if (error.status === undefined)
			console.error(error);
		shown.error = error;
	}
	draw();
	clearTimeout(shown.timer);
	if (view.every !== undefined)
		shown.timer = setTimeout(() => document.hidden || load(),
			view.every * 1000);
}

function navigate() {
	const route = routeOf(location.hash);
	const view = VIEWS[route.name] || overview;
	const before = shown.view;
	const same = before === view && shown.route.argument ===
		route.argument;
	Object.assign(shown, { view, route, error: null,
		turn: shown.turn + 1 });
	if (!same)
		shown.data = null;
	for (const a of document.querySelectorAll('#nav a'))
		if (a.hash === '#/' + (view.tab ?? view.name))
			a.setAttribute('aria-current', 'page');
		else
			a.removeAttribute('aria-current');
	setText(byId('title'), view.title(route));
	if (!same) {
		byId('view').replaceChildren();
		draw();
		scrollTo(0, 0);
		if (before !== null)
			byId('title').focus({ preventScroll: true });
	}
	load();
	drawFrame();
}

/* ------------------------------------------------------------------- frame */

const ALARMS_MAX = 100;		/* weir tells no more of them */
const LINKS = {
	connecting: ['none', () => 'Connecting'],
	live: ['good', () => 'Live'],
	polling: ['good', () => 'Every 2 s'],
	away: ['bad', () => 'No answer'],
	token: ['warn', () => 'Token needed'],
};

function drawFrame() {
	const { status, link, error } = live;
	const [kind, text] = LINKS[link];
	/* As many as weir counts: weirctl says the same number. */
	const n = status === null ? 0 : status.alarms.length;
	byId('link').className = 'badge ' + kind;
	setText(byId('link'), text());
	byId('token').hidden = link !== 'token';
	byId('main').classList.toggle('stale', link === 'away');
	fill(byId('gone'), link === 'away' ? el('p.notice.bad', null, error +
		'. ', status === null ? '' : 'What stands below is old. ',
	'Trying again.') : null);
	byId('alarms').hidden = n === 0;
	byId('alarms').className = 'badge ' + (n === 0 ? 'none' :
		troubles(status)[0][0]);
	setText(byId('alarms'), n === 1 ? '1 alarm' : n + (n < ALARMS_MAX ?
		' alarms' : ' alarms or more'));
	const name = status === null ? '' : status.hostname;
	setText(byId('hostname'), name);
	document.title = (link === 'away' || n > 0 ? '\u26a0 ' : '') +
		shown.view.title(shown.route) + ' \u00b7 weir' +
		(name === '' ? '' : ' on ' + name);
	setText(byId('about'), status === null ? '' : 'weir ' +
		`${status.version}, up ${span(status.uptime_s)}.`);
}

/* Not in a live region: nobody wants to hear each second. */
function drawAge() {
	const age = Math.floor((Date.now() - live.heardAt) / 1000);
	setText(byId('age'), live.heardAt === 0 || (age < 10 &&
		live.link !== 'away') ? '' : `${span(age)} old`);
}

/* ------------------------------------------------------------------- start */

function again(how, loading) {
	if (how === 'load')
		loading();
	else if (how === true)
		draw();
}

/* Once, however many events there are in a second. */
function soon(what) {
	let timer = null;
	return () => {
		timer ??= setTimeout(() => {
			timer = null;
			what();
		}, 1000);
	};
}

const loadSoon = soon(load), statusSoon = soon(pollStatus);

function delegate(type) {
	byId('view').addEventListener(type, (event) => {
		again(actions.handle(event) ||
			shown.view[type]?.(event, shown.route, shown.data),
		load);
	});
}

function listen(type) {
	bus.addEventListener(type, (event) => {
		if (shown.data !== null && !document.hidden)
			again(shown.view.on?.[type]?.(event.detail,
				shown.data), loadSoon);
	});
}

function useToken(event) {
	event.preventDefault();
	actions.takeToken(byId('token-value'));
	pollStatus().then(load);
}

for (const type of ['click', 'submit', 'input', 'change'])
	delegate(type);
for (const type of ['tick', 'session', 'omitted', 'mx', 'policy', 'operation',
	'reload', 'status'])
	listen(type);
bus.addEventListener('link', () => {
	drawFrame();
	if (live.link === 'live' && shown.error !== null)
		load();
});
bus.addEventListener('status', drawFrame);
bus.addEventListener('mx', statusSoon);
bus.addEventListener('policy', statusSoon);
byId('token-form').addEventListener('submit', useToken);
document.addEventListener('visibilitychange', () => document.hidden || load());
window.addEventListener('hashchange', navigate);
setInterval(drawAge, 1000);
setText(byId('zone'), 'Times are in ' +
	Intl.DateTimeFormat().resolvedOptions().timeZone + '; hover for UTC.');
charts.start();
actions.start(load);
navigate();
startLive();
