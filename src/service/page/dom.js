/*
 * Elements. Whatever came from mail becomes a text node or an attribute here;
 * no other part makes elements, and none of them ever parses markup.
 */

/* Controls, and what turns or hides text, by its number instead. */
const UNSEEN = new RegExp('[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c' +
	'\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff' +
	'\\ufff9-\\ufffb]', 'g');

function visible(text) {
	return String(text).replace(UNSEEN, (c) => '\u27e8U+' +
		c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0') +
		'\u27e9');
}

function setAll(node, attributes) {
	for (const [name, value] of Object.entries(attributes || {}))
		if (value !== undefined && value !== null && value !== false)
			node.setAttribute(name === 'key' ? 'data-key' : name,
				value === true ? '' : visible(value));
	return node;
}

function append(node, children) {
	for (const child of children.flat(Infinity))
		if (child !== null && child !== undefined && child !== '' &&
			child !== false)
			node.append(child instanceof Node ? child :
				document.createTextNode(visible(child)));
	return node;
}

/* el('td.num.big', { title: 'x' }, 'text', child, [children], null); key is
 * what tells it from its brothers in an update. */
export function el(spec, attributes, ...children) {
	const [tag, ...classes] = spec.split('.');
	const node = document.createElement(tag);
	if (classes.length > 0)
		node.className = classes.join(' ');
	return append(setAll(node, attributes), children);
}

export function svg(tag, attributes, ...children) {
	return append(setAll(document.createElementNS(
		'http://www.w3.org/2000/svg', tag), attributes), children);
}

/* What somebody else wrote: kept apart from the text around it, whichever way
 * it runs. */
export function wire(text, spec = 'bdi') {
	return el(spec + '.wire', null, text);
}

/* One after the other, as whoever wrote them meant it. */
export function lines(text) {
	return String(text ?? '').split(/\\n|\n/).filter(Boolean).map((one) =>
		wire(one, 'div'));
}

export function byId(id) {
	return document.getElementById(id);
}

function patchAttributes(node, fresh) {
	const mine = node.tagName === 'DETAILS' ? 'open' : '';
	for (const { name } of [...node.attributes])
		if (!fresh.hasAttribute(name) && name !== mine)
			node.removeAttribute(name);
	for (const { name, value } of fresh.attributes)
		if (node.getAttribute(name) !== value && name !== mine) {
			node.setAttribute(name, value);
			if (name === 'value' && node.tagName === 'INPUT')
				node.value = value;
		}
	if (node.tagName === 'OPTION' && node.selected !== fresh.selected)
		node.selected = fresh.selected;
}

function alike(a, b) {
	return a.nodeType === b.nodeType && a.nodeName === b.nodeName &&
		a.dataset?.key === b.dataset?.key;
}

function patchChildren(node, fresh) {
	const keyed = new Map();
	for (const child of node.children)
		if (child.dataset.key !== undefined)
			keyed.set(child.dataset.key, child);
	let at = node.firstChild;
	for (const child of [...fresh.childNodes]) {
		const known = keyed.get(child.dataset?.key);
		if (at !== null && alike(at, child)) {
			const next = at.nextSibling;
			patch(at, child);
			at = next;
		} else if (known !== undefined && alike(known, child)) {
			node.insertBefore(known, at);
			patch(known, child);
		} else {
			node.insertBefore(child, at);
		}
	}
	while (at !== null) {
		const next = at.nextSibling;
		at.remove();
		at = next;
	}
}

/* Makes node say what fresh says and touches nothing that says it already: a
 * selection, the focus and a screen reader's place survive an update. What has
 * the attribute data-keep (a canvas) is left to its owner. */
function patch(node, fresh) {
	if (node.nodeType !== Node.ELEMENT_NODE) {
		if (node.data !== fresh.data)
			node.data = fresh.data;
		return;
	}
	if (node.dataset.keep !== undefined &&
		node.dataset.keep === fresh.dataset.keep)
		return;
	if (node.isEqualNode(fresh))
		return;
	patchAttributes(node, fresh);
	patchChildren(node, fresh);
}

export function fill(node, ...children) {
	const focus = document.activeElement;
	patchChildren(node, el('div', null, children));
	if (focus !== null && focus !== document.activeElement &&
		node.contains(focus))
		focus.focus({ preventScroll: true });	/* it has moved */
}

export function setText(node, text) {
	if (node.textContent !== visible(text))
		node.textContent = visible(text);
}
