// A webhook for notify.pl: prints its port, and then each request on a line, its
// path and its body.  It is not ready for the first one of each path.
'use strict';

const http = require('node:http');

const asked = new Set();

const server = http.createServer(async (request, response) => {
	let body = '';

	for await (const chunk of request) body += chunk;
	response.statusCode = asked.has(request.url) ? 204 : 503;
	if (asked.has(request.url)) console.log(`${request.url} ${body}`);
	asked.add(request.url);
	response.end();
});

server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
