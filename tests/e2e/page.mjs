// page.mjs - a Chromium that looks at the page, for 45-page.sh.
//
// usage: node page.mjs PLAYWRIGHT CHROMIUM SCREENSHOTS
// Reads steps from its input, one a line: a name and arguments, with tabs between them. Writes "ok", a tab, what was looked at; or
// "not ok", tab, what, tab, what was found; and after each step "done". Waits for what must come, with a deadline, never for a fixed
// time. What no page may do is looked at all the time, and told by the step "end".
import {createRequire} from 'node:module';
import {mkdirSync} from 'node:fs';
import readline from 'node:readline';
import path from 'node:path';
import {contrasts, layout, structure} from './page-looks.mjs';

const [, , playwright, executablePath, screenshots] = process.argv;
const {chromium} = createRequire(path.resolve(playwright, 'package.json'))('playwright-core');
const PATIENCE = 30000;

const say = (...fields) =>
	process.stdout.write(fields.map((field) => String(field).replace(/[\t\n]/g, ' ')).join('\t') + '\n');

function check(what, good, found = '') {
	good ? say('ok', what) : say('not ok', what, found);
}

const none = (what, list) => check(what, list.length === 0, list.slice(0, 8).join(' | '));

/* ---- the browser ---- */

let browser, page, base;
const forbidden = []; // what no page may do
let expected = null; // a pattern for what the console may say meanwhile
let said = 0; // how often it did
const under_way = new Map();

