/* graph.js - where tiers and flows stand: pure geometry, no elements.
 *
 * A graph is {nodes: [{name, width, height, arrives, departs}], edges: [{from, to}]} with from and to as numbers of nodes. Both
 * layouts answer {width, height, places: [{x, y}], lines: [{edge, d, label: {x, y, anchor}, back}], stubs: [...]}:
 *
 *  - layered: from left to right, each tier right of all that lead to it (longest path). Flows that lead back run in lanes above.
 *  - spine: from top to bottom, one tier a row; flows that skip rows or lead back run in lanes on the left. For what is too wide.
 *
 * Arrivals come from the left (spine: the top) of a first tier, else from above; departures leave below (spine: to the right).
 */
const GUTTER = {least: 78, most: 420};
const CARD = {least: 118, most: 250};
const LANE = 24;
const STUB = {arrive: 78, longest: 300, above: 38, below: 40};
const ROW_GAP = 14;
const LEAST_LAYERED = 560;

/* ---- order ---- */

/* Marks edges that close a circle as back: those that lead to a node which is still being walked. Sources first, then in
 * the policy's order. */
function markBack(graph) {
	const {nodes, edges} = graph;
	const state = nodes.map(() => 0);
	const out = nodes.map(() => []);

	edges.forEach((edge) => {
		edge.back = false;
		out[edge.from].push(edge);
	});
	const walk = (node) => {
		state[node] = 1;
		for (const edge of out[node]) {
			if (state[edge.to] === 1)
				edge.back = true;
			else if (!state[edge.to])
				walk(edge.to);
		}
		state[node] = 2;
	};
	const sources = nodes.map((_, i) => i).filter((i) => !edges.some((edge) => edge.to === i));
	for (const node of [...sources, ...nodes.keys()])
		if (!state[node])
			walk(node);
}

/* The layer of each node: the longest way of forward edges to it. */
function layersOf(graph) {
	const layer = graph.nodes.map(() => 0);

	for (let round = 0; round < graph.nodes.length; round++) {
		let changed = false;

		for (const edge of graph.edges) {
			if (!edge.back && layer[edge.to] < layer[edge.from] + 1) {
				layer[edge.to] = layer[edge.from] + 1;
				changed = true;
			}
		}
		if (!changed)
			break;
	}
	return layer;
}

/* ---- layered ---- */

/* The layers as lists of slots. An edge over several layers has a slot of its own in each between. */
function slotsOf(graph, layer) {
	const layers = [];
	const add = (at, slot) => (layers[at] ??= []).push(slot) && slot;
	const nodes = graph.nodes.map((node, i) => isAlone(graph, i) ? null : add(layer[i], {node: i, layer: layer[i], before: [], after: []}));

	for (const edge of graph.edges.filter((edge) => !edge.back)) {
		let last = nodes[edge.from];

		edge.way = [last];
		for (let at = layer[edge.from] + 1; at <= layer[edge.to]; at++) {
			const slot = at === layer[edge.to] ? nodes[edge.to] : add(at, {layer: at, before: [], after: []});

			last.after.push(slot);
			slot.before.push(last);
			edge.way.push(slot);
			last = slot;
		}
	}
	return layers;
}

function isAlone(graph, i) {
	return !graph.edges.some((edge) => edge.from === i || edge.to === i);
}

/* Sorts each layer by the middle of its neighbours, to and fro, so that few lines cross. */
function untangle(layers) {
	const number = (layer) => layer.forEach((slot, i) => (slot.rank = (i + 0.5) / layer.length));
	const sort = (layer, side) => {
		for (const slot of layer) {
			const ranks = slot[side].map((other) => other.rank);

			slot.wish = ranks.length ? ranks.reduce((a, b) => a + b) / ranks.length : slot.rank;
		}
		layer.sort((a, b) => a.wish - b.wish);
		number(layer);
	};

	layers.forEach(number);
	for (let sweep = 0; sweep < 6; sweep++) {
		layers.slice(1).forEach((layer) => sort(layer, 'before'));
		layers.slice(0, -1).reverse().forEach((layer) => sort(layer, 'after'));
	}
}

