/* state.js - the head of the page: is it sound, what is the daemon doing, how fresh is what stands here.
 *
 * One poller asks for status and tiers, one after the other. When it gets no answer the page says so at once, keeps what it
 * has, without colour, and asks again until there is one.
 */
const PULSE = 2000;
const SLOW_ANSWER = 4000;
const SLOWEST_RETRY = 5000;

const SIGNS = {sound: '\u25cf', trouble: '\u25b2', lost: '\u2715', wait: '\u25cb', token: '\u25cb'};

const heard = {at: null, lostAt: null, failures: 0};

/* The state in one line. It is a live region: it changes when the state does, not with every answer. */
function showState(kind, what, more, action = null) {
	const line = byId('state');
	const [sign, strong, rest] = line.children;

	if (line.dataset.kind !== kind)
		line.dataset.kind = kind;
	say(sign, SIGNS[kind]);
	say(strong, what);
	say(rest, more);
	line.querySelector('button')?.remove();
	if (kind === 'token')
		line.append(el('button', {type: 'button', onclick: tokenAsk}, 'Enter it'));
	document.body.classList.toggle('stale', kind === 'lost' || kind === 'token');
	say(document.querySelector('title'), `${SIGNS[kind]} ${kind === 'sound' ? '' : what + ' \u2013 '}qfwatch ${byId('host').textContent}`);
}

function sentence(text) {
	text = plain(text).trim();
	return text && !/[.!?]$/.test(text) ? text + '.' : text;
}

function troubleOf(status) {
	const found = [...status.trouble];

	if (status.policy.rejected && !found.some((trouble) => /policy/.test(trouble.kind)))
		found.push({
			kind: 'policy',
			text: 'the saved policy was rejected: ' + status.policy.rejected.reason,
			remedy: 'the one before stays in force; qfwatch check tells all that is wrong',
		});
	return found;
}

/* The daemon says of itself that nothing is wrong; doctor may know better of what is around it. */
function findingsWords() {
	const {error, warning} = doctorFound ?? {};
	const some = [[error, 'error'], [warning, 'warning']].filter(([n]) => n).map(([n, word]) => plural(n, word));

	if (!doctorFound)
		return 'The daemon has nothing to complain of.';
	return some.length ? `Doctor has found ${some.join(' and ')}.` : 'Nothing is wrong.';
}

function showTrouble(status) {
	const found = troubleOf(status);
	const dry = status.dry_run ? ' Dry run: it only tells what it would do.' : '';

	if (found.length === 1)
		showState('trouble', sentence(found[0].text), sentence(found[0].remedy) + dry);
	else if (found.length)
		showState('trouble', `${found.length} things are wrong`, 'Each with its remedy below.' + dry);
	else if (status.round.running === 'start')
		showState('wait', 'First scan', 'The spool is being read; what stands here is what was found so far.' + dry);
	else
		showState('sound', 'Works', findingsWords() + dry);
	show(byId('trouble'), found.length > 1);
	keyed(byId('trouble').querySelector('ul'), found.length > 1 ? found : [], (trouble) => trouble.kind + '\n' + trouble.text,
		() => el('li', {}, el('strong'), ' ', el('span')),
		(item, trouble) => {
			say(item.children[0], sentence(trouble.text));
			say(item.children[1], sentence(trouble.remedy));
		});
}

/* ---- the daemon ---- */

const STATES = ['new', 'writing', 'busy', 'moving', 'bouncing', 'waiting', 'failed', 'refused'];

function statesWords(states) {
	return STATES.filter((state) => states[state]).map((state) => `${number(states[state])} ${state}`).join(', ');
}

function daemonFacts(status) {
	const {messages, policy} = status;
	const states = statesWords(messages);
	const due = moment(status.next_deadline);
	const facts = [
		['Messages', number(messages.total) + (states ? ` (${states})` : '')],
		['Policy', [policy.path.replace(/^.*\//, ''), plural(policy.tiers, 'tier'), plural(policy.rules, 'rule'),
			'loaded ' + momentShort(policy.loaded_at)].join(', ')],
		['Daemon', `${status.version}, pid ${status.pid}, up ${span(status.uptime)}`],
		['Memory', bytes(status.memory.resident_bytes)],
		['Directories', directoriesWords(status.directories)],
		['Next deadline', due ? (due.getTime() - daemonNow() > 500 ? 'in ' + span((due.getTime() - daemonNow()) / 1000) : 'now') : 'nothing'],
	];
	if (status.round.running)
		facts.push(['Scanning', status.round.running]);
	if (status.events.dropped)
		facts.push(['Events dropped', number(status.events.dropped)]);
	if (status.notifications.overflows)
		facts.push(['Overflows', number(status.notifications.overflows)]);
	return facts;
}

function directoriesWords({watched, polled, lost}) {
	const some = [[watched, 'watched'], [polled, 'polled'], [lost, 'lost']].filter(([n]) => n);

	return some.map(([n, word]) => `${n} ${word}`).join(', ') || 'none';
}

function momentShort(value) {
	const date = moment(value);

	if (!date)
		return 'never';
	return day(date) === day(new Date(daemonNow())) ? clock(date) : day(date);
}

function showDaemon(status) {
	const facts = [['Updated', clock(new Date())], ...daemonFacts(status)];

	say(byId('host'), status.host);
	byId('daemon').dataset.run = status.run;
	keyed(byId('daemon'), facts, ([name]) => name,
		([name]) => el('div', {}, el('dt', {}, name), el('dd')),
		(item, [, value]) => say(item.children[1], value));
	byId('daemon').title = plain(status.policy.path);
}

/* ---- the pulse ---- */

function lost(error) {
	heard.failures++;
	heard.lostAt ??= new Date();
	if (error instanceof Refused)
		showState('lost', `The daemon refuses: ${sentence(error.message)}`, sentence(error.remedy));
	else
		showState('lost', 'No connection', `The daemon has not answered since ${clock(heard.lostAt)}` +
			(heard.at ? `; what stands here is of ${clock(heard.at)}` : '') + '. Trying again by itself.');
	return Math.min(SLOWEST_RETRY, 500 * 2 ** Math.min(heard.failures, 6));
}

async function beat(signal) {
	const slow = setTimeout(() => {
		if (!heard.failures)
			showState('wait', 'Waiting', 'The daemon is slow to answer.');
	}, SLOW_ANSWER);

	let status, tiers;

	try {
		status = await ask('/api/v1/status', {signal});
		tiers = await ask('/api/v1/tiers', {signal});
	} catch (error) {
		if (signal.aborted || error.status === 401)
			return undefined;
		return lost(error);
	} finally {
		clearTimeout(slow);
	}
	const back = heard.failures > 0;

	heard.failures = 0;
	heard.lostAt = null;
	heard.at = new Date();
	/* A second or two is the grain of the times and the way through the network, no difference. */
	clockAhead = moment(status.now).getTime() - Date.now();
	if (Math.abs(clockAhead) < 2000)
		clockAhead = 0;
	showDaemon(status);
	showTiers(tiers);
	showHour(tiers.history);
	showTrouble(status);
	if (back)
		comeBack();
	return undefined;
}

const pulse = new Poller(PULSE, beat);

/* The daemon answers again: what waits longer than the pulse need not. */
function comeBack() {
	for (const poller of Poller.all)
		if (poller !== pulse)
			poller.now();
}
