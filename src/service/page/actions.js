/*
 * What changes something: a button with data-action opens a dialog that says
 * what will happen, and asks for the token where weir wants one.
 */
import { post, setToken } from './api.js';
import { byId, el, fill, lines, setText } from './dom.js';

const ACTIONS = {
	reload: () => ({ title: 'Reload the configuration?',
		text: 'weir reads its configuration file again. If anything ' +
		'in it is wrong, nothing changes. Open sessions keep what ' +
		'they began with.', button: 'Reload', path: 'api/v1/reload',
		done: 'The new configuration is in force.' }),
	drain: () => ({ title: 'Drain and stop weir?', danger: true,
		text: 'weir takes no new connections, lets open sessions end ' +
		'and then stops, as with SIGTERM. Nothing but a start of the ' +
		'service brings it back.', button: 'Drain and stop',
		path: 'api/v1/drain', done: 'weir is draining.' }),
	suspend: (address) => ({ title: `Suspend ${address}?`, danger: true,
		text: 'New connections take the other addresses of its ' +
		'pools. Where it is the only one, mail is deferred.',
		button: 'Suspend', spans: true,
		path: 'api/v1/suspend-address?address=' +
			encodeURIComponent(address),
		done: `${address} is out of its pools.` }),
	resume: (address) => ({ title: `Resume ${address}?`,
		text: 'The address takes its place in its pools again.',
		button: 'Resume', path: 'api/v1/resume-address?address=' +
			encodeURIComponent(address),
		done: `${address} is back in its pools.` }),
};

let chosen = null, afterwards = () => {};

export function takeToken(field) {
	if (field.value.trim() !== '')
		setToken(field.value.trim());
	field.value = '';
}

function open(action) {
	chosen = action;
	setText(byId('ask-title'), action.title);
	setText(byId('ask-text'), action.text);
	setText(byId('ask-do'), action.button);
	byId('ask-do').className = action.danger ? 'danger' : 'primary';
	byId('ask-for').hidden = !action.spans;
	byId('ask-token').hidden = true;
	fill(byId('ask-error'));
	byId('ask').showModal();
}

async function carryOut(event) {
	event.preventDefault();
	takeToken(byId('ask-token-value'));
	const spanOf = byId('ask-span').value;
	byId('ask-do').disabled = true;
	try {
		await post(chosen.path + (chosen.spans && spanOf !== '' ?
			'&for=' + spanOf : ''));
		byId('ask').close();
		setText(byId('done'), chosen.done);
		afterwards();
	} catch (error) {
		byId('ask-token').hidden = error.status !== 401;
		fill(byId('ask-error'), el('div.notice.bad', null,
			'It was not done: ', lines(error.message)));
	} finally {
		byId('ask-do').disabled = false;
	}
}

/* A click on one of these buttons is no other part's. */
export function handle(event) {
	const button = event.type === 'click' &&
		event.target.closest('[data-action]');
	if (!button)
		return false;
	open(ACTIONS[button.dataset.action](button.dataset.argument));
	return true;
}

export function button(name, text, argument) {
	return el('button', { type: 'button', 'data-action': name,
		'data-argument': argument }, text);
}

export function start(reload) {
	afterwards = reload;
	byId('ask-form').addEventListener('submit', carryOut);
	byId('ask-cancel').addEventListener('click', () =>
		byId('ask').close());
}