/* How wide cards and gutters can be; null when there is no room for the layers. */
function columnsOf(count, width) {
	const room = width - STUB.arrive - 4;
	const share = (room - (count - 1) * GUTTER.least) / count;

	if (share < CARD.least)
		return null;
	const card = Math.max(CARD.least, Math.min(CARD.most, count === 1 ? share : share * 0.8));
	const gutter = count === 1 ? 0 : Math.min(GUTTER.most, (room - count * card) / (count - 1));
	const rest = room - count * card - (count - 1) * gutter;

	return {card, gutter, left: STUB.arrive + Math.min(STUB.longest - STUB.arrive, rest)};
}

/* How wide its cards are in which layout, where there is so much room. The caller makes them so wide, and measures how high they
 * are. */
function planGraph(graph, width) {
	markBack(graph);
	const layer = layersOf(graph);
	const count = Math.max(1, ...graph.nodes.map((_, i) => isAlone(graph, i) ? 1 : layer[i] + 1));
	const columns = width >= LEAST_LAYERED && columnsOf(count, width);

	/* Where no flow leads anywhere, nothing comes from the left. */
	if (columns && !graph.edges.length)
		columns.left = 0;
	return columns ? {kind: 'layered', layer, ...columns} : {kind: 'spine', layer, ...spineColumns(graph, layer, width)};
}

function layered(graph, plan, width) {
	const layers = slotsOf(graph, plan.layer);
	const {left} = plan;
	const xOf = (at) => left + at * (plan.card + plan.gutter);

	untangle(layers);
	const lanes = lanesOf(graph, plan.layer);
	const top = lanes.count ? lanes.count * LANE + 14 : 0;
	measure(graph, layers);
	straighten(layers);
	const slots = layers.flat();
	const highest = Math.min(0, ...slots.map((slot) => slot.middle - slot.above));
	for (const slot of slots) {
		slot.x = xOf(slot.layer);
		slot.y = Math.round(top + slot.middle - highest - (slot.height ?? 0) / 2);
	}
	const height = Math.max(0, ...slots.map((slot) => slot.middle + slot.below)) - highest;
	const bound = {lanes, plan, layers};
	const places = [];

	layers.flat().filter((slot) => slot.node !== undefined).forEach((slot) => (places[slot.node] = {x: slot.x, y: slot.y}));
	const lines = graph.edges.map((edge) => edge.back ? backLine(graph, edge, bound) : forwardLine(graph, edge, bound));
	spreadLabels(lines);
	const alone = aloneRows(graph, plan, places, layers.length ? top + height + ROW_GAP : 0, width);

	const stubs = graph.nodes.flatMap((node, i) => stubsOf(node, i, places[i], plan, graph));

	return {width, height: Math.max(alone, top + height), places, lines, stubs};
}

/* The room that a slot takes above and below its middle. */
function measure(graph, layers) {
	for (const slot of layers.flat()) {
		const node = graph.nodes[slot.node];

		if (!node) {
			slot.above = slot.below = (LANE + ROW_GAP) / 2;
			continue;
		}
		slot.height = node.height;
		slot.above = node.height / 2 + (node.arrives && slot.layer > 0 ? STUB.above : 0) + ROW_GAP / 2;
		slot.below = node.height / 2 + STUB.below + ROW_GAP / 2;
	}
}

/* Sets the slots of each layer under one another, each as near to the middle of its neighbours as there is room, so that lines
 * are straight where they can be. Tiers draw more than the bends of long lines. */
