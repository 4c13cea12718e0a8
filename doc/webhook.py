#!/usr/bin/python3
"""Posts what leakwatch notifies of to a webhook.

    webhook.py URL [CHANNEL]

Connects as PGHOST, PGDATABASE and so on say, to the database that
leakwatch.database names.  Posts the JSON object of each notification with a
sentence as its "text", which is what chat programs show.  Needs psycopg 3.
"""
import http.client
import json
import sys
import time
import urllib.request

import psycopg
from psycopg import sql

TRIES = 5


def sentence(event):
    if event["event"] == "summary":
        return f'{event["opened"]} more leaks have begun, {event["ended"]} have ended'
    who = f'{event["application"]} (PID {event["pid"]}, {event["user"]} in {event["database"]})'
    text = f'{event["kind"]} of {who}: {event["outcome"]} after {event["duration"]:.0f} s'
    if event["blocked_sessions"]:
        text += f', blocked {event["blocked_sessions"]} sessions'
    return text


def post(url, event):
    body = json.dumps({**event, "text": sentence(event)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except (OSError, http.client.HTTPException) as error:
            print(f"{url}: {error}", file=sys.stderr)
            time.sleep(2**attempt / 4)
    print(f"not posted: {body.decode()}", file=sys.stderr)


def listen(url, channel):
    with psycopg.connect(autocommit=True) as connection:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        print(f"listening on {channel}", flush=True)
        for notification in connection.notifies():
            post(url, json.loads(notification.payload))


def main(url, channel="leakwatch"):
    while True:
        try:
            listen(url, channel)
        except psycopg.Error as error:  # also that of a standby, which has no LISTEN
            print(error, file=sys.stderr)
        time.sleep(1)


if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
main(*sys.argv[1:])
