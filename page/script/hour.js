/* hour.js - what happened in each of the last sixty minutes: a small plot for each kind, and the same as a table. */

const KINDS = [
	['arrived', 'Arrived'],
	['moved', 'Moved'],
	['departed', 'Departed'],
	['deleted', 'Deleted'],
	['failed', 'Failed'],
];
const PLOT_HEIGHT = 40;

let hourNow = null;

function plotMake([key, title]) {
	return el('figure', {'data-kind': key},
		el('figcaption', {}, el('span', {}, title), el('b'), el('span', {class: 'soft'})),
		svg('svg', {role: 'img', viewBox: `0 0 60 ${PLOT_HEIGHT}`, preserveAspectRatio: 'none'},
			svg('path', {class: 'bars'}), svg('path', {class: 'now'})));
}

const bar = (i, value, most) => {
	const height = value ? Math.max(1.5, value / most * (PLOT_HEIGHT - 1)) : 0;

	return value ? `M${i + 0.12} ${PLOT_HEIGHT} v${-height.toFixed(2)} h.76 v${height.toFixed(2)} z` : '';
};

function plotUpdate(figure, [key, title], history) {
	const values = history[key];
	const sum = values.reduce((a, b) => a + b, 0);
	const most = Math.max(0, ...values);
	const [caption, drawing] = figure.children;
	const at = new Date(moment(history.from).getTime() + values.indexOf(most) * 60000);

	say(caption.children[1], number(sum));
	say(caption.children[2], most ? `peak ${short(most)}/min` : 'none');
	drawing.children[0].setAttribute('d', values.slice(0, -1).map((value, i) => bar(i, value, most)).join(''));
	drawing.children[1].setAttribute('d', bar(values.length - 1, values.at(-1), most));
	drawing.setAttribute('aria-label', `${title}: ${number(sum)} in the last hour` +
		(most ? `, at most ${number(most)} in the minute of ${clock(at).slice(0, 5)}, ${number(values.at(-1))} in this minute` : ''));
	figure.classList.toggle('alert', key === 'failed' && sum > 0);
}

function showHour(history) {
	hourNow = history;
	keyed(byId('plots'), KINDS, ([key]) => key, plotMake, (figure, kind) => plotUpdate(figure, kind, history));
	if (!byId('hour-table').hidden)
		hourTable();
}

function hourTable() {
	const start = moment(hourNow.from).getTime();
	const rows = hourNow.arrived.map((_, i) => i).reverse();

	byId('hour-table').replaceChildren(el('table', {},
		el('thead', {}, el('tr', {}, el('th', {scope: 'col'}, 'Minute'), KINDS.map(([, title]) => el('th', {scope: 'col'}, title)))),
		el('tbody', {}, rows.map((i) => el('tr', {}, el('th', {scope: 'row'}, clock(new Date(start + i * 60000)).slice(0, 5)),
			KINDS.map(([key]) => el('td', {}, number(hourNow[key][i]))))))));
}

byId('hour-switch').addEventListener('click', () => {
	const shown = byId('hour-table').hidden;

	byId('hour-switch').setAttribute('aria-expanded', String(shown));
	show(byId('hour-table'), shown);
	if (shown && hourNow)
		hourTable();
});
