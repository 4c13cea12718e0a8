// An application that makes the classic mistakes with a pool of node-postgres,
// and one that makes none, for node.pl.  Clients.pm tells which mistakes there
// are, and what the lines mean that are read and written here.
'use strict';

const readline = require('readline');
const { Client, Pool } = require('pg');

const APPLICATION = 'leaks.js';
const CHECK_VIOLATION = '23514';

// Record a payment, with tags as sqlcommenter adds them.  The server refuses one
// of no pieces.
function pay(client, action, pieces = 1) {
	return client.query(
		`INSERT INTO payment (item, pieces) VALUES ($1, $2) /*action='${action}',controller='checkout'*/`,
		['lamp', pieces]);
}

const mistakes = {
	async never_released(pool) {
		const client = await pool.connect();

		await client.query('BEGIN');
		await pay(client, 'never_released');
		await client.query('COMMIT');
	},

	async release_skipped(pool) {
		const client = await pool.connect();

		await pay(client, 'release_skipped', 0);
		client.release();
	},

	// This pool takes back a connection as it is.
	async no_commit(pool) {
		const client = await pool.connect();

		try {
			await client.query('BEGIN');
			await pay(client, 'no_commit');
		} finally {
			client.release();
		}
	},

	async no_rollback(pool) {
		const client = await pool.connect();

		await client.query('BEGIN');
		await pay(client, 'no_rollback');
		try {
			await pay(client, 'no_rollback', 0);
		} catch {
			// logged somewhere, and taken for dealt with
		}
	},

	async no_answer(pool) {
		const client = await pool.connect();

		try {
			await client.query('BEGIN');
			await pay(client, 'no_answer');
			await new Promise(() => {}); // what the bank says
			await client.query('COMMIT');
		} finally {
			client.release();
		}
	},

	async heartbeat(pool) {
		const client = await pool.connect();

		await client.query('BEGIN');
		await pay(client, 'heartbeat');
		setInterval(
			() => client.query("SELECT 1 /*action='heartbeat',controller='checkout'*/"),
			20);
	},
};

async function withConnection(pool, work) {
	const client = await pool.connect();

	try {
		return await work(client);
	} finally {
		client.release();
	}
}

async function withTransaction(pool, work) {
	return withConnection(pool, async (client) => {
		await client.query('BEGIN');
		try {
			const result = await work(client);

			await client.query('COMMIT');
			return result;
		} catch (error) {
			await client.query('ROLLBACK');
			throw error;
		}
	});
}

const properWays = [
	async (pool, pieces) => {
		const client = await pool.connect();

		try {
			await pay(client, 'finally', pieces);
		} finally {
			client.release();
		}
	},
	(pool, pieces) =>
		withConnection(pool, (client) => pay(client, 'with_connection', pieces)),
	(pool, pieces) =>
		withTransaction(pool, (client) => pay(client, 'with_transaction', pieces)),
];

const made = {}; // by the name of the mistake: the connection, and its notices

const commands = {
	// The mistake goes on by itself, as forgotten work does; its error is one
	// that somebody handles, but not by giving the connection back.
	async do(name) {
		// one that was given back in a transaction stays, however long that takes
		const pool = new Pool({ application_name: APPLICATION, max: 1, idleTimeoutMillis: 0 });
		const connected = new Promise((resolve) => pool.once('connect', resolve));

		mistakes[name](pool).catch(() => {});
		const client = await connected;
		const notices = [];

		client.on('notice', ({ severity, code, message }) =>
			notices.push(`${severity} ${code} ${message}`));
		made[name] = { client, notices };
		return client.processID;
	},

	async undo(name) {
		const { client, notices } = made[name];

		await client.query('ROLLBACK');
		return notices.join('\n');
	},

	async load(workers, times) {
		const pool = new Pool({ application_name: APPLICATION, max: 4 });
		let paid = 0;
		let refused = 0;

		const work = async () => {
			for (let i = 0; i < times; i++) {
				try {
					await properWays[i % properWays.length](pool, i % 5);
					paid++;
				} catch (error) {
					if (error.code !== CHECK_VIOLATION) throw error;
					refused++;
				}
			}
		};
		await Promise.all(Array.from({ length: workers }, work));
		return `${paid} paid, ${refused} refused`;
	},

	async check(grace) {
		const client = new Client({ application_name: APPLICATION });

		await client.connect();
		try {
			await client.query('SELECT leakwatch.assert_no_leaks($1, $2)', [APPLICATION, grace]);
			return 'no leaks';
		} catch ({ code, message, detail }) {
			return `${code} ${message}\n${detail}`;
		} finally {
			await client.end();
		}
	},
};

async function main() {
	for await (const line of readline.createInterface({ input: process.stdin })) {
		const [command, ...parameters] = line.split(' ');

		console.log(`${await commands[command](...parameters)}\n.`);
	}
	process.exit(); // whatever is still connected
}

main();
