/*
 * Bytes, numbers and times as people read them. Times are shown in the
 * viewer's zone; the title of each says UTC.
 */
import { el } from './dom.js';

const integer = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined,
	{ notation: 'compact', maximumFractionDigits: 1 });
export const NONE = '\u2013';

export function count(n) {
	n = Number(n) || 0;
	return n < 1e6 ? integer.format(n) : compact.format(n);
}

export function plural(n, one, many) {
	return integer.format(n) + ' ' + (n === 1 ? one : many);
}

export function bytes(n) {
	const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
	let i = 0;
	for (n = Number(n) || 0; n >= 1000 && i < units.length - 1; i++)
		n /= 1000;
	return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' +
		units[i];
}

/* Microseconds, with three digits or so. */
export function duration(us) {
	if (us === null || us === undefined || !(us >= 0))
		return NONE;
	if (us === 0)
		return '0';
	if (us < 1000)
		return Math.round(us) + ' \u00b5s';
	if (us < 1e5)
		return (us / 1e3).toFixed(1) + ' ms';
	if (us < 1e6)
		return Math.round(us / 1e3) + ' ms';
	if (us < 6e7)
		return (us / 1e6).toFixed(us < 1e7 ? 2 : 1) + ' s';
	return span(us / 1e6);
}

export function span(s) {
	s = Math.max(0, Math.floor(Number(s) || 0));
	if (s < 60)
		return s + ' s';
	if (s < 3600)
		return Math.floor(s / 60) + ' min' +
			(s % 60 ? ` ${s % 60} s` : '');
	if (s < 86400)
		return Math.floor(s / 3600) + ' h ' +
			Math.floor(s / 60) % 60 + ' min';
	return plural(Math.floor(s / 86400), 'day ', 'days ') +
		Math.floor(s / 3600) % 24 + ' h';
}

/* Per second, three digits or so; no unit. */
export function perSecond(n) {
	if (n === null || n === undefined || !Number.isFinite(n))
		return NONE;
	return n === 0 ? '0' : n < 0.1 ? n.toFixed(2) : n < 100 ?
		n.toFixed(1) : count(Math.round(n));
}

/* A part of one. */
export function share(part) {
	if (part === null || part === undefined || !Number.isFinite(part))
		return NONE;
	const percent = part * 100;
	return (percent === 0 ? '0' : percent < 0.1 ? '<0.1' : percent < 10 ?
		percent.toFixed(1) : percent.toFixed(0)) + '\u202f%';
}

export function words(name) {
	return String(name ?? '').replace(/_/g, ' ');
}

/* A time of the API as microseconds since 1970: text, or already so. */
export function toUs(value) {
	if (typeof value === 'number')
		return value;
	const match = /^(.{19})(?:\.(\d{1,6}))?Z$/.exec(value || '');
	const ms = match === null ? NaN : Date.parse(match[1] + 'Z');
	return Number.isNaN(ms) ? null : ms * 1000 +
		Number((match[2] || '').padEnd(6, '0'));
}

const clockFormat = new Intl.DateTimeFormat(undefined,
	{ hour: '2-digit', minute: '2-digit', second: '2-digit',
		hourCycle: 'h23' });
const minuteFormat = new Intl.DateTimeFormat(undefined,
	{ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayFormat = new Intl.DateTimeFormat(undefined,
	{ month: 'short', day: 'numeric' });

export function clock(ms) {
	return minuteFormat.format(ms);
}

export function day(ms) {
	return dayFormat.format(ms);
}

export function when(value) {
	const us = toUs(value);
	if (us === null)
		return NONE;
	const date = new Date(us / 1000);
	const today = date.toDateString() === new Date().toDateString();
	return (today ? '' : dayFormat.format(date) + ', ') +
		clockFormat.format(date);
}

export function utc(value) {
	const us = toUs(value);
	return us === null ? 'unknown' : new Date(us / 1000).toISOString()
		.replace('T', ' ').replace('Z', ' UTC');
}

/* The same as an element. */
export function time(value) {
	const us = toUs(value);
	return us === null ? NONE : el('time', { title: utc(us),
		datetime: new Date(us / 1000).toISOString() }, when(us));
}

export function ago(value) {
	const us = toUs(value);
	return us === null ? NONE : span((Date.now() - us / 1000) / 1000) +
		' ago';
}

export function joinPort(ip, port) {
	return !ip ? '' : !port ? ip : ip.includes(':') ? `[${ip}]:${port}` :
		`${ip}:${port}`;
}

export function sum(numbers) {
	return Object.values(numbers || {}).reduce((a, b) => a + b, 0);
}
