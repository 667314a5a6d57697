/* flow.js - the tiers and what flows between them, drawn where graph.js says.
 *
 * The tiers are elements, so that they can be read, selected and reached with the keyboard; lines and their numbers are drawn
 * beside them in SVG, which readers of the screen do not see: they have the list #flow-words and the terms in each card.
 */
const DOTS_AT_ONCE = 3; /* each makes the browser draw at every frame */
const SPINE_WIDEST = 555;

const flow = {
	answer: null,
	graph: null,
	lines: new Map(), /* "from\nto" -> the path, for the dots */
	dots: 0,
};

const flowKey = (from, to) => from + '\n' + to;

/* All flows that the policy knows or that were seen, once each. */
function graphOf({tiers, flows, rules}) {
	const index = new Map(tiers.map((tier, i) => [tier.name, i]));
	const edges = new Map();
	const add = (from, to, counts) => {
		if (index.has(from) && index.has(to) && from !== to && !edges.has(flowKey(from, to)))
			edges.set(flowKey(from, to), {from: index.get(from), to: index.get(to), counts});
	};

	for (const each of flows)
		add(each.from, each.to, each);
	for (const rule of rules)
		if (rule.action === 'move' && rule.target)
			rule.tiers.forEach((tier) => add(tier, rule.target, {total: 0, minute: 0, hour: 0}));
	return {
		nodes: tiers.map((tier) => ({name: tier.name, tier})),
		edges: [...edges.values()],
	};
}

/* ---- cards ---- */

const AGES = [['1h', 'older than an hour'], ['1d', 'older than a day'], ['3d', 'older than 3 days'], ['5d', 'older than 5 days']];

function cardMake(tier) {
	return el('li', {},
		el('h3', {}, el('button', {type: 'button', onclick: () => shapeSelect(tier.name)},
			el('bdi', {}, tier.name), el('span', {class: 'unseen'}, ': its age by domain'))),
		el('p', {class: 'count'}),
		el('p', {class: 'soft oldest'}),
		el('div', {class: 'ages', role: 'img'}, ...AGES.map(() => el('i')), el('i')),
		el('p', {class: 'states'}),
		el('p', {class: 'lost'}),
		el('p', {class: 'unseen'}));
}

function cardUpdate(card, tier) {
	const [title, count, oldest, ages, states, lost, rates] = card.children;
	const broken = tier.directories.filter((directory) => directory.state === 'lost');
	const polled = tier.directories.filter((directory) => directory.state === 'polled');

	title.firstChild.setAttribute('aria-pressed', String(shapeState.tier === tier.name));
	say(count, card.offsetWidth && card.offsetWidth < 136 ? short(tier.messages) : number(tier.messages));
	count.title = plural(tier.messages, 'message');
	const age = tier.oldest && 'oldest ' + span(ageOf(tier.oldest));
	say(oldest, tier.messages ? [age, card.offsetWidth > 200 && bytes(tier.bytes)].filter(Boolean).join(', ') : 'empty');
	agesUpdate(ages, tier);
	say(states, statesWords(tier.states));
	show(states, states.textContent !== '');
	const few = tier.directories.length === 1 ? 'directory' : `${broken.length} of ${tier.directories.length} directories`;
	say(lost, broken.length ? `\u25b2 ${few} lost` : polled.length ? 'polled, not watched' : '');
	show(lost, lost.textContent !== '');
	lost.classList.toggle('alert', broken.length > 0);
	lost.title = plain(broken.map(({path, error}) => `${path}: ${error ?? 'lost'}`).join('\n'));
	say(rates, ratesWords(tier));
}

const perMinute = (rate) => `${number(rate.minute)} in the last minute, ${number(rate.hour)} in the last hour`;

function ratesWords({rates, bytes: size}) {
	return `Arrived: ${perMinute(rates.arrived)}. Departed: ${perMinute(rates.departed)}. Deleted: ${perMinute(rates.deleted)}. ` +
		`Attempts: ${perMinute(rates.attempted)}. Bodies: ${bytes(size)}.`;
}

