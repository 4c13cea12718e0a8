"""An application that makes the classic mistakes with a pool of psycopg, and one
that makes none, for python.pl.  Clients.pm tells which mistakes there are, and
what the lines mean that are read and written here.
"""

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Thread

import psycopg
from psycopg.errors import CheckViolation
from psycopg_pool import ConnectionPool

APPLICATION = "leaks.py"
CONNINFO = f"application_name={APPLICATION}"


def pay(connection, action, pieces=1):
    """Record a payment, with tags as sqlcommenter adds them.  The server refuses
    one of no pieces.
    """
    connection.execute(
        "INSERT INTO payment (item, pieces) VALUES (%s, %s)"
        f" /*action='{action}',controller='checkout'*/",
        ("lamp", pieces),
    )


def never_released(pool):
    connection = pool.getconn()
    pay(connection, "never_released")
    connection.commit()


def release_skipped(pool):
    connection = pool.getconn()
    connection.autocommit = True
    pay(connection, "release_skipped", 0)
    pool.putconn(connection)


# This pool rolls back what is given back without COMMIT: this one is kept.
def no_commit(pool):
    connection = pool.getconn()
    pay(connection, "no_commit")


def no_rollback(pool):
    connection = pool.getconn()
    pay(connection, "no_rollback")
    try:
        pay(connection, "no_rollback", 0)
    except CheckViolation:
        pass  # logged somewhere, and taken for dealt with


def no_answer(pool):
    with pool.connection() as connection:
        pay(connection, "no_answer")
        Future().result()  # what the bank says


def heartbeat(pool):
    connection = pool.getconn()
    pay(connection, "heartbeat")
    while True:
        connection.execute("SELECT 1 /*action='heartbeat',controller='checkout'*/")
        time.sleep(0.02)


MISTAKES = (never_released, release_skipped, no_commit, no_rollback, no_answer, heartbeat)


def with_finally(pool, pieces):
    connection = pool.getconn()
    try:
        pay(connection, "finally", pieces)
        connection.commit()
    except psycopg.Error:
        connection.rollback()
        raise
    finally:
        pool.putconn(connection)


def with_connection(pool, pieces):
    with pool.connection() as connection:
        pay(connection, "with_connection", pieces)


def with_transaction(pool, pieces):
    with pool.connection() as connection, connection.transaction():
        pay(connection, "with_transaction", pieces)


PROPER_WAYS = (with_finally, with_connection, with_transaction)


def forgotten(mistake, pool):
    """Its error is one that somebody handles, but not by giving the connection back."""
    try:
        mistake(pool)
    except psycopg.Error:
        pass


class Commands:
    """What Clients.pm asks for: a method for each command."""

    def __init__(self):
        # By the name of the mistake: the connection, and its notices.  Somebody
        # holds on to each, for Python closes those that nobody refers to.
        self.made = {}

    def do(self, name):
        """The mistake goes on in a thread of its own, as forgotten work does."""
        mistake = {mistake.__name__: mistake for mistake in MISTAKES}[name]
        connected = SimpleQueue()
        pool = ConnectionPool(CONNINFO, min_size=0, max_size=1, configure=connected.put)
        Thread(target=forgotten, args=(mistake, pool), daemon=True).start()
        connection = connected.get()
        notices = []
        connection.add_notice_handler(
            lambda notice: notices.append(
                f"{notice.severity} {notice.sqlstate} {notice.message_primary}"
            )
        )
        self.made[name] = connection, notices
        return connection.info.backend_pid

    def undo(self, name):
        connection, notices = self.made[name]
        connection.execute("ROLLBACK")
        return "\n".join(notices)

    def load(self, workers, times):
        pool = self.pool = ConnectionPool(CONNINFO, min_size=0, max_size=4)

        def work(_):
            refused = 0
            for i in range(int(times)):
                try:
                    PROPER_WAYS[i % len(PROPER_WAYS)](pool, i % 5)
                except CheckViolation:
                    refused += 1
            return refused

        with ThreadPoolExecutor(int(workers)) as threads:
            refused = sum(threads.map(work, range(int(workers))))
        return f"{int(workers) * int(times) - refused} paid, {refused} refused"

    def check(self, grace):
        try:
            with psycopg.connect(CONNINFO) as connection:
                connection.execute(
                    "SELECT leakwatch.assert_no_leaks(%s, %s)", (APPLICATION, grace)
                )
        except psycopg.Error as error:
            diag = error.diag
            return f"{diag.sqlstate} {diag.message_primary}\n{diag.message_detail}"
        return "no leaks"


def main():
    commands = Commands()
    for line in sys.stdin:
        command, *parameters = line.split()
        print(getattr(commands, command)(*parameters), ".", sep="\n", flush=True)


main()
