"""Applications of libpq whose session is terminated, for enforce.pl: the argument
tells which.  Each prints the SQLSTATE and the text of its exception.
"""

import select
import sys

import psycopg
import psycopg2
from psycopg2.extensions import set_wait_callback
from psycopg2.extras import wait_select


def try_to_go_on(library):
    connection = library.connect("")
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    select.select([connection], [], [])  # until the server says something
    try:
        cursor.execute("SELECT 2")
    except library.OperationalError as error:
        return getattr(error, "pgcode", getattr(error, "sqlstate", None)), error
    return None, "nothing"


def blocking():
    return try_to_go_on(psycopg2)


def with_wait_callback():
    set_wait_callback(wait_select)
    return try_to_go_on(psycopg2)


def three():
    return try_to_go_on(psycopg)


print(*{"psycopg2": blocking, "psycopg2_wait": with_wait_callback, "psycopg": three}[sys.argv[1]]())
