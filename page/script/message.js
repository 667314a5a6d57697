/* message.js - search: a queue id with the explanation of where its message stands, or the messages for a domain.
 *
 * What is searched stands in the address: #id=6AMHKF..., #domain=example.net&tier=QUEUE. So it can be linked, and the
 * browser's way back works.
 */
const FOUND_AT_ONCE = 50;
const EXPLAINED_PERIOD = 5000;
const RECIPIENTS_SHOWN = 10;
const HOLDS = {yes: '\u2713', no: '\u2715', unknown: '?'};

let searching = null;

/* ---- the question ---- */

const wanted = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

/* A queue id has neither dot nor at sign; globs are for domains. */
function hashFor(text) {
	const domain = text.replace(/^.*@/, '').toLowerCase();

	return '#' + new URLSearchParams(/[.@*?]/.test(text) ? {domain} : {id: text.replace(/^[qdtxhQ]f/, '')});
}

byId('search').addEventListener('submit', (event) => {
	const text = byId('wanted').value.trim();

	event.preventDefault();
	if (!text)
		return;
	if (location.hash === hashFor(text))
		search(true);
	else
		location.hash = hashFor(text);
});

/* Not by its address, which says what is searched. */
document.querySelector('.skip').addEventListener('click', (event) => {
	event.preventDefault();
	byId('main').focus();
});

addEventListener('hashchange', () => search(true));

byId('message-close').addEventListener('click', () => {
	history.pushState(null, '', location.pathname);
	search(false);
	byId('wanted').focus();
});

/* `asked`: somebody waits for it; the heading of the answer gets the focus, so that it is read. */
function search(asked) {
	const {id, domain, tier} = wanted();
	const section = byId('message');

	searching?.abort();
	explained.id = id ?? '';
	explained.text = '';
	show(section, Boolean(id || domain));
	if (section.hidden)
		return;
	byId('wanted').value = id ?? domain;
	say(byId('message-title'), id ?? domain);
	byId('message-body').replaceChildren(el('p', {class: 'soft'}, 'Asking\u2026'));
	if (asked) {
		byId('message-title').focus({preventScroll: true});
		section.scrollIntoView({block: 'nearest', behavior: 'auto'});
	}
	if (id) {
		explainedPoller.restart();
	} else {
		searching = new AbortController();
		searchDomain(domain, tier ?? '', searching.signal);
	}
}

/* The explanation is asked for again while it is shown, so that a message on its way is seen; it is written anew only when it says
 * something else. */
const explained = {id: '', text: ''};

async function askExplained(signal) {
	const {id} = explained;

	if (!id)
		return;
	try {
		const {messages, rejected} = await ask('/api/v1/messages/' + encodeURIComponent(id), {signal});
		const text = JSON.stringify([rejected, ...messages.map((message) => ({...message, at: ''}))]);

		if (text !== explained.text)
			byId('message-body').replaceChildren(...messages.map(explanation),
				...(rejected ? [el('p', {class: 'remedy'},
					'By the policy in force: the saved one was rejected: ', el('bdi', {}, sentence(rejected.reason)))] : []));
		explained.text = text;
	} catch (error) {
		if (signal.aborted || error.status === 401)
			return;
		/* What was shown stays, unless the daemon knows better. */
		if (error instanceof Refused || !explained.text)
			refusedSearch(error);
		if (error instanceof Refused)
			explained.id = explained.text = '';
	}
}

const explainedPoller = new Poller(EXPLAINED_PERIOD, askExplained);

function refusedSearch(error) {
	byId('message-body').replaceChildren(el('p', {}, error instanceof Refused ? sentence(error.message) : 'The daemon does not answer.'),
		...(error.remedy ? [el('p', {class: 'remedy'}, sentence(error.remedy))] : []));
}

/* ---- the messages for a domain ---- */

