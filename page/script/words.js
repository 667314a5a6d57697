/* words.js - numbers, times and elements: how everything on the page is written.
 *
 * Names of files, domains and what servers said come from anywhere. They become text nodes, never
 * markup, and what would steer the text around them (controls, marks that turn its direction) is
 * shown as U+FFFD.
 */
const UNSHOWN = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const plain = (value) => String(value ?? '').replace(UNSHOWN, '\ufffd');

const byId = (id) => document.getElementById(id);

/* el('p', {class: 'soft'}, 'text', element...): attributes by setAttribute, listeners as on*. */
function el(name, attributes = {}, ...children) {
	return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
	return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(element, attributes, children) {
	for (const [key, value] of Object.entries(attributes)) {
		if (key.startsWith('on'))
			element.addEventListener(key.slice(2), value);
		else if (value !== null && value !== undefined && value !== false)
			element.setAttribute(key, value === true ? '' : plain(value));
	}
	for (const child of children.flat(Infinity)) {
		if (child !== null && child !== undefined && child !== false)
			element.append(child instanceof Node ? child : plain(child));
	}
	return element;
}

/* Writes only what has changed: nothing is announced, selected or laid out anew without need. */
function say(element, text) {
	text = plain(text);
	if (element.textContent !== text)
		element.textContent = text;
}

function show(element, shown) {
	if (element.hidden === shown)
		element.hidden = !shown;
}

/* keyed(parent, items, key, make, update): one child for each item, those that stay are kept, with
 * the focus in them. */
function keyed(parent, items, key, make, update) {
	const old = new Map();

	for (const child of [...parent.children]) {
		if (old.has(child.dataset.key))
			child.remove();
		else
			old.set(child.dataset.key, child);
	}
	let place = parent.firstElementChild;
	for (const item of items) {
		const name = String(key(item));
		let child = old.get(name);

		old.delete(name);
		if (!child) {
			child = make(item);
			child.dataset.key = name;
		}
		if (child === place)
			place = place.nextElementSibling;
		else
			parent.insertBefore(child, place);
		update?.(child, item);
	}
	for (const child of old.values())
		child.remove();
}

/* ---- numbers ---- */

const GROUPED = new Intl.NumberFormat('en-US');

const number = (n) => GROUPED.format(n);

const plural = (n, word) => `${number(n)} ${word}${n === 1 ? '' : 's'}`;

/* At most five characters: 9,999, 12.3k, 123k, 1.23M. */
function short(n) {
	if (n < 10000)
		return number(n);
	for (const [unit, letter] of [[1e3, 'k'], [1e6, 'M'], [1e9, 'G']]) {
		const value = n / unit;

		if (value < 999.5)
			return (value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)) + letter;
	}
	return n.toExponential(1);
}

function bytes(n) {
	for (const unit of ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']) {
		if (n < 1000 || unit === 'TiB')
			return (unit === 'bytes' || n >= 100 ? Math.round(n) : n.toFixed(1)) + '\u00a0' + unit;
		n /= 1024;
	}
}

/* ---- times ---- */

/* The two largest units: 5d 20h, 9m 3s. */
function span(seconds) {
	const units = [['d', 86400], ['h', 3600], ['m', 60], ['s', 1]];

	seconds = Math.max(0, Math.round(seconds));
	const i = units.findIndex(([, size]) => seconds >= size);
	if (i < 0)
		return '0s';
	const first = Math.floor(seconds / units[i][1]);
	const rest = i < 3 ? Math.floor((seconds % units[i][1]) / units[i + 1][1]) : 0;
	return first + units[i][0] + (rest ? '\u00a0' + rest + units[i + 1][0] : '');
}

const two = (n) => String(n).padStart(2, '0');

const clock = (date) => [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');

const day = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/* The daemon's own words for a moment, or seconds since 1970, as a Date; null without one. */
function moment(value) {
	const date = typeof value === 'number' ? new Date(value * 1000) : value ? new Date(value) : null;

	return date && !Number.isNaN(date.getTime()) ? date : null;
}

/* How far the daemon's clock is ahead of ours, ms: ages are reckoned by its clock. */
let clockAhead = 0;

const daemonNow = () => Date.now() + clockAhead;

/* "2026-11-28 17:20:15, in 5d 20h" */
function momentWords(value) {
	const date = moment(value);

	if (!date)
		return 'unknown';
	const distance = (date.getTime() - daemonNow()) / 1000;
	return `${day(date)} ${clock(date)}, ${distance > 0.5 ? 'in ' + span(distance) : span(-distance) + ' ago'}`;
}

const ageOf = (value) => (daemonNow() - moment(value).getTime()) / 1000;
