// Tests of an application, for frameworks.pl: one gives its connection back, the other
// forgets it if LEAK is set.
const test = require('node:test');
const { Client } = require('pg');

require('./no_leaks.js')('shop');

async function connect() {
	const client = new Client({ application_name: 'shop' });

	await client.connect();
	await client.query('BEGIN');
	await client.query("SELECT 'from node' /*action='pay'*/");
	return client;
}

test('gives it back', async () => {
	const client = await connect();

	await client.query('COMMIT');
	await client.end();
});

let forgotten;

test('may forget it', async () => {
	forgotten = await connect();
	if (!process.env.LEAK) await forgotten.query('COMMIT');
});

test.after(() => forgotten.end());