async function searchDomain(domain, tier, signal) {
	const table = el('tbody');
	const count = el('p', {class: 'soft'});
	const more = el('button', {type: 'button', hidden: true}, 'More');
	let cursor = '';

	const next = async () => {
		more.disabled = true;
		try {
			take(await ask(query('/api/v1/messages', {domain, tier, limit: FOUND_AT_ONCE, cursor}), {signal}));
		} catch (error) {
			if (!signal.aborted && !cursor)
				refusedSearch(error);
		}
		more.disabled = false;
	};
	const take = (answer) => {
		if (!cursor)
			byId('message-body').replaceChildren(count, foundTable(domain, table), more);
		table.append(...answer.messages.map(foundRow));
		cursor = answer.next ?? '';
		more.hidden = !cursor;
		show(table.closest('.scroll'), table.children.length > 0);
		const what = `for ${domain}${tier ? ' in ' + tier : ''}`;
		const some = `${plural(table.children.length, 'message')}${cursor ? ' and more' : ''} ${what}`;
		say(count, table.children.length ? some : `No messages ${what}.`);
	};
	more.addEventListener('click', next);
	await next();
}

const COLUMNS = ['Id', 'Tier', 'Age', 'Attempts', 'Recipient', 'Status', 'Next'];

function foundTable(domain, body) {
	return el('div', {class: 'scroll', tabindex: '0', role: 'group', 'aria-label': `Messages for ${domain}`},
		el('table', {class: 'found'},
			el('thead', {}, el('tr', {}, COLUMNS.map((title) => el('th', {scope: 'col'}, title)))), body));
}

function nextWords(next) {
	if (!next)
		return '';
	const date = moment(next.at);
	const seconds = date ? (date.getTime() - daemonNow()) / 1000 : 0;

	return `${next.action}${next.to ? ' to ' + next.to : ''}${seconds > 0 ? ' in ' + span(seconds) : ' now'}`;
}

function foundRow(message) {
	const [first, ...others] = message.recipients;

	return el('tr', {},
		el('th', {scope: 'row'}, idLink(message.queue_id)),
		el('td', {}, el('bdi', {}, message.tier), message.state !== 'idle' && ` (${message.state})`),
		el('td', {}, message.arrival_time ? span(ageOf(message.arrival_time)) : ''),
		el('td', {}, number(message.attempts)),
		el('td', {}, el('bdi', {}, first?.address ?? ''), others.length > 0 && ` and ${number(others.length)} more`),
		el('td', {class: 'soft'}, el('bdi', {}, first?.delay_reason ?? '')),
		el('td', {}, nextWords(message.next_move)));
}

/* ---- one message, explained ---- */

function term(name, ...value) {
	return el('div', {}, el('dt', {}, name), el('dd', {}, ...value));
}

function lockWords(lock) {
	if (!lock.pid)
		return 'held by a process that cannot be seen';
	return `held by ${lock.program}, pid ${lock.pid}${lock.title ? ': ' + lock.title : ''}`;
}

function recipientsTerm({count, addresses}) {
	const shown = addresses.slice(0, RECIPIENTS_SHOWN).flatMap((address, i) => [i ? ', ' : '', el('bdi', {}, address)]);

	return term(count === 1 ? 'Recipient' : `${number(count)} recipients`, shown, count > RECIPIENTS_SHOWN && ', \u2026');
}

function fieldsOf(e) {
	const {fields, lock, daemon} = e;
	const terms = [];

	if (fields.trouble)
		terms.push(term('Unreadable', fields.trouble));
	if (fields.created)
		terms.push(term('Created', momentWords(fields.created)));
	if (fields.attempts !== undefined)
		terms.push(term('Attempts', number(fields.attempts), fields.last_attempt ? ', the last ' + momentWords(fields.last_attempt) : ''));
	if (fields.recipients)
		terms.push(term('Sender', el('bdi', {}, fields.sender ?? 'none')), recipientsTerm(fields.recipients));
	if (fields.status)
		terms.push(term('Status', el('bdi', {}, fields.status)));
	if (fields.size !== undefined)
		terms.push(term('Body', bytes(fields.size)));
	if (fields.quarantined)
		terms.push(term('Quarantined', 'by sendmail: only rules that name \u201cquarantined\u201d touch it'));
	if (lock?.held)
		terms.push(term('Lock', el('bdi', {}, lockWords(lock))));
	if (daemon && !daemon.running)
		terms.push(term('Daemon', 'none runs for this tier'));
	terms.push(term('File', el('bdi', {class: 'path'}, e.file)));
	return el('dl', {class: 'fields'}, terms);
}