function straighten(layers) {
	const place = (layer, side) => {
		const wishes = layer.map((slot) => {
			const others = side ? slot[side].filter((other) => other.middle !== undefined) : [];
			const weights = others.map((other) => other.node === undefined || slot.node === undefined ? 1 : 40);

			if (!others.length)
				return slot.middle ?? 0;
			return others.reduce((sum, other, i) => sum + other.middle * weights[i], 0) / weights.reduce((a, b) => a + b);
		});
		let end = -Infinity, shift = 0, weight = 0;

		layer.forEach((slot, i) => {
			slot.middle = Math.max(wishes[i], end + slot.above);
			end = slot.middle + slot.below;
			const w = slot.node === undefined ? 1 : 40;

			shift += (wishes[i] - slot.middle) * w;
			weight += w;
		});
		layer.forEach((slot) => (slot.middle += shift / weight));
	};

	layers.forEach((layer) => place(layer, 'before'));
	for (let sweep = 0; sweep < 4; sweep++) {
		layers.slice(0, -1).reverse().forEach((layer) => place(layer, 'after'));
		layers.slice(1).forEach((layer) => place(layer, 'before'));
	}
}

/* Tiers that no flow leads to or from stand below, side by side. */
function aloneRows(graph, plan, places, y, width) {
	const step = plan.card + 28;
	const alone = graph.nodes.map((_, i) => i).filter((i) => isAlone(graph, i));
	const perRow = Math.max(1, Math.floor((width - plan.left + 28) / step));

	for (let at = 0; at < alone.length; at += perRow) {
		const row = alone.slice(at, at + perRow);

		row.forEach((node, i) => (places[node] = {x: plan.left + i * step, y: y + STUB.above}));
		y += STUB.above + Math.max(...row.map((node) => graph.nodes[node].height)) + STUB.below + ROW_GAP;
	}
	return y - ROW_GAP;
}

/* A lane for each edge that leads back: the lowest that is free over its whole length. */
function lanesOf(graph, layer) {
	const taken = [];
	const of = new Map();

	for (const edge of graph.edges.filter((edge) => edge.back).sort((a, b) => (layer[a.from] - layer[a.to]) - (layer[b.from] - layer[b.to]))) {
		const from = Math.min(layer[edge.to], layer[edge.from]), to = Math.max(layer[edge.to], layer[edge.from]);
		let lane = taken.findIndex((spans) => spans.every(([a, b]) => to < a || from > b));

		if (lane < 0)
			lane = taken.push([]) - 1;
		taken[lane].push([from, to]);
		of.set(edge, lane);
	}
	return {of, count: taken.length};
}

/* Where an edge meets the side of a card: those of one side share its height in the order of their other ends. */
function port(graph, slot, edge, side, other) {
	const key = side === 'right' ? 'from' : 'to';
	const all = graph.edges.filter((e) => !e.back && e[key] === slot.node).sort((a, b) => other(a).y - other(b).y);
	const step = Math.min(16, slot.height / (all.length + 1));

	return slot.y + slot.height / 2 + (all.indexOf(edge) - (all.length - 1) / 2) * step;
}

const middle = (slot) => slot.node === undefined ? slot.y : slot.y + slot.height / 2;

function forwardLine(graph, edge, {plan}) {
	const [first, ...rest] = edge.way;
	const last = rest.at(-1);
	let x = first.x + plan.card, y = port(graph, first, edge, 'right', (e) => ({y: middle(e.way[1])}));
	let d = `M${x} ${y}`, label = null;

	for (const slot of rest) {
		const end = slot === last;
		const toX = slot.x - (end ? 5 : 0);
		const toY = end ? port(graph, slot, edge, 'left', (e) => ({y: middle(e.way.at(-2))})) : slot.y;
		const bend = (toX - x) / 2;

		d += ` C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`;
		label ??= {x: (x + toX) / 2, y: (y + toY) / 2, anchor: 'middle', gutter: first.layer};
		if (!end)
			d += ` L${slot.x + plan.card} ${slot.y}`;
		x = slot.x + plan.card;
		y = toY;
	}
	return {edge, d, label, head: {x: last.x, y, to: 'right'}};
}

/* Up from the source, along its lane, down to the target: from and to the top of a card that has nothing above it, else through
 * the gutter beside it. */
