/*
 * weir's status page, part 1: bytes, numbers and times as people read them,
 * and elements. Whatever came from mail becomes a text node here; no other
 * part makes elements, and none of them ever parses markup.
 */
'use strict';

/* Controls, and what turns or hides text, by its number instead. */
const UNSEEN = new RegExp('[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c' +
	'\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff' +
	'\\ufff9-\\ufffb]', 'g');

function visible(text) {
	return String(text).replace(UNSEEN, (c) => '\u27e8U+' +
		c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0') +
		'\u27e9');
}

/* el('td.num.big', { title: 'x' }, 'text', child, [children], null) */
function el(spec, attributes, ...children) {
	const [tag, ...classes] = spec.split('.');
	const node = document.createElement(tag);
	if (classes.length > 0)
		node.className = classes.join(' ');
	for (const [name, value] of Object.entries(attributes || {}))
		if (value !== undefined && value !== null && value !== false)
			node.setAttribute(name, visible(value));
	append(node, children);
	return node;
}

function append(node, children) {
	for (const child of children.flat(3)) {
		if (child === null || child === undefined || child === '')
			continue;
		node.append(child instanceof Node ? child :
			document.createTextNode(visible(child)));
	}
}

function svg(tag, attributes, ...children) {
	const node = document.createElementNS('http://www.w3.org/2000/svg',
		tag);
	for (const [name, value] of Object.entries(attributes))
		node.setAttribute(name, value);
	node.append(...children);
	return node;
}

function byId(id) {
	return document.getElementById(id);
}

/* Replaces what is inside, unless it says the same already: so a selection
 * and a screen reader's place survive the polls. */
function fill(id, ...children) {
	const fresh = el('div', null, children);
	const node = byId(id);
	const old = node.childNodes, now = [...fresh.childNodes];
	if (old.length !== now.length ||
		!now.every((child, i) => child.isEqualNode(old[i])))
		node.replaceChildren(...now);
}

function setText(id, text) {
	const node = byId(id);
	const shown = visible(text);
	if (node.textContent !== shown)
		node.textContent = shown;
}

const integer = new Intl.NumberFormat();
const compact = new Intl.NumberFormat(undefined,
	{ notation: 'compact', maximumFractionDigits: 1 });

function count(n) {
	n = Number(n) || 0;
	return n < 1e6 ? integer.format(n) : compact.format(n);
}

function plural(n, one, many) {
	return integer.format(n) + ' ' + (n === 1 ? one : many);
}

function bytes(n) {
	const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
	let i = 0;
	for (n = Number(n) || 0; n >= 1000 && i < units.length - 1; i++)
		n /= 1000;
	return (i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' +
		units[i];
}

function duration(us) {
	us = Number(us);
	if (!Number.isFinite(us) || us < 0)
		return '\u2013';
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

function span(s) {
	s = Math.floor(Number(s) || 0);
	if (s < 60)
		return s + ' s';
	if (s < 3600)
		return Math.floor(s / 60) + ' min ' + s % 60 + ' s';
	if (s < 86400)
		return Math.floor(s / 3600) + ' h ' +
			Math.floor(s / 60) % 60 + ' min';
	return plural(Math.floor(s / 86400), 'day ', 'days ') +
		Math.floor(s / 3600) % 24 + ' h';
}

function rate(perSecond) {
	if (perSecond === null)
		return 'measuring \u2026';
	if (perSecond === 0)
		return '0/s now';
	if (perSecond < 0.95)
		return (perSecond * 60).toFixed(perSecond < 0.15 ? 1 : 0) +
			'/min now';
	return (perSecond < 10 ? perSecond.toFixed(1) : count(
		Math.round(perSecond))) + '/s now';
}

/* A time of the API: text, or microseconds since 1970. As a Date or null. */
function toDate(value) {
	if (value === undefined || value === null || value === '')
		return null;
	const date = new Date(typeof value === 'number' ? value / 1000 :
		value);
	return Number.isNaN(date.getTime()) ? null : date;
}

const clockFormat = new Intl.DateTimeFormat(undefined,
	{ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayFormat = new Intl.DateTimeFormat(undefined,
	{ month: 'short', day: 'numeric' });
const fullFormat = new Intl.DateTimeFormat(undefined,
	{ dateStyle: 'full', timeStyle: 'long' });

function when(value) {
	const date = toDate(value);
	if (date === null)
		return 'unknown';
	const today = date.toDateString() === new Date().toDateString();
	return (today ? '' : dayFormat.format(date) + ', ') +
		clockFormat.format(date);
}

function whenFull(value) {
	const date = toDate(value);
	return date === null ? 'unknown' : fullFormat.format(date);
}
