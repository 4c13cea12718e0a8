"""Runs applications with real pools against a server with leakwatch, and tells how often that was right.  Started by live.

live.py [--parallel N] [--seconds S] POOL/WORKLOAD/SEED ...
Each job is a database of its own, so that no two are one application.  What leakwatch suspected, and who was idle for how long, for the naive rule
beside it, is in its own table; what the application lost, in a file that it writes.
"""
import argparse
import collections
import importlib.machinery
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time

import psycopg

import workload

HERE = os.path.dirname(os.path.abspath(__file__))
COMMAND = {"pg": ["node", HERE + "/application.js"], "psycopg": [sys.executable, HERE + "/application.py"], "sqlalchemy": [sys.executable, HERE + "/application.py"]}
LEAD = 5       # s until all have started
LATEST = 25    # s before the end: a leak after that does not count for recall
NAIVE = (10, 20, 30, 45)

loader = importlib.machinery.SourceFileLoader("evaluate", HERE + "/evaluate")
evaluate = importlib.util.module_from_spec(importlib.util.spec_from_loader("evaluate", loader))
loader.exec_module(evaluate)

Spell = collections.namedtuple("Spell", "pid kind since detected ended")   # s since the epoch


def options(pool, name, seed, wanted):
    """How the pool is set: what its users set, seconds for minutes."""
    r = random.Random("%s/%s/%s" % (pool, name, seed))
    o = {"max": 10, "min": 0, "idle": 0, "life": 0}
    if pool == "pg":
        o["idle"] = r.choice([0, 5, 10])
    elif pool == "psycopg":
        o["min"], o["idle"] = r.choice([2, 4]), r.choice([8, 600])
    o.update(wanted)
    o["min"] = min(o["min"], o["max"])
    return o


class Job:
    def __init__(self, name, number, work, seconds):
        pool, kind, seed = name.split("/")
        self.name, self.database, self.seconds = name, "job%d" % number, seconds
        self.truth = "%s/%s.truth" % (work, self.database)
        with psycopg.connect(dbname="postgres", autocommit=True) as c:
            c.execute("CREATE DATABASE %s" % self.database)
        files, wanted = workload.write(kind, seed, "%s/%s" % (work, self.database), seconds)
        open(self.truth, "w").close()
        self.start = time.time() + LEAD
        env = dict(os.environ, POOL=pool, PGUSER="app", PGDATABASE=self.database, TRUTH=self.truth, START=str(int(self.start * 1000)))
        env.update(("POOL_" + k.upper(), str(v)) for k, v in options(pool, kind, seed, wanted).items())
        self.processes = [subprocess.Popen(COMMAND[pool], env=dict(env, SCHEDULE=f)) for f in files]

    def is_over(self):
        if time.time() > self.start + self.seconds + LEAD:
            self.kill()
        return all(p.poll() is not None for p in self.processes)

    def kill(self):
        for p in self.processes:
            p.kill()

    def leaks(self):
        """when, by PID"""
        leaks = {}
        with open(self.truth) as f:
            for line in f:
                words = line.split()
                if words[0] == "leak":
                    leaks[int(words[2])] = int(words[1]) / 1000
                else:
                    print("%s: %s" % (self.name, line.strip()), file=sys.stderr)
        return leaks

    def spells(self):
        """idle spells that leakwatch has noted, once all are in the table"""
        with psycopg.connect(dbname="postgres", autocommit=True) as c:
            while c.execute("SELECT pending > 0 FROM leakwatch.status").fetchone()[0]:
                time.sleep(0.2)
            return [Spell(*row) for row in c.execute(
                "SELECT pid, kind, extract(epoch FROM since)::float8, extract(epoch FROM detected_at)::float8, coalesce(extract(epoch FROM ended_at), 1e12)::float8"
                " FROM leakwatch.incidents WHERE datname = %s AND kind IN ('suspected_leak', 'idle_session')", (self.database,))]

    def score(self):
        """rows as evaluate has them: of leakwatch, and of the naive rule by its limit"""
        leaks, spells, end = self.leaks(), self.spells(), self.start + self.seconds
        idle = {(s.pid, s.since): s.ended for s in spells}
        for s in spells:
            if s.kind == "suspected_leak" and s.detected < end:
                print("%s: %s %.1f s after its last use, %s" % (self.name, s.pid, s.detected - s.since, "which was a leak" if self.is_right(leaks, s.pid, s.detected)
                                                               else "wrongly"), file=sys.stderr)
        yield "leakwatch", self.rate(leaks, [(s.pid, s.detected) for s in spells if s.kind == "suspected_leak"])
        for limit in NAIVE:
            yield "idle for longer than %d s" % limit, self.rate(leaks, [(pid, since + limit) for (pid, since), ended in idle.items() if ended > since + limit])

    @staticmethod
    def is_right(leaks, pid, at):
        return pid in leaks and leaks[pid] <= at

    def rate(self, leaks, suspicions):
        end = self.start + self.seconds
        told = [s for s in suspicions if s[1] < end]
        right = [(pid, at) for pid, at in told if self.is_right(leaks, pid, at)]
        counted = {pid for pid, at in leaks.items() if at < end - LATEST}
        return (self.name, len(right), len(told) - len(right), len(counted), len(counted & {pid for pid, _ in right}), [at - leaks[pid] for pid, at in right])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=150)
    parser.add_argument("jobs", nargs="+")
    arguments = parser.parse_args()
    todo, running, results = list(enumerate(arguments.jobs)), [], collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as work:
        try:
            while todo or running:
                while todo and len(running) < arguments.parallel:
                    number, name = todo.pop(0)
                    running.append(Job(name, number, work, arguments.seconds))
                time.sleep(0.5)
                for job in [j for j in running if j.is_over()]:
                    running.remove(job)
                    for method, row in job.score():
                        results[method].append(row)
        finally:
            for job in running:
                job.kill()
    for method, rows in results.items():
        print("\n%s\n" % method)
        evaluate.table(rows)
    with psycopg.connect(dbname="postgres") as c:
        print("\nstatus: %d suspected, %d confirmed, %d refuted" % c.execute("SELECT suspected, confirmed, refuted FROM leakwatch.status").fetchone())


if __name__ == "__main__":
    main()
