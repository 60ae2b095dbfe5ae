/*
 * Asks weir. The token lives in this tab until it is closed.
 */
const FETCH_MS = 10000;
const KEY = 'weir-token';
const known = new Map();	/* path -> { etag, body } of the last answers */
const KNOWN_MAX = 40;

export class ApiError extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

export function token() {
	try {
		return sessionStorage.getItem(KEY);
	} catch {
		return null;
	}
}

export function setToken(text) {
	try {
		sessionStorage.setItem(KEY, text);
	} catch {
		/* then the page asks again */
	}
}

export function headers() {
	const text = token();
	return text === null || !/^[\x21-\x7e]+$/.test(text) ? {} :
		{ Authorization: 'Bearer ' + text };
}

async function ask(path, method, more) {
	try {
		return await fetch(path, { method, cache: 'no-store',
			signal: AbortSignal.timeout(FETCH_MS),
			headers: { ...headers(), ...more } });
	} catch (error) {
		throw new ApiError(0, error.name === 'TimeoutError' ?
			`weir did not answer within ${FETCH_MS / 1000} s` :
			'weir does not answer: it may be stopped, or the ' +
			'network to it is down');
	}
}

async function bodyOf(response) {
	const body = await response.json().catch(() => null);
	if (!response.ok)
		throw new ApiError(response.status, body?.error ||
			`weir answered ${response.status}`);
	if (body === null)
		throw new ApiError(response.status,
			'the answer of weir was cut short');
	return body;
}

/* What has not changed since is not sent again. */
export async function get(path) {
	const old = known.get(path);
	const response = await ask(path, 'GET',
		old ? { 'If-None-Match': old.etag } : {});
	if (response.status === 304 && old)
		return old.body;
	const body = await bodyOf(response);
	const etag = response.headers.get('ETag');
	known.delete(path);
	if (etag !== null)
		known.set(path, { etag, body });
	if (known.size > KNOWN_MAX)
		known.delete(known.keys().next().value);
	return body;
}

export async function post(path) {
	return bodyOf(await ask(path, 'POST', {}));
}