function waitWords(wait) {
	if (!wait)
		return '';
	const parts = [];

	if (wait.attempts !== undefined)
		parts.push(`after ${plural(wait.attempts, 'more attempt')}${wait.not_before ? ', not before ' + momentWords(wait.not_before) : ''}`);
	if (wait.at)
		parts.push('at ' + momentWords(wait.at));
	return parts.join(', or ');
}

function decisionWords(e) {
	const {decision} = e;
	const by = decision.rule ? ` (${decision.rule})` : '';

	switch (decision.action) {
	case 'move':
		return `Due now: moves to ${decision.target}${by}`;
	case 'delete':
		return `Due now: is deleted${by}`;
	case 'bounce':
		return `Due now: is returned to its sender${by}`;
	case 'keep':
		return `It stays: kept${by}`;
	case 'unknown':
		return `It depends on what only the running daemon knows${by}; otherwise ${decision.otherwise ?? 'it stays'}`;
	default:
		return `It stays: ${e.rules.length ? 'no rule that decides holds' : 'no rule is for it'}`;
	}
}

function holdsSign(holds) {
	return el('span', {class: 'sign ' + holds},
		el('span', {'aria-hidden': 'true'}, HOLDS[holds] ?? '?'), el('span', {class: 'unseen'}, holds + ': '));
}

function conditionsOf(conditions) {
	return el('ul', {class: 'conditions'}, conditions.map((condition) => el('li', {},
		holdsSign(condition.holds), el('bdi', {}, condition.text),
		condition.holds === 'unknown' && !condition.conditions && el('span', {class: 'soft'}, ' only the running daemon knows'),
		condition.conditions && conditionsOf(condition.conditions))));
}

function ruleOf(rule) {
	const wait = waitWords(rule.waits_for);

	return el('li', {class: rule.decides ? 'decides' : rule.reached ? '' : 'unreached'},
		el('p', {}, rule.reached ? holdsSign(rule.holds) : el('span', {class: 'sign', 'aria-hidden': 'true'}, '\u2013'),
			el('strong', {}, el('bdi', {}, rule.name)), ': ', el('bdi', {}, rule.does),
			!rule.reached && el('span', {class: 'soft'}, ' (not reached)'), wait && el('span', {class: 'wait'}, ' ', wait)),
		rule.reached && conditionsOf(rule.conditions));
}

function blockerOf(blocker) {
	return el('li', {class: blocker.now ? 'alert' : ''},
		el('strong', {}, blocker.now ? '\u25b2 In the way: ' : 'Note: '),
		el('bdi', {}, sentence(blocker.text)), ' ', el('bdi', {class: 'remedy'}, sentence(blocker.remedy)));
}

function explanation(e) {
	return el('article', {'aria-label': `${e.id} in ${e.tier ?? 'no tier'}`},
		el('p', {class: 'verdict'},
			el('strong', {}, e.in_tier ? `In ${e.tier}` : 'In no tier of the policy'), '. ', e.decision && decisionWords(e) + '.'),
		e.blockers.length > 0 && el('ul', {class: 'blockers'}, e.blockers.map(blockerOf)),
		el('div', {class: 'halves'},
			fieldsOf(e),
			e.rules && el('div', {}, el('h3', {}, `Rules of ${e.tier}`),
				e.rules.length ? el('ol', {class: 'rules'}, e.rules.map(ruleOf)) : el('p', {class: 'soft'}, 'none'))));
}
