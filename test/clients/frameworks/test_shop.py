# Tests of an application, for frameworks.pl: one gives its connection back, the other
# forgets it if LEAK is set.
import os

import psycopg

forgotten = []


def connect():
    connection = psycopg.connect(application_name="shop")
    connection.execute("SELECT 'from python' /*action='pay'*/")
    return connection


def test_gives_it_back():
    with connect():
        pass


def test_may_forget_it():
    connection = connect()
    if "LEAK" in os.environ:
        forgotten.append(connection)
    else:
        connection.close()
