// page-looks.mjs - functions that look at the page from inside: page.mjs hands them to the browser. Each answers what is wrong, as a
// list of lines; an empty one is good.

// Text must differ from what is behind it as WCAG 2.2 AA asks: 4.5 to 1, large text 3 to 1; borders of controls 3 to 1.
export function contrasts() {
	const channel = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
	const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const rgba = (text) => {
		const parts = /^rgba?\(([\d., ]+)\)$/.exec(text);

		if (!parts) throw new Error('a colour that is no rgb(): ' + text);
		const [r, g, b, a = 1] = parts[1].split(',').map(Number);
		return [r, g, b, a];
	};
	const ratio = (a, b) => {
		const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);

		return (high + 0.05) / (low + 0.05);
	};
	const behind = (element) => {
		for (let at = element; at; at = at.parentElement) {
			const color = rgba(getComputedStyle(at).backgroundColor);

			if (color[3] === 1) return color;
			if (color[3] !== 0) throw new Error('a background that is neither clear nor full');
		}
		return rgba(getComputedStyle(document.body).backgroundColor);
	};
	const isShown = (element) =>
		element.checkVisibility({visibilityProperty: true}) &&
		!element.closest('.unseen, .skip') &&
		element.getClientRects().length > 0;
	const wrong = new Set();
	let looked = 0;
	const want = (what, front, back, least) => {
		looked++;
		if (ratio(front, back) < least)
			wrong.add(`${what}: ${ratio(front, back).toFixed(2)} to 1, wanted ${least}: ${front} on ${back}`);
	};

	// The shades of the table, whether all are to be seen now or not.
	const row = document.querySelector('.heat tbody tr:last-child');
	const added = row
		? Array.from({length: 8}, (_, i) => {
				const cell = row.insertCell();

				cell.className = 'h' + (i + 1);
				cell.textContent = '1';
				return cell;
			})
		: [];
	for (const element of document.querySelectorAll('body *')) {
		if (
			!isShown(element) ||
			![...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())
		)
			continue;
		const style = getComputedStyle(element);
		const size = parseFloat(style.fontSize);
		const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
		const front = element instanceof SVGElement ? style.fill : style.color;

		want(
			`${element.localName}.${element.getAttribute('class') ?? ''} "${element.textContent.trim().slice(0, 30)}"`,
			rgba(front),
			behind(element),
			least,
		);
	}
	for (const control of document.querySelectorAll('button, input, select'))
		if (isShown(control) && parseFloat(getComputedStyle(control).borderTopWidth) > 0)
			want(
				`the border of ${control.localName}#${control.id}`,
				rgba(getComputedStyle(control).borderTopColor),
				behind(control.parentElement),
				3,
			);
	added.forEach((cell) => cell.remove());
	if (looked < 60) wrong.add(`only ${looked} pairs were found to look at`);
	if (added.length !== 8) wrong.add('the table of ages is not there');
	return [...wrong];
}

// Nothing is wider than the window; cards stand within their box and not on one another; numbers beside lines stay inside.
export function layout() {
	const wrong = [];
	const page = document.documentElement;
	const cards = [...document.querySelectorAll('#flow-cards > li')];
	const box = document.querySelector('#flow').getBoundingClientRect();
	const rects = cards.map((card) => card.getBoundingClientRect());
	const name = (i) => cards[i].querySelector('h3').textContent.slice(0, 20);

	if (page.scrollWidth > innerWidth)
		wrong.push(`the page is ${page.scrollWidth} px wide in a window of ${innerWidth}`);
	rects.forEach((rect, i) => {
		if (
			rect.left < box.left - 1 ||
			rect.right > box.right + 1 ||
			rect.top < box.top - 1 ||
			rect.bottom > box.bottom + 1
		)
			wrong.push(`the card of ${name(i)} leaves its box`);
		rects.slice(i + 1).forEach((other, j) => {
			if (
				rect.left < other.right &&
				other.left < rect.right &&
				rect.top < other.bottom &&
				other.top < rect.bottom
			)
				wrong.push(`the cards of ${name(i)} and ${name(i + 1 + j)} overlap`);
		});
		if (cards[i].scrollWidth > cards[i].clientWidth + 1)
			wrong.push(`the card of ${name(i)} is too narrow for what it holds`);
	});
	for (const text of document.querySelectorAll('#flow-lines text')) {
		const rect = text.getBoundingClientRect();

		if (rect.right > innerWidth || rect.left < 0)
			wrong.push(
				`"${text.textContent}" stands from ${Math.round(rect.left)} to ${Math.round(rect.right)}, outside a window of ${innerWidth}`,
			);
		rects.forEach((card, i) => {
			if (
				rect.left < card.right - 2 &&
				card.left + 2 < rect.right &&
				rect.top < card.bottom - 4 &&
				card.top + 4 < rect.bottom
			)
				wrong.push(`"${text.textContent}" stands on the card of ${name(i)}`);
		});
	}
	for (const section of document.querySelectorAll('main > section')) {
		const other = [...document.querySelectorAll('main > section')].find((one) => {
			const [a, b] = [section.getBoundingClientRect(), one.getBoundingClientRect()];

			return (
				one !== section &&
				a.height &&
				b.height &&
				a.left < b.right - 1 &&
				b.left < a.right - 1 &&
				a.top < b.bottom - 1 &&
				b.top < a.bottom - 1
			);
		});

		if (other) wrong.push(`the sections ${section.id} and ${other.id} overlap`);
	}
	return wrong;
}

// What readers of the screen and the keyboard go by.
export function structure() {
	const wrong = [];
	const expect = (what, found, wanted) => {
		if (found !== wanted) wrong.push(`${what}: ${found}, wanted ${wanted}`);
	};
	const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
	let level = 0;

	expect('language', document.documentElement.lang, 'en');
	for (const landmark of ['header', 'main', '[role="search"]', 'h1'])
		expect(landmark, document.querySelectorAll(landmark).length, 1);
	for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
		if (!heading.checkVisibility()) continue;
		const now = Number(heading.localName[1]);

		if (now > level + 1)
			wrong.push(`a heading of level ${now} follows one of level ${level}: ${heading.textContent}`);
		level = now;
	}
	for (const section of document.querySelectorAll('main > section'))
		expect(
			`the name of section ${section.id}`,
			Boolean(document.getElementById(section.getAttribute('aria-labelledby'))?.textContent.trim()),
			true,
		);
	expect('ids that stand twice', ids.filter((id, i) => ids.indexOf(id) !== i).join(' '), '');
	expect(
		'live regions',
		document.querySelectorAll('[role="status"], [role="alert"], [role="log"], [aria-live]').length,
		2,
	);
	for (const picture of document.querySelectorAll('img'))
		expect('pictures that say nothing are marked so', picture.getAttribute('alt'), '');
	for (const picture of document.querySelectorAll('svg'))
		expect(
			`a drawing (${picture.id || picture.parentElement.dataset.kind}) is named or hidden`,
			picture.hasAttribute('aria-label') || picture.getAttribute('aria-hidden') === 'true',
			true,
		);
	for (const table of document.querySelectorAll('table'))
		for (const head of table.querySelectorAll('th'))
			expect(`the scope of "${head.textContent}"`, ['row', 'col'].includes(head.scope), true);
	return wrong;
}
