/*
 * What is known about weir now: the stream /events while it runs (with fetch
 * and not EventSource, which cannot send a token), /api/v1/status every few
 * seconds, and when neither answers, how old it all is.
 */
import { ApiError, get, headers } from './api.js';

const TICKS_MAX = 300;
const SILENCE_MS = 40000;	/* weir says something every 15 s */
const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const STATUS_MS = 5000, STATUS_ALONE_MS = 2000;

/* Events: every event of the stream by its name, and "status", "link". */
export const bus = new EventTarget();

export const live = {
	link: 'connecting',	/* live, polling, away, token */
	error: '',
	status: null,
	heardAt: 0,		/* ms, of the last answer of any kind */
	ticks: [],		/* { at_us, seconds, and what happened in them } */
};

function say(type, detail) {
	bus.dispatchEvent(new CustomEvent(type, { detail }));
}

function setLink(link, error = '') {
	const changed = live.link !== link || live.error !== error;
	live.link = link;
	live.error = error;
	if (changed)
		say('link');
}

function addTick(tick) {
	live.ticks.push(tick);
	if (live.ticks.length > TICKS_MAX)
		live.ticks.shift();
	say('tick', tick);
}

/* Per second, over the last seconds; null: not known yet. */
export function rate(key, seconds = 10) {
	let n = 0, of = 0;
	for (let i = live.ticks.length - 1; i >= 0 && of < seconds; i--) {
		n += live.ticks[i][key] || 0;
		of += live.ticks[i].seconds;
	}
	return of > 0 ? n / of : null;
}

/* ------------------------------------------------------------------ status */

const COUNTED = ['connections', 'delivered', 'deferred', 'rejected',
	'discarded', 'aborted', 'client_bytes'];

/* Without a stream, two answers make a tick. */
function tickOf(before, now) {
	const seconds = (Date.parse(now.now) - Date.parse(before.now)) / 1000;
	if (before.instance !== now.instance || !(seconds > 0.5))
		return;
	const tick = { at_us: Date.parse(now.now) * 1000, seconds,
		sessions_open: now.counters.sessions_open };
	for (const key of COUNTED)
		tick[key] = Math.max(0, now.counters[key] -
			before.counters[key]);
	addTick(tick);
}

let statusTimer, streaming = false, tried = false;

function fail(error) {
	if (!(error instanceof ApiError))
		throw error;
	setLink(error.status === 401 ? 'token' : 'away', error.message);
}

export async function pollStatus() {
	clearTimeout(statusTimer);
	try {
		const before = live.status;
		live.status = await get('api/v1/status');
		live.heardAt = Date.now();
		if (before !== null && before.instance !==
			live.status.instance)
			live.ticks.length = 0;
		if (before !== null && !streaming)
			tickOf(before, live.status);
		setLink(streaming ? 'live' : tried ? 'polling' : 'connecting');
		say('status');
	} catch (error) {
		fail(error);
	} finally {
		clearTimeout(statusTimer);
		statusTimer = setTimeout(() => document.hidden || pollStatus(),
			streaming ? STATUS_MS : STATUS_ALONE_MS);
	}
}

/* Whoever draws it first asks for it, too. */
export async function haveStatus() {
	live.status ??= await get('api/v1/status');
}

/* ------------------------------------------------------------------ stream */

function onEvent(type, data) {
	if (type === 'tick')
		addTick({ ...data, seconds: 1 });
	else if (type !== 'message')
		say(type, data);
}

function parse(block) {
	let type = 'message', data = '';
	for (const line of block.split('\n'))
		if (line.startsWith('event: '))
			type = line.slice(7);
		else if (line.startsWith('data: '))
			data += line.slice(6);
	if (data !== '')
		onEvent(type, JSON.parse(data));
}

async function readStream(body, silence) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let text = '';
	for (;;) {
		const { value, done } = await reader.read();
		if (done)
			return;
		live.heardAt = Date.now();
		silence();
		text += value;
		const blocks = text.split('\n\n');
		text = blocks.pop();
		blocks.forEach(parse);
	}
}

async function streamOnce() {
	const abort = new AbortController();
	let timer;
	const silence = () => {
		clearTimeout(timer);
		timer = setTimeout(() => abort.abort(), SILENCE_MS);
	};
	silence();
	try {
		const response = await fetch('events', { cache: 'no-store',
			headers: headers(), signal: abort.signal });
		if (!response.ok || response.body === null)
			return false;
		streaming = true;
		setLink('live');
		await readStream(response.body, silence);
		return true;
	} catch (error) {
		if (error instanceof SyntaxError)
			console.error(error);
		return streaming;
	} finally {
		clearTimeout(timer);
		streaming = false;
		tried = true;
	}
}

async function stream() {
	for (let tries = 0; ; tries++) {
		if (await streamOnce()) {
			tries = 0;
			pollStatus();	/* is weir still there? */
		}
		await new Promise((done) => setTimeout(done, RETRY_MS[
			Math.min(tries, RETRY_MS.length - 1)]));
		if (live.link === 'token')
			await new Promise((done) => bus.addEventListener(
				'link', done, { once: true }));
	}
}

export function start() {
	document.addEventListener('visibilitychange', () => {
		if (!document.hidden)
			pollStatus();
	});
	pollStatus();
	stream();
}
