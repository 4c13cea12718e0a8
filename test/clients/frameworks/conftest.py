# conftest.py
import psycopg
import pytest


@pytest.fixture(autouse=True)
def no_leaks():
    yield
    with psycopg.connect() as connection:
        connection.execute("SELECT leakwatch.assert_no_leaks('shop', '1s')")