function backLine(graph, edge, {plan, lanes, layers}) {
	const slotOf = (node) => layers.flat().find((slot) => slot.node === node);
	const from = slotOf(edge.from), to = slotOf(edge.to);
	const lane = lanes.of.get(edge);
	const y = (lanes.count - lane) * LANE - LANE / 2;
	const isTop = (slot) => layers[slot.layer][0] === slot;
	const shift = 9 * lane;
	const r = 8;
	let d, x1, x2, head;

	if (isTop(from)) {
		x1 = from.x + plan.card * 0.6 - shift;
		d = `M${x1} ${from.y} V${y + r} Q${x1} ${y} ${x1 - r} ${y}`;
	} else {
		x1 = from.x + plan.card + 12 + shift;
		const side = from.y + 14;

		d = `M${from.x + plan.card} ${side} H${x1 - r} Q${x1} ${side} ${x1} ${side - r} V${y + r} Q${x1} ${y} ${x1 - r} ${y}`;
	}
	if (isTop(to)) {
		x2 = to.x + plan.card * 0.2 + shift;
		d += ` H${x2 + r} Q${x2} ${y} ${x2} ${y + r} V${to.y - 5}`;
		head = {x: x2, y: to.y, to: 'down'};
	} else {
		x2 = to.x - 14 - shift;
		d += ` H${x2 + r} Q${x2} ${y} ${x2} ${y + r} V${to.y + 14 - r} Q${x2} ${to.y + 14} ${x2 + r} ${to.y + 14} H${to.x - 5}`;
		head = {x: to.x, y: to.y + 14, to: 'right'};
	}
	return {edge, d, label: {x: (x1 + x2) / 2, y: y - 10, anchor: 'middle', one: true}, head, back: true};
}

/* Labels in one gutter keep their distance. */
function spreadLabels(lines) {
	const gutters = [];

	for (const line of lines)
		if (line.label.gutter !== undefined)
			(gutters[line.label.gutter] ??= []).push(line);
	for (const group of gutters.filter(Boolean)) {
		group.sort((a, b) => a.label.y - b.label.y);
		for (let i = 1; i < group.length; i++) {
			const gap = group[i].label.y - group[i - 1].label.y;

			if (gap < 32)
				group[i].label.y += 32 - gap;
		}
	}
}

function stubsOf(node, i, place, plan, graph) {
	const first = !isAlone(graph, i) && plan.layer[i] === 0;
	const stubs = [];

	if (node.arrives && first) {
		const y = place.y + node.height / 2;

		stubs.push({node: i, kind: 'arrive', d: `M2 ${y} H${place.x - 5}`, head: {x: place.x, y, to: 'right'},
			label: {x: (place.x - 5) / 2, y, anchor: 'middle'}});
	} else if (node.arrives) {
		const x = place.x + plan.card * 0.86;

		stubs.push({node: i, kind: 'arrive', d: `M${x} ${place.y - 28} V${place.y - 5}`, head: {x, y: place.y, to: 'down'},
			label: {x: x + 8, y: place.y - 20, anchor: 'start'}});
	}
	if (node.departs)
		stubs.push({node: i, kind: 'depart', d: `M${place.x + 16} ${place.y + node.height} v25`,
			head: {x: place.x + 16, y: place.y + node.height + 30, to: 'down'},
			label: {x: place.x + 27, y: place.y + node.height + 16, anchor: 'start', short: plan.card < 150}});
	return stubs;
}

/* ---- spine ---- */

const SPINE = {lane: 15, gap: 38, stub: 88, row: 17, card: {least: 120, most: 340}};

/* The rows in topological order, and a lane on the left for each edge that does not lead to the next row. */
function spineColumns(graph, layer, width) {
	const order = [...graph.nodes.keys()].sort((a, b) => (isAlone(graph, a) - isAlone(graph, b)) || layer[a] - layer[b] || a - b);
	const row = [];
	order.forEach((node, i) => (row[node] = i));
	const far = graph.edges.filter((edge) => row[edge.to] !== row[edge.from] + 1);
	const taken = [];
	const lanes = new Map();

	far.sort((a, b) => Math.abs(row[a.to] - row[a.from]) - Math.abs(row[b.to] - row[b.from]));
	for (const edge of far) {
		const from = Math.min(row[edge.from], row[edge.to]), to = Math.max(row[edge.from], row[edge.to]);
		let lane = taken.findIndex((spans) => spans.every(([a, b]) => to < a || from > b));

		if (lane < 0)
			lane = taken.push([]) - 1;
		taken[lane].push([from, to]);
		lanes.set(edge, lane);
	}
	/* Many lanes stand closer together. */
	const step = Math.min(SPINE.lane, (width - SPINE.card.least - SPINE.stub - 10) / Math.max(1, taken.length));
	const left = taken.length ? taken.length * step + 10 : 0;

	return {order, row, lanes, left, step, card: Math.min(SPINE.card.most, width - left - SPINE.stub)};
}

