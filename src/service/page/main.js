/*
 * Part 4: asks weir every two seconds, and what the keyboard and mouse do.
 */
'use strict';

const POLL_MS = 2000;
const FETCH_MS = 8000;

const view = { search: '', before: [], session: null };

class ApiError extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

function storedToken() {
	try {
		return sessionStorage.getItem('weir-token');
	} catch {
		return null;
	}
}

async function get(path) {
	const token = storedToken();
	let response;
	try {
		response = await fetch(path, { cache: 'no-store',
			signal: AbortSignal.timeout(FETCH_MS),
			headers: token === null ? {} :
				{ Authorization: 'Bearer ' + token } });
	} catch {
		throw new ApiError(0, 'weir does not answer');
	}
	const body = await response.json().catch(() => ({}));
	if (!response.ok)
		throw new ApiError(response.status, body.error ||
			'weir answered ' + response.status);
	return body;
}

function setHealth(kind, text) {
	byId('health').className = 'pill ' + kind;
	setText('health', text);
	document.title = (kind === 'good' ? '' : '\u26a0 ') + 'weir' +
		(byId('hostname').textContent === '' ? '' : ' on ' +
		byId('hostname').textContent);
}

function showError(error) {
	byId('token').hidden = error.status !== 401;
	setHealth('bad', error.status === 401 ? 'Token needed' :
		'No answer');
	fill('alerts', el('ul.alerts', null, el('li.notice.bad', null,
		error.status === 0 ? 'weir does not answer: it may be ' +
		'stopped, or the network to it is down. What stands below ' +
		'is old. Trying again every 2 seconds.' : error.message)));
}

async function pollStatus() {
	try {
		const status = await get('api/v1/status');
		byId('token').hidden = true;
		drawStatus(status);
		setHealth(status.ready ? 'good' : 'warn', status.ready ?
			'Ready' : 'Not ready');
		return true;
	} catch (error) {
		if (!(error instanceof ApiError))
			console.error(error);
		showError(error);
		return false;
	}
}

async function pollSessions() {
	const before = view.before[view.before.length - 1];
	const search = view.search;
	const query = new URLSearchParams({ limit: PAGE_ROWS });
	if (search !== '')
		query.set('q', search);
	if (before !== undefined)
		query.set('before', before);
	try {
		const list = (await get('api/v1/sessions?' + query))
			.map(fromList);
		if (search !== view.search || before !==
			view.before[view.before.length - 1])
			return;		/* asked something else meanwhile */
		view.last = list[list.length - 1];
		drawSessions(list, search, before !== undefined);
	} catch (error) {
		if (!(error instanceof ApiError))
			console.error(error);
		setText('sessions-note', 'The sessions cannot be shown: ' +
			error.message + '.');
	}
}

async function poll() {
	if (!document.hidden && await pollStatus())
		await pollSessions();
	setTimeout(poll, POLL_MS);
}

/* ------------------------------------------------------------- one session */

function idOfHash() {
	const match = /^#session=([0-9A-Z]{26})$/.exec(location.hash);
	return match === null ? null : match[1];
}

async function showSession(id) {
	const dialog = byId('session');
	view.session = id;
	setText('session-title', 'Session');
	fill('session-body', el('p.empty', null, 'Reading \u2026'));
	if (!dialog.open)
		dialog.showModal();
	try {
		const s = fromShow(await get('api/v1/sessions/' + id));
		if (view.session === id)
			drawSession(s);
	} catch (error) {
		if (!(error instanceof ApiError))
			console.error(error);
		fill('session-body', el('p.notice.bad', null,
			'This session cannot be shown: ' + error.message +
			'.'));
	}
}

function onHash() {
	const id = idOfHash();
	if (id !== null)
		showSession(id);
	else if (byId('session').open)
		byId('session').close();
}

function onDialogClosed() {
	const id = view.session;
	view.session = null;
	if (idOfHash() !== null)
		history.replaceState(null, '', location.pathname);
	document.querySelector(`button[data-id="${CSS.escape(id || '')}"]`)
		?.focus();
}

/* ------------------------------------------------------------------- start */

function useToken() {
	try {
		sessionStorage.setItem('weir-token',
			byId('token-value').value.trim());
	} catch {
		/* then the page asks again */
	}
	byId('token-value').value = '';
	pollStatus();
}

function onSearch(timer) {
	clearTimeout(timer.id);
	timer.id = setTimeout(() => {
		view.search = byId('search').value.trim();
		view.before = [];
		pollSessions();
	}, 250);
}

function start() {
	const timer = {};
	byId('search').addEventListener('input', () => onSearch(timer));
	byId('older').addEventListener('click', () => {
		view.before.push(view.last.before);
		pollSessions();
	});
	byId('newest').addEventListener('click', () => {
		view.before = [];
		pollSessions();
	});
	document.querySelector('#sessions tbody').addEventListener('click',
		(event) => {
			const row = event.target.closest('tr');
			const chosen = String(getSelection()) !== '';
			if (row !== null && !chosen)
				location.hash = 'session=' + row.dataset.id;
		});
	byId('session').addEventListener('close', onDialogClosed);
	byId('session').addEventListener('click', (event) => {
		if (event.target === byId('session'))
			byId('session').close();
	});
	byId('session-close').addEventListener('click', () =>
		byId('session').close());
	byId('token-use').addEventListener('click', useToken);
	byId('token-value').addEventListener('keydown', (event) => {
		if (event.key === 'Enter')
			useToken();
	});
	window.addEventListener('hashchange', onHash);
	document.addEventListener('visibilitychange', () => {
		if (!document.hidden)
			pollStatus();
	});
	setText('zone', 'Times are in ' +
		Intl.DateTimeFormat().resolvedOptions().timeZone +
		'. Counters count from the start of weir.');
	poll();
	onHash();
}

start();
