#!/usr/bin/env node
// Posts what leakwatch notifies of to a webhook.
//
//	webhook.js URL [CHANNEL]
//
// Connects as PGHOST, PGDATABASE and so on say, to the database that
// leakwatch.database names.  Posts the JSON object of each notification with a
// sentence as its "text", which is what chat programs show.  Needs Node.js 18 and
// node-postgres.
'use strict';

const { Client } = require('pg');
const { setTimeout: sleep } = require('node:timers/promises');

const TRIES = 5;
const [url, channel = 'leakwatch'] = process.argv.slice(2);

function sentence(event) {
	if (event.event === 'summary')
		return `${event.opened} more leaks have begun, ${event.ended} have ended`;
	const who = `${event.application} (PID ${event.pid}, ${event.user} in ${event.database})`;
	const harm = event.blocked_sessions ? `, blocked ${event.blocked_sessions} sessions` : '';

	return `${event.kind} of ${who}: ${event.outcome} after ${Math.round(event.duration)} s${harm}`;
}

async function post(event) {
	const body = JSON.stringify({ ...event, text: sentence(event) });

	for (let attempt = 0; attempt < TRIES; attempt++) {
		try {
			const response = await fetch(url, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body,
				signal: AbortSignal.timeout(10000),
			});

			if (response.ok) return;
			console.error(`${url}: ${response.status}`);
		} catch (error) {
			console.error(`${url}: ${error.message}`);
		}
		await sleep(2 ** attempt * 250);
	}
	console.error(`not posted: ${body}`);
}

// Returns when the connection is lost.
async function listen() {
	const client = new Client();
	let posted = Promise.resolve(); // one after the other

	const lost = new Promise((resolve) => {
		client.on('error', (error) => resolve(error.message));
		client.on('end', () => resolve('the connection has ended'));
	});
	client.on('notification', ({ payload }) => {
		posted = posted.then(() => post(JSON.parse(payload)));
	});
	try {
		await client.connect();
		await client.query(`LISTEN ${client.escapeIdentifier(channel)}`);
		console.log(`listening on ${channel}`);
		console.error(await lost);
	} finally {
		client.end().catch(() => {}); // or it would be a leak
	}
}

async function main() {
	for (;;) {
		await listen().catch((error) => console.error(error.message));
		await sleep(1000);
	}
}

if (!url) {
	console.error('webhook.js URL [CHANNEL]');
	process.exit(2);
}
main();
