// A web shop with a pool of node-postgres, whose requests give their connections
// back; one that is asked for does not.  For forgotten.pl, which writes a command
// a line: "forget" answers with the PID of the session that is forgotten then,
// "retried" with that of the one whose client is gone on with.
'use strict';

const readline = require('readline');
const { Pool } = require('pg');

const pool = new Pool({ application_name: 'forgotten.js', max: 10 });
let forgotten;

// Every 150 ms, as many requests as there happen to be.
const crowd = [1, 2, 1, 3, 1, 1, 4, 2];
let ticks = 0;

async function request() {
	const client = await pool.connect();

	try {
		await client.query('SELECT item FROM payment WHERE pieces > $1', [0]);
		await client.query("INSERT INTO payment (item, pieces) VALUES ($1, $2)", ['lamp', 1]);
	} finally {
		client.release();
	}
}

// The commonest leak of all.
async function forget() {
	const client = await pool.connect();

	await client.query(
		"INSERT INTO payment (item, pieces) VALUES ($1, $2) /*action='add',controller='cart'*/",
		['lamp', 1]);
	forgotten = client;
	return client.processID;
}

const requests = setInterval(() => {
	for (let i = 0; i < crowd[ticks % crowd.length]; i++)
		request().catch((error) => {
			console.error(error);
			process.exit(1);
		});
	ticks++;
}, 150);

readline.createInterface({ input: process.stdin })
	.on('line', async (command) => {
		if (command === 'retried')
			await forgotten.query('SELECT item FROM payment LIMIT 1');
		console.log(command === 'forget' ? await forget() : forgotten.processID);
		console.log('.');
	})
	.on('close', () => {
		clearInterval(requests);
		process.exit(0);
	});
