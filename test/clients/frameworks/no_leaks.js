// no_leaks.js
const { afterEach } = require('node:test'); // in Jest it is there anyway
const { Client } = require('pg');

module.exports = function noLeaks(application, grace = '1s') {
	afterEach(async () => {
		const client = new Client();

		await client.connect();
		try {
			await client.query('SELECT leakwatch.assert_no_leaks($1, $2)', [application, grace]);
		} catch (error) {
			throw new Error(`${error.message}\n${error.detail}`); // the trails
		} finally {
			await client.end();
		}
	});
};
