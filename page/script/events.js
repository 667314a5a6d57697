/* events.js - the last events, live, the newest first.
 *
 * However many come, the list is written four times a second at most, and holds so many lines. While it is paused it stays as it
 * is and counts. The stream is reopened where it broke off (Last-Event-ID); the daemon may be another one then, so that the last events
 * are asked for as well, and those that are there already are left out.
 */
const EVENTS_KEPT = 200;
const EVENTS_WRITE = 250;
const EVENTS_RETRY = 2000;
const JUST_NOW = 4; /* s: not one of those that are told again */

const ACTIONS = [
	'message-moved', 'message-deleted', 'message-bounced', 'message-departed', 'message-tracked', 'message-attempted',
	'message-busy', 'message-refused', 'move-failed', 'message-recovered', 'message-noticed', 'program-run', 'limit-reached',
	'domain-deferred', 'domain-recovered', 'tier-lost', 'tier-found', 'events-lost', 'resynced', 'events-dropped',
	'policy-loaded', 'policy-rejected', 'started', 'stopped',
];
const PROBLEMS = [
	'message-busy', 'message-refused', 'move-failed', 'limit-reached', 'domain-deferred', 'tier-lost', 'events-lost',
	'events-dropped', 'policy-rejected',
];
const MANY = ['message-tracked', 'message-attempted'];
const FILTERS = new Map([
	['usual', {title: 'all but arrivals and attempts', actions: ACTIONS.filter((action) => !MANY.includes(action))}],
	['all', {title: 'all', actions: null}],
	['problems', {title: 'problems', actions: PROBLEMS}],
	...ACTIONS.map((action) => [action, {title: actionWord(action), actions: [action]}]),
]);
const LEVELS = {error: '\u2715', warning: '\u25b2', notice: '\u2022'};

const events = {filter: 'usual', last: '', seen: new Set(), fresh: [], paused: false, timer: 0, dropped: 0};

function actionWord(action) {
	return plain(action).replace(/^message-/, '').replace(/-/g, ' ');
}

/* ---- lines ---- */

const idLink = (id) => el('a', {href: '#' + new URLSearchParams({id})}, el('bdi', {}, id));

function placeOf({move, tier}) {
	return move ? `${move.from} \u2192 ${move.to}` : tier ?? '';
}

function reasonOf(record) {
	const {qfwatch: {move, rule}, event: {reason}} = record;
	const name = move?.rule ?? rule;

	return [name, reason].filter(Boolean).join(': ');
}

/* A message's line is told by its fields, any other by its readable text. */
function eventLine(record) {
	const {event: {action}, email, qfwatch: more} = record;
	const level = record['log.level'];
	const date = moment(record['@timestamp']);
	const sign = LEVELS[level] ?? '';
	const rest = [more.remedy && ['; ', el('bdi', {}, sentence(more.remedy))], more.dry_run && ' (dry run)'];
	const words = email
		? [el('span', {class: 'id'}, idLink(email.local_id)), ' ', el('bdi', {class: 'place'}, placeOf(more)), ' ',
			el('span', {class: 'soft'}, el('bdi', {}, reasonOf(record)), rest)]
		: [el('span', {class: 'words'}, el('bdi', {}, record.message), el('span', {class: 'soft'}, rest))];

	return el('li', {class: level},
		el('time', {datetime: record['@timestamp']}, date ? clock(date) : ''),
		el('span', {class: 'sign'}, sign && el('span', {'aria-hidden': 'true'}, sign), sign && el('span', {class: 'unseen'}, level)),
		el('span', {class: 'action'}, actionWord(action)), ' ',
		words);
}

function writeEvents() {
	clearTimeout(events.timer);
	events.timer = 0;
	eventsNote();
	if (events.paused || !events.fresh.length)
		return;
	const list = byId('events-list');

	list.prepend(...events.fresh.splice(0).reverse().map(eventLine));
	while (list.children.length > EVENTS_KEPT)
		list.lastElementChild.remove();
}

function eventsNote() {
	const fresh = events.fresh.length >= EVENTS_KEPT ? `${EVENTS_KEPT} or more are new` : `${events.fresh.length} new`;
	const waiting = events.paused ? 'paused, ' + fresh : '';
	const dropped = events.dropped ? `${number(events.dropped)} came too fast to be shown` : '';

	say(byId('events-note'), [waiting, dropped].filter(Boolean).join(', ') ||
		(byId('events-list').children.length || events.fresh.length ? '' : 'none yet'));
}

function takeEvent({id, event, data}) {
	let record;

	if (id && events.seen.has(id))
		return;
	if (id) {
		events.last = id;
		events.seen.add(id);
		if (events.seen.size > 4 * EVENTS_KEPT)
			events.seen.delete(events.seen.values().next().value);
	}
	try {
		record = JSON.parse(data);
	} catch {
		return;
	}
	if (event === 'dropped') {
		events.dropped += record.dropped ?? 0;
	} else {
		const {actions} = FILTERS.get(events.filter);

		if (record.event?.action === 'message-moved' && record.qfwatch?.move && ageOf(record['@timestamp']) < JUST_NOW)
			flowMoved(record.qfwatch.move.from, record.qfwatch.move.to);
		if (!record.event || !record.qfwatch || (actions && !actions.includes(record.event.action)))
			return;
		events.fresh.push(record);
		if (events.fresh.length > EVENTS_KEPT)
			events.fresh.shift();
	}
	events.timer ||= setTimeout(writeEvents, EVENTS_WRITE);
}

/* ---- the stream ---- */

async function listen(signal) {
	const {actions} = FILTERS.get(events.filter);

	try {
		await readEvents(query('/api/v1/events', {recent: EVENTS_KEPT, action: actions?.join(',')}), {
			signal,
			last: events.last,
			each: takeEvent,
		});
	} catch (error) {
		if (signal.aborted || error.status === 401)
			return undefined;
		if (error instanceof Refused)
			say(byId('events-note'), sentence(error.message) + ' ' + sentence(error.remedy));
	}
	/* A stream that ends is the first sign that the daemon does: what was asked before is not waited for. */
	if (!signal.aborted)
		pulse.restart();
	return EVENTS_RETRY;
}

const eventsPoller = new Poller(EVENTS_RETRY, listen);

/* ---- controls ---- */

byId('events-filter').append(...Array.from(FILTERS, ([value, {title}]) => el('option', {value}, title)));

byId('events-filter').addEventListener('change', (change) => {
	events.filter = change.target.value;
	events.last = '';
	events.seen.clear();
	events.fresh = [];
	events.dropped = 0;
	byId('events-list').replaceChildren();
	eventsPoller.restart();
	eventsNote();
});

byId('events-pause').addEventListener('click', () => {
	events.paused = !events.paused;
	byId('events-pause').setAttribute('aria-pressed', String(events.paused));
	writeEvents();
});
