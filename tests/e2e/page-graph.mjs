// page-graph.mjs - the geometry of the page's tiers and flows, over random policies: no two cards on one another, none outside, every line
// from its tier to its tier, each tier right of (or below) those that lead to it. For 45-page.sh.
//
// usage: node page-graph.mjs GRAPH-JS GRAPHS SEED
// Writes "ok", a tab and what was looked at, or "not ok", what, and the first graph for which it does not hold.
import {readFileSync} from 'node:fs';

const [, , file, graphs, seed] = process.argv;
const {planGraph, layered, spine} = new Function(
	readFileSync(file, 'utf8') + '\nreturn {planGraph, layered, spine};',
)();

let random = Number(seed);
const any = (n) => {
	random = (random * 1103515245 + 12345) % 2147483648;
	return Math.floor(random / 65536) % n;
};

function anyGraph() {
	const count = 1 + any(any(4) ? 9 : 64);
	const nodes = Array.from({length: count}, (_, i) => ({
		name: 'T' + i,
		height: 70 + any(60),
		arrives: any(2) === 1,
		departs: true,
	}));
	const edges = [];
	const seen = new Set();

	for (let i = any(2 * count + 1); i > 0; i--) {
		const from = any(count),
			to = any(count);

		if (from !== to && !seen.has(from + ' ' + to)) {
			seen.add(from + ' ' + to);
			edges.push({from, to});
		}
	}
	return {nodes, edges, width: [336, 480, 730, 990, 1392, 1870][any(6)]};
}

// The first and the last point of a path, all of whose commands are absolute but a last v or h.
function ends(d) {
	const numbers = d.match(/-?\d+(\.\d+)?(e-?\d+)?/g).map(Number);

	return {first: numbers.slice(0, 2), sound: !/NaN|undefined|Infinity/.test(d)};
}

function look(graph) {
	const wrong = [];
	const plan = planGraph(graph, graph.width);
	const drawn =
		plan.kind === 'layered' ? layered(graph, plan, graph.width) : spine(graph, plan, graph.width);
	const cards = drawn.places.map(({x, y}, i) => ({
		x,
		y,
		right: x + plan.card,
		bottom: y + graph.nodes[i].height,
	}));
	const touches = (card, [x, y]) =>
		x >= card.x - 1 && x <= card.right + 1 && y >= card.y - 1 && y <= card.bottom + 1;

	if (cards.length !== graph.nodes.length || cards.includes(undefined)) wrong.push('a tier has no place');
	cards.forEach((card, i) => {
		if (!(card.x >= 0 && card.right <= graph.width + 1 && card.y >= 0 && card.bottom <= drawn.height + 1))
			wrong.push(
				`tier ${i} stands outside: ${JSON.stringify(card)} of ${graph.width} x ${drawn.height}`,
			);
		for (const [j, other] of cards.slice(0, i).entries())
			if (
				card.x < other.right &&
				other.x < card.right &&
				card.y < other.bottom &&
				other.y < card.bottom
			)
				wrong.push(`tiers ${j} and ${i} overlap`);
	});
	if (drawn.lines.length !== graph.edges.length) wrong.push('a flow has no line');
	for (const {edge, d, head, label} of drawn.lines) {
		const {first, sound} = ends(d);

		if (!sound || !touches(cards[edge.from], first) || !touches(cards[edge.to], [head.x, head.y]))
			wrong.push(
				`the line from ${edge.from} to ${edge.to} does not lead there: ${d}, ${JSON.stringify(head)}`,
			);
		if (!(label.x >= 0 && label.x <= graph.width) || !Number.isFinite(label.y))
			wrong.push(`the label from ${edge.from} to ${edge.to} stands outside`);
		const forward =
			plan.kind === 'layered'
				? cards[edge.to].x > cards[edge.from].right
				: cards[edge.to].y > cards[edge.from].bottom;

		if (!edge.back && !forward) wrong.push(`the flow from ${edge.from} to ${edge.to} does not lead on`);
	}
	// Without the flows that lead back there is no circle.
	const layer = new Map();
	for (let round = 0; round <= graph.nodes.length; round++)
		for (const edge of graph.edges.filter((one) => !one.back))
			layer.set(edge.to, Math.max(layer.get(edge.to) ?? 0, (layer.get(edge.from) ?? 0) + 1));
	if (Math.max(0, ...layer.values()) >= graph.nodes.length && graph.nodes.length > 1)
		wrong.push('a circle is left');
	if (drawn.stubs.filter((stub) => stub.kind === 'depart').length !== graph.nodes.length)
		wrong.push('a tier from which nothing departs');
	return wrong;
}

const kinds = {layered: 0, spine: 0};
for (let i = 0; i < graphs; i++) {
	const graph = anyGraph();
	const text = JSON.stringify({
		nodes: graph.nodes.map(({height, arrives}) => [height, arrives]),
		edges: graph.edges.map(({from, to}) => [from, to]),
		width: graph.width,
	});
	const wrong = look(graph);

	kinds[planGraph(graph, graph.width).kind]++;
	if (wrong.length) {
		console.log(
			`not ok\tgeometry of random policies\t${wrong.slice(0, 3).join('; ')} in ${text.slice(0, 1500)}`,
		);
		process.exit(1);
	}
}
if (Math.min(kinds.layered, kinds.spine) < graphs / 10) {
	console.log(`not ok\tgeometry of random policies\tonly ${JSON.stringify(kinds)}`);
	process.exit(1);
}
console.log(
	`ok\tgeometry of ${graphs} random policies: ${kinds.layered} from left to right, ${kinds.spine} from top to bottom`,
);