/* A bar in five parts, from younger than an hour to older than five days: the older, the darker. */
function agesUpdate(bar, tier) {
	const older = AGES.map(([key]) => tier.older_than[key] ?? 0);
	const parts = [tier.messages - older[0], ...older.map((n, i) => n - (older[i + 1] ?? 0))].map((n) => Math.max(0, n));

	parts.forEach((n, i) => {
		bar.children[i].style.flexGrow = String(n);
		bar.children[i].hidden = n === 0;
	});
	const words = AGES.filter((_, i) => older[i]).map(([, word], i) => `${number(older[i])} ${word}`).join(', ') || 'none older than an hour';
	bar.setAttribute('aria-label', words);
	bar.title = words;
}

/* ---- drawing ---- */

function showTiers(answer) {
	flow.answer = answer;
	shapeTiers(answer.tiers.map((tier) => tier.name));
	drawFlow();
}

function drawFlow() {
	if (!flow.answer)
		return;
	const {answer} = flow;
	const graph = graphOf(answer);
	const box = byId('flow');
	let plan = planGraph(graph, byId('main').clientWidth);

	/* What does not fit from left to right stands beside the other sections, where there is room for both. */
	byId('main').dataset.flow = plan.kind;
	const width = box.clientWidth;
	if (plan.kind === 'spine')
		plan = planGraph(graph, Math.min(width, SPINE_WIDEST));

	keyed(byId('flow-cards'), answer.tiers, (tier) => tier.name, cardMake, cardUpdate);
	const cards = [...byId('flow-cards').children];
	for (const card of cards)
		card.style.width = plan.card + 'px';
	graph.nodes.forEach((node, i) => {
		const {rates} = node.tier;

		node.width = plan.card;
		node.height = cards[i].offsetHeight;
		node.arrives = rates.arrived.hour > 0 || rates.arrived.minute > 0 || !graph.edges.some((edge) => edge.to === i);
		node.departs = true;
	});
	box.dataset.kind = plan.kind;
	const drawn = plan.kind === 'layered' ? layered(graph, plan, width) : spine(graph, plan, width);

	drawn.places.forEach((place, i) => {
		cards[i].style.transform = `translate(${Math.round(place.x)}px, ${Math.round(place.y)}px)`;
	});
	box.style.height = Math.ceil(drawn.height) + 'px';
	drawLines(graph, drawn, width);
	flowWords(graph);
	say(byId('tiers-note'), answer.tiers.length ? 'rates of the last full minute, below them of the last hour' : 'the policy has none');
}

function drawLines(graph, drawn, width) {
	const canvas = byId('flow-lines');
	const parts = [];

	for (const element of [canvas, byId('flow-dots')]) {
		element.setAttribute('width', width);
		element.setAttribute('height', Math.ceil(drawn.height));
	}
	flow.lines.clear();
	for (const line of drawn.lines) {
		const {counts} = line.edge;
		const names = [graph.nodes[line.edge.from].name, graph.nodes[line.edge.to].name];

		flow.lines.set(flowKey(...names), line.d);
		parts.push(lineOf(line, counts.hour || counts.minute, line.back ? 'back' : 'on'));
		parts.push(labelOf(line.label, counts, line.label.named ? `to ${cut(names[1])} ` : ''));
	}
	for (const stub of drawn.stubs) {
		const {rates} = graph.nodes[stub.node].tier;
		const rate = stub.kind === 'arrive' ? rates.arrived : rates.departed;

		parts.push(lineOf(stub, rate.hour || rate.minute, stub.kind));
		parts.push(stub.kind === 'arrive' ? labelOf(stub.label, rate, stub.label.one ? 'in ' : '') : leaving(stub.label, rates));
	}
	canvas.replaceChildren(...parts.filter(Boolean));
}

