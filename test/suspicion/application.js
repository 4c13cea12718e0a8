// An application with a pool of node-postgres that does what a schedule of
// workload.py says, and writes down which connections it has lost.  For live.py.
'use strict';

const fs = require('fs');
const { Client, Pool } = require('pg');

const env = process.env;
const number = (name) => Number(env[name]);
const server = { host: env.PGHOST, user: env.PGUSER, database: env.PGDATABASE };
const pool = new Pool({
	...server,
	application_name: 'shop',
	max: number('POOL_MAX'),
	idleTimeoutMillis: number('POOL_IDLE') * 1000,
	connectionTimeoutMillis: 5000,
	maxLifetimeSeconds: number('POOL_LIFE'),
});
const kept = [];

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const note = (...words) => fs.appendFileSync(env.TRUTH, `${words.join(' ')}\n`);

function statement(kind, step) {
	const seconds = (0.01 + 0.01 * ((kind * 7 + step * 3) % 6)).toFixed(2);

	return `SELECT pg_sleep(${seconds}) /* ${'abcdef'[kind]} step ${'abcdef'[step]} */`;
}

async function request(kind, steps, think, transaction, leak) {
	const client = await pool.connect().catch(() => null);

	if (client === null)
		return;
	if (client.listenerCount('error') === 0)
		client.on('error', () => {});
	try {
		if (transaction)
			await client.query('BEGIN');
		for (let step = 0; step < steps; step++) {
			if (step > 0 && think > 0)
				await wait(think);
			await client.query(statement(kind, step));
		}
		if (transaction)
			await client.query('COMMIT');
		if (leak === 2)
			await client.query('SELECT 1/0');
	} catch (error) {
		if (leak === 0)
			note('error', String(error).replace(/\s+/g, ' '));
	}
	if (leak === 0)
		return client.release();
	kept.push(client);
	note('leak', Date.now(), client.processID);
}

async function dedicated(name, every) {
	const client = new Client({ ...server, application_name: name === 'person' ? 'psql' : 'shop' });

	client.on('error', () => {});
	await client.connect();
	kept.push(client);
	if (name === 'listen')
		return client.query('LISTEN jobs');
	do {
		await client.query(`SELECT count(*) FROM pg_class /* ${name} */`);
		await wait(every * 1000);
	} while (name === 'scheduler');
}

async function main() {
	const start = number('START');
	let end = 0;

	pool.on('error', () => {});
	for (const line of fs.readFileSync(env.SCHEDULE, 'utf8').trim().split('\n')) {
		const words = line.split(' ');
		const [at, ...rest] = words.map(Number);

		if (words[0] === 'end') {
			end = Number(words[1]);
		} else if (words[0] === 'dedicated') {
			dedicated(words[1], Number(words[2] || 0)).catch((error) => note('error', error));
		} else {
			await wait(Math.max(0, start + at - Date.now()));
			request(...rest);
		}
	}
	await wait(Math.max(0, start + end - Date.now()));
	process.exit(0);
}

main();
