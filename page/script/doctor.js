/* doctor.js - what qfwatch doctor finds: asked seldom, because a program has to run for it. */

const DOCTOR_PERIOD = 120000;
const DOCTOR_RETRY = 20000;
/* How many findings of each severity there were last; null: doctor has not been heard yet. */
let doctorFound = null;

const SEVERITY = {error: '\u2715', warning: '\u25b2', note: '\u2022'};

async function askDoctor(signal) {
	let answer;

	try {
		answer = await ask('/api/v1/doctor', {signal});
	} catch (error) {
		if (signal.aborted || error.status === 401)
			return undefined;
		if (error instanceof Refused)
			byId('doctor-body').replaceChildren(el('p', {class: 'soft'}, sentence(error.message) + ' ' + sentence(error.remedy)));
		return DOCTOR_RETRY;
	}
	showDoctor(answer);
	return undefined;
}

const doctorPoller = new Poller(DOCTOR_PERIOD, askDoctor);

function findingMake(finding) {
	return el('li', {class: finding.severity},
		el('span', {class: 'sign', 'aria-hidden': 'true'}, SEVERITY[finding.severity] ?? ''),
		el('div', {},
			el('details', {},
				el('summary', {}, el('span', {class: 'unseen'}, finding.severity + ': '), el('strong'), el('span', {class: 'soft'})),
				el('ul', {'aria-label': 'Evidence'})),
			el('p', {class: 'remedy'})));
}

function findingUpdate(item, finding) {
	const [details, remedy] = item.lastChild.children;
	const [what, evidence] = details.children;

	say(what.children[1], sentence(finding.what));
	say(what.children[2], finding.tier && !finding.what.includes(finding.tier) ? ' ' + finding.tier : '');
	say(remedy, sentence(finding.remedy));
	keyed(evidence, finding.evidence.length ? finding.evidence : ['no more is known'], (line) => line, () => el('li'),
		(line, text) => say(line, text));
}

function showDoctor({at, findings, checked}) {
	const body = byId('doctor-body');
	const when = moment(at);

	doctorFound = {};
	for (const {severity} of findings)
		doctorFound[severity] = (doctorFound[severity] ?? 0) + 1;
	say(byId('doctor-note'), (findings.length ? plural(findings.length, 'finding') + ' in ' : '') +
		plural(checked.length, 'check') + (when ? ', ' + clock(when) : ''));
	if (!findings.length) {
		body.replaceChildren(el('p', {class: 'sound'}, el('span', {class: 'sign', 'aria-hidden': 'true'}, SIGNS.sound), ' No findings.'));
		return;
	}
	if (body.firstElementChild?.localName !== 'ul')
		body.replaceChildren(el('ul', {class: 'findings'}));
	keyed(body.firstElementChild, findings, ({id, severity, tier, what}) => [id, severity, tier, what].join('\n'), findingMake,
		findingUpdate);
}
