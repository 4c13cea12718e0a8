"""An application with a pool of psycopg_pool or SQLAlchemy (POOL) that does what a schedule of workload.py says, and writes down which connections it
has lost.  For live.py.
"""
import os
import queue
import threading
import time

ENV = os.environ
MAX, MIN, IDLE, LIFE = (int(ENV["POOL_" + name]) for name in ("MAX", "MIN", "IDLE", "LIFE"))
SERVER = "host=%s user=%s dbname=%s" % (ENV["PGHOST"], ENV["PGUSER"], ENV["PGDATABASE"])
THREADS = 48
kept = []
lock = threading.Lock()


def note(*words):
    with lock, open(ENV["TRUTH"], "a") as f:
        f.write(" ".join(str(w) for w in words).replace("\n", " ") + "\n")


def statement(kind, step):
    return "SELECT pg_sleep(%.2f) /* %s step %s */" % (0.01 + 0.01 * ((kind * 7 + step * 3) % 6), "abcdef"[kind], "abcdef"[step])


def psycopg_pool():
    import psycopg_pool

    more = {}
    if IDLE:
        more["max_idle"] = IDLE
    if LIFE:
        more["max_lifetime"] = LIFE
    pool = psycopg_pool.ConnectionPool(SERVER + " application_name=shop", min_size=MIN or 2, max_size=MAX, timeout=5, kwargs={"autocommit": True}, **more)
    return pool.getconn, lambda c, text: c.execute(text), pool.putconn, lambda c: c.info.backend_pid


def sqlalchemy():
    import sqlalchemy as sa

    least = max(1, MAX // 2)
    engine = sa.create_engine("postgresql+psycopg2://%s@/%s?host=%s&application_name=shop" % (ENV["PGUSER"], ENV["PGDATABASE"], ENV["PGHOST"]), pool_size=least,
                              max_overflow=MAX - least, pool_timeout=5, pool_recycle=LIFE or -1, isolation_level="AUTOCOMMIT")
    return engine.connect, lambda c, text: c.exec_driver_sql(text), lambda c: c.close(), lambda c: c.connection.connection.get_backend_pid()


TAKE, RUN, GIVE, PID = {"psycopg": psycopg_pool, "sqlalchemy": sqlalchemy}[ENV["POOL"]]()


def request(kind, steps, think, transaction, leak):
    try:
        connection = TAKE()
    except Exception:
        return
    try:
        if transaction:
            RUN(connection, "BEGIN")
        for step in range(steps):
            if step and think:
                time.sleep(think / 1000)
            RUN(connection, statement(kind, step))
        if transaction:
            RUN(connection, "COMMIT")
        if leak == 2:
            RUN(connection, "SELECT 1/0")
    except Exception as error:
        if not leak:
            note("error", repr(error))
    if leak:
        kept.append(connection)
        note("leak", int(time.time() * 1000), PID(connection))
    else:
        GIVE(connection)


def dedicated(name, every="0"):
    import psycopg

    connection = psycopg.connect(SERVER + " application_name=" + ("psql" if name == "person" else "shop"), autocommit=True)
    kept.append(connection)
    if name == "listen":
        connection.execute("LISTEN jobs")
        return
    while True:
        connection.execute("SELECT count(*) FROM pg_class /* %s */" % name)
        if name != "scheduler":
            return
        time.sleep(float(every))


def work(requests):
    while True:
        request(*requests.get())


def main():
    start, end, requests = int(ENV["START"]) / 1000, 0, queue.Queue()
    for _ in range(THREADS):
        threading.Thread(target=work, args=(requests,), daemon=True).start()
    with open(ENV["SCHEDULE"]) as f:
        lines = f.read().split("\n")[:-1]
    for line in lines:
        words = line.split()
        if words[0] == "end":
            end = int(words[1]) / 1000
        elif words[0] == "dedicated":
            threading.Thread(target=dedicated, args=words[1:], daemon=True).start()
        else:
            time.sleep(max(0, start + int(words[0]) / 1000 - time.time()))
            requests.put([int(w) for w in words[1:]])
    time.sleep(max(0, start + end - time.time()))
    os._exit(0)


main()