const cut = (name) => name.length > 15 ? [...name].slice(0, 14).join('') + '\u2026' : name;

/* The more has passed in the last hour, the thicker; nothing: a thin grey line. */
function lineOf({d, head}, passed, kind) {
	const thick = passed ? Math.min(kind === 'back' ? 2.25 : 4.5, 1.5 + Math.log10(1 + passed) * 0.6) : 1;

	return svg('g', {class: `line ${kind} ${passed ? 'alive' : 'idle'}`},
		svg('path', {d, 'stroke-width': thick.toFixed(2)}),
		svg('path', {class: 'head', d: headOf(head)}));
}

function headOf({x, y, to}) {
	const [a, b] = [9, 4.5];

	return to === 'right' ? `M${x - a} ${y - b} L${x} ${y} L${x - a} ${y + b} Z` : `M${x - b} ${y - a} L${x} ${y} L${x + b} ${y - a} Z`;
}

const rateText = (rate) => `${short(rate.minute)}/min`;
const hourText = (rate) => `${short(rate.hour)}/h`;

function labelOf({x, y, anchor, one, named}, rate, prefix) {
	const group = {class: rate.hour || rate.minute ? 'label' : 'label idle'};
	const text = (dy, name, words) => svg('text', {x, y: y + dy, 'text-anchor': anchor, class: name}, words);

	if (!one)
		return svg('g', group, text(-6, 'rate', rateText(rate)), text(15, 'hour', hourText(rate)));
	return svg('g', group, text(4, null, [
		prefix && svg('tspan', {class: 'hour'}, prefix),
		svg('tspan', {class: 'rate'}, rateText(rate)),
		!named && svg('tspan', {class: 'hour', dx: 6}, hourText(rate)),
	]));
}

/* What leaves a tier for good: departed (delivered, returned), and deleted where there is any. */
function leaving({x, y, narrow: two, short: brief}, {departed, deleted}) {
	const row = (at, rate, word) => [
		svg('text', {x, y: y + 14 * (two ? 2 * at : at)}, svg('tspan', {class: 'rate'}, rateText(rate)),
			!two && svg('tspan', {class: 'hour', dx: 5}, word)),
		two && svg('text', {x, y: y + 14 * (2 * at + 1)}, svg('tspan', {class: 'hour'}, word)),
	];

	return svg('g', {class: departed.hour || deleted.hour ? 'label' : 'label idle'}, row(0, departed, brief ? 'out' : 'departed'),
		(deleted.hour > 0 || deleted.minute > 0) && row(1, deleted, 'deleted'));
}

function flowWords(graph) {
	const name = (i) => graph.nodes[i].name;

	keyed(byId('flow-words'), graph.edges, ({from, to}) => flowKey(name(from), name(to)), () => el('li'),
		(item, {from, to, counts}) =>
			say(item, `${name(from)} to ${name(to)}: ${perMinute(counts)}, ${number(counts.total)} since the start`));
}

/* ---- a move, seen ---- */

const stillness = matchMedia('(prefers-reduced-motion: reduce)');

/* A dot goes along the line of a move that has just been made. */
function flowMoved(from, to) {
	const d = flow.lines.get(flowKey(from, to));

	if (!d || stillness.matches || document.hidden || flow.dots >= DOTS_AT_ONCE)
		return;
	const dot = svg('circle', {r: 4});

	dot.style.offsetPath = `path("${d}")`;
	byId('flow-dots').append(dot);
	flow.dots++;
	const way = [{offsetDistance: '0%', opacity: 0}, {opacity: 1, offset: 0.15}, {opacity: 1, offset: 0.85},
		{offsetDistance: '100%', opacity: 0}];
	dot.animate(way, {duration: 1100, easing: 'ease-in-out'}).finished.finally(() => {
		flow.dots--;
		dot.remove();
	});
}

new ResizeObserver(() => drawFlow()).observe(byId('tiers'));
