/* shape.js - how old the mail for each domain is, as qshape tells it: a table whose cells are the darker, the more stand there. */

const SHAPE_PERIOD = 10000;
const SHAPE_ROWS = {least: 8, most: 40, narrow: 12, height: 1.6}; /* height in rem */
const SHAPE_NARROW = 570; /* px */
const SHADES = 8;
const LEAST_DARKEST = 10; /* of a few messages none is many */

const shapeState = {tier: '', by: 'recipient', answer: null, error: ''};

/* ---- the question ---- */


async function askShape(signal) {
	try {
		shapeState.answer = await ask(query('/api/v1/shape', {tier: shapeState.tier, by: shapeState.by, limit: SHAPE_ROWS.most}), {signal});
		shapeState.error = '';
	} catch (error) {
		if (signal.aborted || error.status === 401)
			return;
		/* That nothing answers stands at the top of the page. */
		shapeState.error = error instanceof Refused ? sentence(error.message) + ' ' + sentence(error.remedy) : '';
	}
	drawShape();
}

const shapePoller = new Poller(SHAPE_PERIOD, askShape);

function shapeTiers(names) {
	const select = byId('shape-tier');

	keyed(select, ['', ...names], (name) => name, (name) => el('option', {value: name}, name || 'all'));
	if (shapeState.tier && !names.includes(shapeState.tier))
		shapeSelect('');
}

/* The tier whose ages are shown; the same again: all. */
function shapeSelect(tier) {
	shapeState.tier = shapeState.tier === tier ? '' : tier;
	byId('shape-tier').value = shapeState.tier;
	drawFlow();
	shapePoller.restart();
}

byId('shape-tier').addEventListener('change', (event) => {
	shapeState.tier = event.target.value;
	drawFlow();
	shapePoller.restart();
});

byId('shape-by').addEventListener('change', (event) => {
	shapeState.by = event.target.value;
	shapePoller.restart();
});

/* ---- the answer ---- */

/* As many domains as the screen has room for, below where the table begins. */
function rowsShown() {
	const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
	const top = byId('shape-body').getBoundingClientRect().top + scrollY;
	const room = (innerHeight - top) / (SHAPE_ROWS.height * rem) - 5;

	return innerWidth < SHAPE_NARROW ? SHAPE_ROWS.narrow : Math.max(SHAPE_ROWS.least, Math.min(SHAPE_ROWS.most, Math.floor(room)));
}

/* 5m, 80m, 2h40: as short as the columns are narrow. */
function boundWords(seconds) {
	const minutes = Math.round(seconds / 60);

	return minutes < 100 ? minutes + 'm' : `${Math.floor(minutes / 60)}h${two(minutes % 60)}`;
}

const narrow = () => byId('shape-body').clientWidth < SHAPE_NARROW;

/* Where it is narrow, two columns become one. */
function columnsFor(bounds) {
	const all = [...bounds.map((bound, i) => ({title: boundWords(bound), long: 'up to ' + span(bound), from: i, to: i + 1})),
		{title: 'older', long: 'older', from: bounds.length, to: bounds.length + 1}];

	if (!narrow())
		return all;
	const pairs = [];
	for (let i = 0; i < all.length; i += 2) {
		const last = all[Math.min(i + 1, all.length - 1)];

		pairs.push({...last, from: all[i].from});
	}
	return pairs;
}

function shade(value, most) {
	return value ? Math.max(1, Math.round((value / most) ** 0.4 * SHADES)) : 0;
}

const sumOf = (row, {from, to}) => row.counts.slice(from, to).reduce((a, b) => a + b, 0);

function shapeRowMake({name}, columns) {
	const {by, tier} = shapeState;
	const title = by === 'recipient' && name !== 'TOTAL' && name !== '(other)'
		? el('a', {href: '#' + new URLSearchParams({domain: name, ...(tier && {tier})})}, el('bdi', {}, name))
		: el('bdi', {}, name);

	return el('tr', {}, el('th', {scope: 'row'}, title), el('td'), columns.map(() => el('td')));
}

function shapeRowUpdate(line, row, columns, most, total) {
	line.classList.toggle('total', total);
	say(line.cells[1], short(row.total));
	columns.forEach((column, i) => {
		const sum = sumOf(row, column);
		const cell = line.cells[i + 2];

		say(cell, short(sum));
		cell.className = sum ? 'h' + (total ? 0 : shade(sum, most)) : 'nil';
	});
}

function shapeTable(columns, by, where) {
	return el('table', {class: narrow() ? 'heat few' : 'heat'},
		el('caption', {class: 'unseen'}, `Messages by ${by} domain and age, ${where}`),
		el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, by === 'sender' ? 'Sender domain' : 'Domain'), el('th', {scope: 'col'}, 'Total'),
			columns.map(({title, long}) => el('th', {scope: 'col', abbr: long}, title)))),
		el('tbody'));
}

/* The table is made anew only when its question is another one: so the focus and a selection stay. */
function drawShape() {
	const {answer, error} = shapeState;
	const body = byId('shape-body');

	if (error || !answer) {
		body.replaceChildren(el('p', {class: 'soft'}, error || 'Not known yet.'));
		return;
	}
	const {by, tier} = answer;
	const where = tier ? `in ${tier}` : 'in all tiers';
	const columns = columnsFor(answer.bounds);
	const rows = answer.rows.slice(0, 1 + rowsShown());
	const cut = answer.cut + answer.rows.length - rows.length;
	const most = Math.max(LEAST_DARKEST, ...rows.slice(1).flatMap((row) => columns.map((column) => sumOf(row, column))));
	const question = JSON.stringify([by, tier, columns.length]);

	if (rows.length < 2) {
		body.replaceChildren(el('p', {class: 'soft'}, tier ? `No messages ${where}.` : 'No messages in any tier.'));
		return;
	}
	if (body.firstElementChild?.localName !== 'table' || body.dataset.question !== question)
		body.replaceChildren(shapeTable(columns, by, where), el('p', {class: 'soft'}));
	body.dataset.question = question;
	keyed(body.querySelector('tbody'), rows.map((row, i) => ({...row, isTotal: i === 0})),
		(row) => (row.isTotal ? 'total\n' : '\n') + row.name,
		(row) => shapeRowMake(row, columns), (line, row) => shapeRowUpdate(line, row, columns, most, row.isTotal));
	say(body.lastElementChild, cut ? `and ${plural(cut, 'more domain')} with fewer` : '');
}

/* What stands above the table has changed its height. */
const shapeSpace = new ResizeObserver(() => drawShape());

for (const above of ['trouble', 'tiers', 'hour', 'message'])
	shapeSpace.observe(byId(above));
addEventListener('resize', drawShape);