function spine(graph, plan, width) {
	const places = [];
	const lines = [];
	const {order, row, lanes, left, card} = plan;
	const notes = order.map((_, i) => graph.edges.filter((edge) => lanes.has(edge) && row[edge.from] === i));
	let y = graph.nodes[order[0]]?.arrives ? 30 : 0;

	for (const [i, node] of order.entries()) {
		if (i && graph.nodes[node].arrives)
			y += 26;
		places[node] = {x: left, y};
		/* Below each card: the straight flow's label, and a line of text for each flow that leaves in a lane. */
		y += graph.nodes[node].height + Math.max(SPINE.gap, notes[i].length * SPINE.row + 26);
	}
	for (const edge of graph.edges)
		lines.push(lanes.has(edge) ? laneLine(graph, edge, plan, places, notes) : straightLine(graph, edge, plan, places));
	const last = order.at(-1);
	const below = notes.at(-1)?.length ? notes.at(-1).length * SPINE.row + 8 : 6;
	const height = last === undefined ? 0 : places[last].y + graph.nodes[last].height + below;
	const stubs = graph.nodes.flatMap((node, i) => spineStubs(node, places[i], plan, i));

	return {width: Math.min(width, left + card + SPINE.stub), height, places, lines, stubs};
}

function straightLine(graph, edge, {card, left}, places) {
	const x = left + card - 22;
	const from = places[edge.from].y + graph.nodes[edge.from].height, to = places[edge.to].y;

	return {edge, d: `M${x} ${from} V${to - 5}`, head: {x, y: to, to: 'down'},
		label: {x: x + 9, y: to - SPINE.gap / 2, anchor: 'start', one: true}};
}

function laneLine(graph, edge, {left, lanes, row, step}, places, notes) {
	const lane = lanes.get(edge);
	const x = left - 12 - lane * step;
	const mine = notes[row[edge.from]].indexOf(edge);
	const bottom = places[edge.from].y + graph.nodes[edge.from].height;
	const y1 = bottom + 12 + mine * SPINE.row;
	const y2 = places[edge.to].y + 12 + 6 * lane % (graph.nodes[edge.to].height - 20);
	const up = y2 < y1;
	const r = Math.min(6, Math.abs(y2 - y1) / 2);
	const s = up ? -1 : 1;
	const start = left + 12;

	const d = `M${start} ${bottom} V${y1 - 4} Q${start} ${y1} ${start - 4} ${y1} H${x + r} Q${x} ${y1} ${x} ${y1 + s * r}` +
		` V${y2 - s * r} Q${x} ${y2} ${x + r} ${y2} H${left - 5}`;

	return {edge, back: edge.back, d,
		head: {x: left, y: y2, to: 'right'}, label: {x: start + 8, y: y1, anchor: 'start', one: true, named: true}};
}

function spineStubs(node, place, {card, left}, i) {
	const stubs = [];
	const right = left + card;

	if (node.arrives)
		stubs.push({node: i, kind: 'arrive', d: `M${left + 24} ${place.y - 26} V${place.y - 5}`, head: {x: left + 24, y: place.y, to: 'down'},
			label: {x: left + 33, y: place.y - 17, anchor: 'start', one: true}});
	if (node.departs)
		stubs.push({node: i, kind: 'depart', d: `M${right} ${place.y + 18} h15`, head: {x: right + 20, y: place.y + 18, to: 'right'},
			label: {x: right + 26, y: place.y + 18, anchor: 'start', narrow: true}});
	return stubs;
}