async function begin(url, options = {}) {
	base = new URL(url);
	browser ??= await chromium.launch({
		executablePath,
		timeout: 3 * PATIENCE,
		args: [
			'--headless',
			'--no-sandbox',
			'--disable-gpu',
			'--disable-quic',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
			'--disable-dev-shm-usage',
		],
	});
	const context = await browser.newContext({
		viewport: {width: 1440, height: 900},
		colorScheme: 'light',
		...options,
	});

	await context.addInitScript(() => {
		addEventListener('securitypolicyviolation', (event) =>
			console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`),
		);
		window.alert = () => console.error('something from outside was run');
	});
	page = await context.newPage();
	page.setDefaultTimeout(PATIENCE);
	page.on('console', (message) => {
		if (message.type() === 'error' || message.type() === 'warning')
			if (expected?.test(message.text())) said++;
			else forbidden.push(`console: ${message.text()}`);
	});
	page.on('pageerror', (error) => forbidden.push(`error: ${error.stack}`));
	page.on('request', (request) => {
		const {origin, pathname} = new URL(request.url());

		if (origin !== base.origin) forbidden.push(`a request to ${request.url()}`);
		under_way.set(pathname, (under_way.get(pathname) ?? 0) + 1);
		if (under_way.get(pathname) > 1 && pathname.startsWith('/api/'))
			forbidden.push(`${under_way.get(pathname)} requests at a time: ${pathname}`);
	});
	for (const end of ['requestfinished', 'requestfailed'])
		page.on(end, (request) => {
			const {pathname} = new URL(request.url());

			under_way.set(pathname, under_way.get(pathname) - 1);
		});
	under_way.clear();
	await page.goto(url);
}

// Looks until `look` answers true, in the page (its code is handed over: the page's own policy allows no eval).
async function comes(what, look, argument, patience = PATIENCE) {
	const until = Date.now() + patience;
	let found;

	for (;;) {
		found = await page.evaluate(look, argument);
		if (found === true || Date.now() > until) break;
		await new Promise((resolve) => setTimeout(resolve, 40));
	}
	check(what, found === true, JSON.stringify(found));
	return found === true;
}

const stateIs = (kind) => {
	const line = document.getElementById('state');

	return line.dataset.kind === kind || line.textContent;
};

const countsAre = (wanted) => {
	const found = Object.fromEntries(
		[...document.querySelectorAll('#flow-cards > li')].map((card) => [
			card.querySelector('bdi').textContent,
			card.querySelector('.count').textContent.replaceAll(',', ''),
		]),
	);

	return Object.entries(wanted).every(([name, n]) => found[name] === n) || found;
};

const screenshot = (name, fullPage = false) =>
	page.screenshot({path: path.join(screenshots, name + '.png'), fullPage});

const focused = () =>
	page.evaluate(() => {
		const at = document.activeElement;

		return at.id || at.textContent.trim();
	});

/* ---- steps ---- */

const steps = {
	async open(url) {
		mkdirSync(screenshots, {recursive: true});
		await begin(url);
		await comes('the page says that all is sound', stateIs, 'sound');
		await page.evaluate(() => (window.sameDocument = true));
	},

	async structure() {
		none(
			'landmarks, headings, tables and live regions are as they should be',
			await page.evaluate(structure),
		);
		// By the browser's own tree, as readers of the screen get it.
		const session = await page.context().newCDPSession(page);
		const {nodes} = await session.send('Accessibility.getFullAXTree');
		const roles = new Set([
			'button',
			'link',
			'textbox',
			'searchbox',
			'combobox',
			'img',
			'image',
			'table',
			'region',
			'dialog',
			'DisclosureTriangle',
		]);
		const named = nodes.filter((node) => !node.ignored && roles.has(node.role?.value));

		check(
			'the browser knows the controls of the page',
			named.filter((node) => ['button', 'searchbox', 'combobox'].includes(node.role.value)).length >= 9,
			named.length,
		);
		none(
			'each of them has a name',
			named
				.filter((node) => !node.name?.value?.trim())
				.map((node) => `${node.role.value} ${JSON.stringify(node.properties)}`),
		);
		await session.detach();
	},

	async counts(...pairs) {
		const wanted = Object.fromEntries(pairs.map((pair) => /^(.*)=(\d+)$/.exec(pair).slice(1)));

		await comes(`the tiers hold ${pairs.join(', ')}`, countsAre, wanted);
	},

	async flow(from, to, total) {
		await comes(
			`${total} from ${from} to ${to}, in words`,
			([a, b, n]) => {
				const lines = [...document.querySelectorAll('#flow-words li')].map(
					(line) => line.textContent,
				);

				return (
					lines.some(
						(line) =>
							line.startsWith(`${a} to ${b}: `) && line.includes(`, ${n} since the start`),
					) || lines
				);
			},
			[from, to, total],
		);
	},

	// From here on a dot that goes along a line is noticed.
	async watch() {
		await page.evaluate(() => {
			window.dots = 0;
			new MutationObserver((changes) =>
				changes.forEach((change) => (window.dots += change.addedNodes.length)),
			).observe(document.getElementById('flow-dots'), {childList: true});
		});
	},

	async dots(wanted) {
		if (wanted === 'some') await comes('a move is seen on its way', () => window.dots > 0 || window.dots);
		else
			check(
				'where less motion is wanted nothing moves',
				(await page.evaluate(() => window.dots)) === 0,
			);
	},

	async event(action, id) {
		await comes(
			`the event is in the list: ${action} ${id}`,
			([a, i]) => {
				const lines = [...document.querySelectorAll('#events-list li')].map(
					(line) => line.textContent,
				);

				return lines.some((line) => line.includes(a) && line.includes(i)) || lines.slice(0, 8);
			},
			[action, id],
		);
	},

	async same() {
		check(
			'all that without loading the page again',
			await page.evaluate(() => window.sameDocument === true),
		);
	},

	async ages(name, count) {
		// Asked every ten seconds: choosing the sender's domains and back asks at once.
		await page.selectOption('#shape-by', 'sender');
		await comes(
			'ages by the sender\u2019s domain',
			() =>
				document.querySelector('.heat thead th')?.textContent === 'Sender domain' ||
				document.getElementById('shape-body').textContent,
		);
		await page.selectOption('#shape-by', 'recipient');
		await comes(
			`ages by domain: ${name} ${count}`,
			([n, c]) => {
				const rows = [...document.querySelectorAll('.heat tbody tr')].map((row) => [
					row.cells[0].textContent,
					row.cells[1].textContent,
				]);

				return rows.some(([domain, total]) => domain === n && total === c) || rows;
			},
			[name, count],
		);
		check(
			'the sum of all stands first',
			await page.evaluate(() => document.querySelector('.heat tbody th').textContent === 'TOTAL'),
		);
	},

	// With the keyboard alone.
	async search(id, ...words) {
		await page.focus('.skip');
		await page.keyboard.press('Tab');
		check('Tab leads to the search', (await focused()) === 'wanted', await focused());
		await page.keyboard.press('Control+A');
		await page.keyboard.type(id);
		await page.keyboard.press('Enter');
		await comes(
			`what is known of ${id} is shown`,
			(all) => {
				const text = document.getElementById('message-body').innerText;

				return all.every((word) => text.includes(word)) || text;
			},
			words,
		);
		check(
			'the heading of the answer has the focus',
			(await focused()) === 'message-title',
			await focused(),
		);
		check(
			'the search can be linked',
			new URL(page.url()).hash === '#' + new URLSearchParams({id}),
			page.url(),
		);
	},

	// What is shown goes on with the message.
	async explains(word) {
		await comes(
			`the explanation follows: ${word}`,
			(wanted) =>
				document.getElementById('message-body').innerText.includes(wanted) ||
				document.getElementById('message-body').innerText,
			word,
		);
	},

	async linked(id, word) {
		const other = await page.context().newPage();

		await other.goto(new URL('#' + new URLSearchParams({id}), base).href);
		await other.locator('#message-body', {hasText: word}).waitFor();
		check(`a link to ${id} shows it at once`, true);
		await other.close();
		under_way.clear();
	},

	async missing(id) {
		expected = /404/;
		said = 0;
		await page.fill('#wanted', id);
		await page.press('#wanted', 'Enter');
		await comes(`a message that is nowhere: ${id}`, () => {
			const text = document.getElementById('message-body').innerText;

			return (text.trim() !== '' && !text.startsWith('Asking')) || text;
		});
		// The console's word of it may come later than the answer.
		for (const until = Date.now() + PATIENCE; !said && Date.now() < until; )
			await new Promise((resolve) => setTimeout(resolve, 40));
		expected = null;
	},

	async domain(name, id) {
		await page.fill('#wanted', name);
		await page.press('#wanted', 'Enter');
		await comes(
			`the messages for ${name}: ${id}`,
			(wanted) => {
				const rows = [...document.querySelectorAll('.found tbody tr')].map((row) => row.textContent);

				return (
					rows.some((row) => row.includes(wanted)) ||
					document.getElementById('message-body').innerText
				);
			},
			id,
		);
		const before = page.viewportSize();

		for (const width of [360, 700, 1200]) {
			await page.setViewportSize({width, height: 800});
			await comes(`${width} px wide: an id has one line, and nothing is cut off at the side`, () => {
				const scroll = document.querySelector('.found').closest('.scroll');
				const lines = [...document.querySelectorAll('.found tbody a')].map((id) => id.getClientRects().length);

				return (lines.every((n) => n === 1) && scroll.scrollWidth <= scroll.clientWidth) || [lines, scroll.scrollWidth];
			});
		}
		await page.setViewportSize(before);
		await page.focus('.found tbody a');
		await page.keyboard.press('Enter');
		await comes(
			'and from there to the explanation',
			() => document.querySelector('#message-body article') !== null,
		);
		await page.goBack();
		await comes('and back', () => document.querySelector('.found tbody tr') !== null);
		await page.focus('#message-close');
		await page.keyboard.press('Enter');
		await comes('and closed', () => document.getElementById('message').hidden && location.hash === '');
	},

	// What came from outside is text: it can be read, and no element came of it.
	async text(...pieces) {
		for (const piece of pieces)
			await comes(
				`shown as text: ${piece}`,
				(wanted) =>
					document.body.innerText.includes(wanted) ||
					document.getElementById('events-list').innerText.slice(0, 600),
				piece,
			);
		none(
			'no element came of it',
			await page.evaluate(() =>
				[
					...document.querySelectorAll(
						'b:not(figcaption b), script:not([src="/page.js"]), iframe, object, embed, style, img:not(h1 img)',
					),
				].map((element) => element.outerHTML),
			),
		);
	},

	async looks(name, scheme) {
		await page.emulateMedia({colorScheme: scheme});
		none(`contrast, ${scheme}: ${name}`, await page.evaluate(contrasts));
		await screenshot(`${name}-${scheme}`);
	},

	async widths(name) {
		for (const [width, height] of [
			[360, 800],
			[768, 1024],
			[1024, 768],
			[1440, 900],
			[1920, 1080],
		]) {
			await page.setViewportSize({width, height});
			const done = await comes(
				`${name}, ${width} px wide: nothing is cut, nothing overlaps`,
				`(${layout})().length === 0 || (${layout})()`,
			);

			if (width === 360 || !done || width === 1024) await screenshot(`${name}-${width}`, true);
		}
		await page.setViewportSize({width: 1440, height: 900});
	},

	// Tab goes through all that can be used, in the order in which it stands, and shows where it is.
	async keyboard(tier) {
		const order = [];

		/* Events that come meanwhile would be more to go through. */
		await page.press('#events-pause', 'Space');
		await page.evaluate(() => document.querySelector('.skip').focus());
		for (let i = 0; i < 300; i++) {
			const at = await page.evaluate(() => {
				const element = document.activeElement;
				const style = getComputedStyle(element);
				const all = [
					...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]'),
				].filter((one) => one.checkVisibility() && !one.disabled);

				return element === document.body
					? null
					: {
							index: all.indexOf(element),
							count: all.length,
							name: element.id || element.textContent.trim().slice(0, 30),
							outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
							top: element.getBoundingClientRect().bottom,
						};
			});

			if (!at || (order.length && at.index === 0)) break;
			order.push(at);
			await page.keyboard.press('Tab');
		}
		check(
			'Tab reaches every control',
			order.length > 10 && order.length === order.at(-1).count,
			`${order.length} of ${order.at(-1)?.count}: ${order.map((at) => at.name).join(', ')}`,
		);
		none(
			'in the order in which they stand',
			order.filter((at, i) => i && at.index <= order[i - 1].index).map((at) => at.name),
		);
		none(
			'and each shows that it has the focus',
			order.filter((at) => !at.outline).map((at) => at.name),
		);
		check(
			'the first of them skips to the tiers, and is seen',
			order[0].name.startsWith('Skip') && order[0].top > 0,
			JSON.stringify(order[0]),
		);
		await page.evaluate(() => document.querySelector('.skip').focus());
		await page.keyboard.press('Enter');
		await page.keyboard.press('Tab');
		check(
			'Enter there leads past the head',
			await page.evaluate(() => document.activeElement.closest('main') !== null),
			await focused(),
		);

		await page.press('#events-pause', 'Space');
		const button = page.locator('#flow-cards button', {hasText: tier}).first();

		await button.focus();
		await page.keyboard.press('Enter');
		await comes(
			`Enter on ${tier} shows its ages`,
			(name) => document.getElementById('shape-tier').value === name,
			tier,
		);
		check('and says so', (await button.getAttribute('aria-pressed')) === 'true');
		await page.keyboard.press('Enter');
		await comes('and again those of all', () => document.getElementById('shape-tier').value === '');
		await page.focus('#hour-switch');
		await page.keyboard.press('Enter');
		await comes(
			'the last hour as a table has sixty rows',
			() =>
				document.querySelectorAll('#hour-table tbody tr').length === 60 ||
				document.getElementById('hour-table').innerText,
		);
		await page.keyboard.press('Enter');
		check(
			'and is put away',
			await page.evaluate(
				() =>
					document.getElementById('hour-table').hidden &&
					document.getElementById('hour-switch').getAttribute('aria-expanded') === 'false',
			),
		);
	},

	async pause() {
		await page.focus('#events-pause');
		await page.keyboard.press('Space');
		check('paused', (await page.getAttribute('#events-pause', 'aria-pressed')) === 'true');
		await page.evaluate(() => (window.heldLine = document.querySelector('#events-list li')?.textContent));
	},

	async paused(count) {
		await comes(
			`while it is paused ${count} events wait`,
			(n) =>
				document.getElementById('events-note').textContent === `paused, ${n} new` ||
				document.getElementById('events-note').textContent,
			count,
		);
		check(
			'and the list stays as it is',
			await page.evaluate(
				() => window.heldLine === document.querySelector('#events-list li')?.textContent,
			),
		);
		await page.keyboard.press('Space');
	},

	async filter(action, shown) {
		await page.selectOption('#events-filter', action);
		await comes(
			`only ${shown}`,
			(word) => {
				const actions = [...document.querySelectorAll('#events-list .action')].map(
					(one) => one.textContent,
				);

				return (actions.length > 0 && actions.every((one) => one === word)) || actions;
			},
			shown,
		);
		await page.selectOption('#events-filter', 'all');
	},

	async findings(...pieces) {
		await comes(
			`findings of doctor: ${pieces.join(', ')}`,
			(all) => {
				const text = document.getElementById('doctor-body').innerText;

				return all.every((piece) => text.includes(piece)) || text;
			},
			pieces,
			30000,
		);
		await comes('and the head of the page says that there are some', () => {
			const text = document.getElementById('state').innerText;

			return /Works Doctor has found \d+ (error|warning)s?/.test(text) || text;
		});
	},

	async going() {
		expected = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|Failed to load/;
	},

	async lost() {
		await comes('a lost connection is shown at once', stateIs, 'lost', 3000);
		check(
			'with the time of what stands here',
			/\d\d:\d\d:\d\d/.test(await page.textContent('#state')),
			await page.textContent('#state'),
		);
		check('and in the title', (await page.title()).startsWith('\u2715'), await page.title());
		await screenshot('lost');
	},

	async back() {
		await comes('the connection comes back by itself', stateIs, 'sound', 15000);
		expected = null;
	},

	async trouble(...pieces) {
		await comes(
			`what is wrong is told, with its remedy: ${pieces.join(', ')}`,
			(all) => {
				const text =
					document.getElementById('state').innerText + document.getElementById('trouble').innerText;

				return all.every((piece) => text.includes(piece)) || text;
			},
			pieces,
		);
		check('and in the title', (await page.title()).startsWith('\u25b2'), await page.title());
	},

	async sound() {
		await comes('and all is sound again', stateIs, 'sound');
	},

	// A daemon that is slow to answer is waited for, and asked no second time meanwhile.
	async slow() {
		let asked = 0;
		let answer;
		const looked = new Promise((resolve) => (answer = resolve));

		await page.route('**/api/v1/status', async (route) => {
			if (asked++ === 0) await looked;
			await route.continue();
		});
		await comes('that the daemon is slow is told', () => {
			const text = document.getElementById('state').textContent;

			return text.includes('slow') || text;
		});
		check('and it is asked once', asked === 1, asked);
		answer();
		await comes('and when it answers all is sound', stateIs, 'sound');
		await page.unrouteAll({behavior: 'wait'});
	},

	// A page that nobody sees asks nothing.
	async hidden() {
		let asked = 0;
		const count = () => asked++;
		const set = (value) =>
			page.evaluate((hidden) => {
				Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
				document.dispatchEvent(new Event('visibilitychange'));
			}, value);

		await set(true);
		page.on('request', count);
		const quiet = Date.now() + 2600;
		while (!asked && Date.now() < quiet) await page.waitForTimeout(20);
		check('while it is hidden it asks nothing', asked === 0, asked);
		await set(false);
		const until = Date.now() + 3000;
		while (!asked && Date.now() < until) await page.waitForTimeout(20);
		check('and when it is seen again, at once', asked > 0);
		page.off('request', count);
	},

	// Another page, which asks for a token.
	async token(url, token) {
		await page.context().close();
		expected = /401/;
		await begin(url, {reducedMotion: 'reduce'});
		await comes('a token is asked for', () => document.getElementById('token').open);
		await page.keyboard.type('not-the-right-token');
		await page.keyboard.press('Enter');
		await comes(
			'a wrong one is told',
			() =>
				document.getElementById('token').open &&
				document.getElementById('token-error').textContent !== '',
		);
		await screenshot('token');
		await page.keyboard.press('Escape');
		await comes('without one the page says what is missing', stateIs, 'token');
		await page.focus('#state button');
		await page.keyboard.press('Enter');
		await page.keyboard.type(token);
		await page.keyboard.press('Enter');
		expected = null;
		await comes('with the right one it begins', stateIs, 'sound');
		await page.reload();
		await comes('it is kept for this tab', stateIs, 'sound');
		check(
			'there only',
			await page.evaluate(
				() => localStorage.length === 0 && document.cookie === '' && sessionStorage.length === 1,
			),
		);
	},

	async screenshot(name, full) {
		await screenshot(name, full === 'full');
	},

	async end() {
		none(
			'no error in the console, none of the page, no violation of its policy, no request elsewhere or over another',
			forbidden,
		);
		await browser.close();
	},
};

for await (const line of readline.createInterface({input: process.stdin})) {
	const [name, ...rest] = line.split('\t');

	try {
		await steps[name](...rest);
	} catch (error) {
		check(`the step ${name}`, false, error.stack);
	}
	say('done');
	if (name === 'end') process.exit(0);
}
