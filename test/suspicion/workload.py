"""What applications do with their pools: seeded schedules, one a process.

A line of a schedule:  AT KIND STEPS THINK TRANSACTION LEAK
  AT           ms after the start at which a request comes in: it takes a connection of the pool, or waits for one
  KIND         which statements: requests of a kind look alike, as in an application
  STEPS        statements in the request, THINK ms between them, in which the application does something else
  TRANSACTION  1: in a transaction that is committed; 0: each statement for itself
  LEAK         0: gives the connection back; 1: forgets to; 2: a statement fails, and the error path forgets to
"dedicated NAME ..." is a connection beside the pool that is no leak.  A second stands for a minute.
"""
import random

WORKLOADS = ["steady", "slow", "bursty", "night", "growth", "multi", "starved", "refill", "rotate", "fixed", "errors", "exhaust", "dedicated", "long", "serial"]


def poisson(r, rate, t1, load):
    """times of arrival, where the load is a share of the rate"""
    t, out = 0.2, []
    top = rate * max(load(x / 2) for x in range(int(t1 * 2) + 1))
    while True:
        t += r.expovariate(top)
        if t >= t1:
            return out
        if r.random() * top < rate * load(t):
            out.append(t)


def request(r, t, think):
    kind = min(int(r.expovariate(0.5)), 5)
    return [int(t * 1000), kind, r.choice([1, 1, 2, 3, 4]), think or r.choice([0, 0, 2, 5, 10, 20]), int(kind in (1, 4)), 0]


def leak_times(r, plan, count, seconds):
    if plan == "burst":
        start = 55 + r.random() * 20
        return sorted(start + r.random() * 0.8 for _ in range(count))
    return sorted(r.uniform(20, seconds - (60 if plan == "exhaust" else 45)) for _ in range(count))


def waves(r, periods, least):
    period, width = r.choice(periods)
    return lambda t: 1.0 if t % period < width else least


def one_by_one(r, start, end):
    while start < end:
        yield start
        start += r.uniform(0.2, 0.45)


def build(name, seed, seconds):
    """-> requests of each process, dedicated connections, what the pool is set to"""
    r = random.Random("%s/%s" % (name, seed))
    base, leaky = name.split("-")[0], name.endswith("-leak")
    rate, load, shares, options, dedicated = 20, lambda t: 1.0, [1.0], {}, []
    plan, count = "slow", r.randint(4, 7)
    if base == "steady":
        rate = r.choice([12, 20, 30])
    elif base == "slow":
        rate, count = r.choice([1.0, 2.0, 4.0]), r.randint(2, 4)
    elif base == "bursty":
        rate, load = 50, waves(r, [(25, 4), (35, 6), (45, 8)], 0.05)
    elif base == "night":
        dusk = 45 + r.random() * 10
        rate, load = 22, lambda t: 1.0 if t < dusk or t > 115 else 0.01
    elif base == "growth":
        rate, load = 60, lambda t: 0.08 + 0.92 * t / seconds
    elif base in ("multi", "starved"):
        rate, shares, options = 24, [0.5, 0.3, 0.2] if base == "multi" else [0.4, 0.3, 0.3], {"max": 6}
    elif base == "refill":
        rate, load, options = 40, waves(r, [(30, 8)], 0.1), {"min": 4}
    elif base == "rotate":
        rate, options = 16, {"life": 30}
    elif base == "fixed":
        rate, options = r.choice([6, 12]), {"min": 10}
    elif base == "errors":
        plan, count = "burst", r.randint(3, 5)
    elif base == "exhaust":
        plan, count = "exhaust", 12
    elif base == "dedicated":
        rate, dedicated = 18, ["dedicated listen", "dedicated scheduler %d" % r.choice([18, 25, 33]), "dedicated person"]
    elif base == "long":
        rate = 14
    elif base == "serial":
        rate, load = 40, lambda t: 1.0 if t < 8 else 0.0
    else:
        raise SystemExit("no such workload: " + base)
    processes = []
    for i, share in enumerate(shares):
        stop = 40 + 25 * i + r.random() * 10
        ebbs = (lambda t, stop=stop: 1.0 if t < stop else 0.0) if base == "starved" and i > 0 else load
        times = poisson(r, rate * share, seconds - 1, ebbs)
        if base == "serial":
            times += one_by_one(r, 8, seconds - 1)
        processes.append([request(r, t, r.choice([1500, 3000, 6000, 9000]) if base == "long" and r.random() < 0.012 else None) for t in times])
    for t in leak_times(r, plan, count, seconds) if leaky else []:
        process = processes[0 if base == "starved" else r.choices(range(len(shares)), shares)[0]]
        victim = next((q for q in process if q[0] >= t * 1000 and not q[5]), None)
        if victim:
            victim[5] = 2 if plan == "burst" else r.choice([1, 1, 2])
    return processes, dedicated, options


def write(name, seed, path, seconds):
    """-> a file for each process, what the pool is set to"""
    processes, dedicated, options = build(name, seed, seconds)
    files = []
    for i, requests in enumerate(processes):
        lines = (dedicated if i == 0 else []) + [" ".join(map(str, q)) for q in requests] + ["end %d" % (seconds * 1000)]
        files.append("%s.%d" % (path, i))
        with open(files[-1], "w") as f:
            f.write("\n".join(lines) + "\n")
    return files, options
