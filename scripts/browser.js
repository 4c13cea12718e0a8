// Looks at a page in Debian's headless Chromium:
//
//	node browser.js PAGE DIRECTORY
//
// Leaves pictures of it in DIRECTORY (top.png, light.png, dark.png, narrow.png, print.png)
// and page.pdf, and prints as JSON what was seen: requests for anything but the page,
// messages of the console, and of each picture how many colours it has, which part of
// it is not background, by how many pixels the page is wider than the screen, and which
// text has too little contrast.
'use strict';

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const [file, directory] = process.argv.slice(2);
const url = pathToFileURL(path.resolve(file)).href;

const looks = {
	top: { width: 1000, scheme: 'light', height: 880 },
	light: { width: 1200, scheme: 'light' },
	dark: { width: 1200, scheme: 'dark' },
	narrow: { width: 360, scheme: 'light', mobile: true },
	print: { width: 800, scheme: 'light', media: 'print' },
};

// The browser, as a function that has it do something, and events by their names.
function startBrowser() {
	const browser = spawn('chromium-headless-shell', [
		'--remote-debugging-pipe', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
		'--disable-dev-shm-usage', `--user-data-dir=${path.join(directory, 'profile')}`,
	], { stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'pipe'] });
	const [, , , input, output] = browser.stdio;
	const waiting = new Map();
	const listeners = new Map();
	let count = 0;
	let rest = '';

	output.setEncoding('utf8');
	output.on('data', (data) => {
		const messages = (rest + data).split('\0');

		rest = messages.pop();
		for (const { id, result, error, method, params, sessionId } of messages.map((text) => JSON.parse(text))) {
			if (method) {
				listeners.get(`${sessionId} ${method}`)?.(params);
				continue;
			}
			const { resolve, reject } = waiting.get(id);

			waiting.delete(id);
			if (error) reject(new Error(error.message));
			else resolve(result);
		}
	});
	browser.on('exit', (code) => {
		for (const { reject } of waiting.values()) reject(new Error(`the browser has ended: ${code}`));
	});

	return {
		send(method, params = {}, sessionId = undefined) {
			const id = ++count;

			input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
			return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
		},
		on(sessionId, method, listener) {
			listeners.set(`${sessionId} ${method}`, listener);
		},
	};
}

// Runs in the page: the text whose colour is too near to what is behind it.
function lowContrast() {
	const parse = (colour) => colour.match(/[\d.]+/g).map(Number);
	const luminance = ([r, g, b]) => {
		const part = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
		return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
	};
	const behind = (element) => {
		for (let e = element; e; e = e.parentElement) {
			const colour = parse(getComputedStyle(e).backgroundColor);
			if (colour.length < 4 || colour[3] > 0) return colour;
		}
		return [255, 255, 255];
	};
	const found = [];

	for (const element of document.body.querySelectorAll('*')) {
		if (![...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		if (element.localName === 'title') continue;
		const style = getComputedStyle(element);
		const colour = parse(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
		const [a, b] = [luminance(colour), luminance(behind(element))].sort((x, y) => y - x);
		const ratio = (a + 0.05) / (b + 0.05);

		if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${element.localName} ${element.textContent.slice(0, 40)}`);
	}
	return found;
}

// Runs in an empty page: how much there is to be seen in a picture.
async function inspect(base64) {
	const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
	const canvas = new OffscreenCanvas(image.width, image.height);
	const context = canvas.getContext('2d');
	const counts = new Map();

	context.drawImage(image, 0, 0);
	const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
	for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
	const [first, second] = [...counts.values()].sort((a, b) => b - a);
	return {
		width: image.width,
		height: image.height,
		colours: counts.size,
		foreground: 1 - (first + (second ?? 0)) / pixels.length,
	};
}

async function main() {
	const browser = startBrowser();
	const seen = { requests: [], console: [], pictures: {} };

	const open = async () => {
		const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
		const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
		const send = (method, params) => browser.send(method, params, sessionId);

		for (const domain of ['Page', 'Network', 'Runtime', 'Log']) await send(`${domain}.enable`);
		return {
			send,
			on: (method, listener) => browser.on(sessionId, method, listener),
			async evaluate(f, ...args) {
				const { result, exceptionDetails } = await send('Runtime.evaluate', {
					expression: `(${f})(...${JSON.stringify(args)})`,
					awaitPromise: true,
					returnByValue: true,
				});

				if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
				return result.value;
			},
		};
	};

	const page = await open();
	const loaded = new Promise((resolve) => page.on('Page.loadEventFired', resolve));
	page.on('Network.requestWillBeSent', ({ request }) => {
		if (request.url !== url) seen.requests.push(request.url.slice(0, 200));
	});
	page.on('Log.entryAdded', ({ entry }) => seen.console.push(entry.text));
	page.on('Runtime.consoleAPICalled', ({ args }) => seen.console.push(args.map((a) => a.value).join(' ')));
	page.on('Runtime.exceptionThrown', ({ exceptionDetails }) => seen.console.push(exceptionDetails.text));
	page.on('Page.javascriptDialogOpening', ({ message }) => seen.console.push(message));
	await page.send('Page.navigate', { url });
	await loaded;

	seen.title = await page.evaluate(() => document.title);
	seen.active = await page.evaluate(() => document.querySelectorAll('script, img, iframe, object, link, a, [onload], [onerror], [onclick], [style]').length);
	for (const [name, { width, height, scheme, mobile = false, media = '' }] of Object.entries(looks)) {
		await page.send('Emulation.setEmulatedMedia', { media, features: [{ name: 'prefers-color-scheme', value: scheme }] });
		await page.send('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile });
		const { cssContentSize } = await page.send('Page.getLayoutMetrics');
		const { data } = await page.send('Page.captureScreenshot',
			{ captureBeyondViewport: true, clip: { x: 0, y: 0, width, height: height ?? cssContentSize.height, scale: 1 } });
		const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

		fs.writeFileSync(path.join(directory, `${name}.png`), Buffer.from(data, 'base64'));
		seen.pictures[name] = { overflow, contrast: await page.evaluate(lowContrast), data };
	}
	const { data } = await page.send('Page.printToPDF', { printBackground: false, preferCSSPageSize: true });
	fs.writeFileSync(path.join(directory, 'page.pdf'), Buffer.from(data, 'base64'));

	const empty = await open();
	for (const picture of Object.values(seen.pictures)) {
		Object.assign(picture, await empty.evaluate(inspect, picture.data));
		delete picture.data;
	}
	console.log(JSON.stringify(seen, null, 2));
	await browser.send('Browser.close');
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
