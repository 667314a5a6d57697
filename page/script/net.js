/* net.js - asking the daemon: one request of a kind at a time, none while the page is hidden. */

const TOKEN_KEY = 'qfwatch-token';
const LONGEST_ANSWER = 20000; /* ms; then the connection counts as lost */
const LONGEST_LINE = 1 << 16; /* of an event stream; the daemon's are at most 4096 bytes */

class Refused extends Error {
	constructor(status, error) {
		super(error?.reason || `the daemon answered ${status}`);
		this.status = status;
		this.remedy = error?.remedy || '';
	}
}

function headers(more = {}) {
	const token = sessionStorage.getItem(TOKEN_KEY);

	return token ? {...more, Authorization: 'Bearer ' + token} : more;
}

/* ask(path, {signal}): the JSON of an answer. Throws Refused for an answer that is an error, anything else when there was none. */
async function ask(path, {signal} = {}) {
	const limit = AbortSignal.timeout(LONGEST_ANSWER);
	const response = await fetch(path, {
		headers: headers(),
		cache: 'no-store',
		redirect: 'error',
		signal: signal ? AbortSignal.any([signal, limit]) : limit,
	});
	if (!response.ok)
		throw await refusalOf(response);
	return response.json();
}

async function refusalOf(response) {
	let error = null;

	try {
		error = (await response.json()).error;
	} catch {
		/* Not ours, or cut: the status says enough. */
	}
	if (response.status === 401)
		tokenNeeded();
	return new Refused(response.status, error);
}

/* query('/path', {a: 1, b: ''}): "/path?a=1"; what is empty is left out. */
function query(path, values) {
	const parameters = new URLSearchParams(Object.entries(values).filter(([, value]) => (value ?? '') !== ''));

	return parameters.size ? `${path}?${parameters}` : path;
}

/* ---- again and again ---- */

/* A poller calls work(signal) every `period` ms, counted from the end of the last call, so that a slow daemon is asked less
 * often. `work` returns a delay of its own (ms) or nothing. Nothing runs while the page is hidden. */
class Poller {
	static all = [];

	constructor(period, work) {
		this.period = period;
		this.work = work;
		this.timer = 0;
		this.running = null;
		Poller.all.push(this);
	}

	/* Now, or as soon as the call under way has ended. */
	now() {
		clearTimeout(this.timer);
		this.again = true;
		if (!this.running && !asleep())
			this.run();
	}

	/* The question has changed: the answer to the last one is not wanted any more. */
	restart() {
		this.running?.abort();
		this.now();
	}

	stop() {
		clearTimeout(this.timer);
		this.again = false;
		this.running?.abort();
	}

	async run() {
		const control = this.running = new AbortController();
		let delay;

		this.again = false;
		try {
			delay = await this.work(control.signal);
		} catch (error) {
			if (!control.signal.aborted)
				throw error;
		} finally {
			this.running = null;
			clearTimeout(this.timer);
			if (!asleep())
				this.timer = setTimeout(() => this.now(), this.again ? 0 : delay ?? this.period);
		}
	}
}

let tokenMissing = false;

const asleep = () => document.hidden || tokenMissing;

document.addEventListener('visibilitychange', () => {
	for (const poller of Poller.all)
		document.hidden ? poller.stop() : poller.now();
});

/* ---- the token ---- */

/* The daemon wants one, or another: nothing is asked until it has been given. */
function tokenNeeded() {
	if (tokenMissing)
		return;
	tokenMissing = true;
	say(byId('token-error'), sessionStorage.getItem(TOKEN_KEY) ? 'The daemon did not take that token.' : '');
	sessionStorage.removeItem(TOKEN_KEY);
	showState('token', 'A token is needed', 'The daemon answers only those who send one.');
	tokenAsk();
}

function tokenAsk() {
	byId('token-value').value = '';
	byId('token').showModal();
}

byId('token-form').addEventListener('submit', (event) => {
	const value = byId('token-value').value.trim();

	event.preventDefault();
	if (!/^[\x21-\x7e]+$/.test(value)) {
		say(byId('token-error'), 'A token has only letters, digits and signs, no spaces.');
		return;
	}
	sessionStorage.setItem(TOKEN_KEY, value);
	tokenMissing = false;
	byId('token').close();
	showState('wait', 'Connecting', '');
	for (const poller of Poller.all)
		poller.restart();
});

/* ---- events ---- */

/* Reads a stream of server-sent events until it ends: each({id, event, data}) for every one. Not EventSource, which sends no
 * Authorization header. */
async function readEvents(path, {signal, last, opened, each}) {
	const response = await fetch(path, {
		headers: headers(last ? {Accept: 'text/event-stream', 'Last-Event-ID': last} : {Accept: 'text/event-stream'}),
		cache: 'no-store',
		redirect: 'error',
		signal,
	});
	if (!response.ok)
		throw await refusalOf(response);
	opened?.();
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '', record = {};
	for (;;) {
		const {done, value} = await reader.read();

		if (done)
			return;
		const lines = (rest + value).split('\n');
		rest = lines.pop();
		if (rest.length > LONGEST_LINE)
			throw new Error('a line of the event stream does not end');
		for (const line of lines)
			record = readField(line.replace(/\r$/, ''), record, each);
	}
}

function readField(line, record, each) {
	if (line === '') {
		if (record.data !== undefined)
			each(record);
		return {};
	}
	const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
	if (name === 'data')
		record.data = record.data === undefined ? value : record.data + '\n' + value;
	else if (name === 'id' || name === 'event')
		record[name] = value;
	return record;
}
