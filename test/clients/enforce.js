// Applications of node-postgres whose session is terminated, for enforce.pl: the
// argument tells which.  Each prints what it gets to know.
'use strict';

const { once } = require('events');
const { Pool } = require('pg');

// As doc/clients.md has it.
async function withClient(pool, work) {
	const client = await pool.connect();
	let released = false;
	const release = (error) => {
		if (!released) client.release(error);
		released = true;
	};

	client.on('error', release); // the server has ended the session
	try {
		return await work(client);
	} finally {
		client.off('error', release);
		release();
	}
}

// Not before it is at rest in the pool, as it would be on a busy machine.
const limit = "SELECT set_config('leakwatch.idle_session_terminate', '100ms', false)";

const applications = {
	async client_without_handler(pool) {
		const client = await pool.connect();

		await client.query('BEGIN');
	},

	async pool_without_handler(pool) {
		await pool.query(limit);
	},

	async pool_with_handler(pool) {
		const ended = new Promise((resolve) => pool.on('error', resolve));

		await pool.query(limit);
		console.log((await ended).detail);
		await pool.query('SELECT 1');
		console.log('the pool works');
	},

	async never_released(pool) {
		const client = await pool.connect();
		const ended = new Promise((resolve) => client.on('error', resolve));

		await client.query('BEGIN');
		const error = await ended;

		console.log(error.code, error.detail);
		const next = pool.connect();

		console.log('waiting for a client:', pool.waitingCount);
		client.release(error);
		await (await next).query('SELECT 1');
		console.log('the pool works');
	},

	async released_by_handler(pool) {
		withClient(pool, async (client) => {
			await client.query('BEGIN');
			await new Promise(() => {}); // what the bank says
		});
		await withClient(pool, (client) => client.query('SELECT 1'));
		console.log('the pool works');
		await withClient(pool, async (client) => {
			const ended = once(client, 'error');

			await client.query('BEGIN');
			await ended;
			await client.query('COMMIT');
		}).catch(({ message }) => console.log(message));
		await withClient(pool, (client) => client.query('SELECT 1'));
		console.log('the pool works');
	},
};

async function main() {
	await applications[process.argv[2]](new Pool({ max: 1 }));
	if (!process.argv[2].endsWith('_without_handler')) process.exit();
}

main();
