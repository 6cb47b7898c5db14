#!/usr/bin/env python3
"""Measures the budgets of the design with the peer beside them, through the doors a user uses.

    make bench            # all, writes the table to BENCHMARKS.md's machine-readable twin on stdout
    benches/run.py csv    # one of: csv postgres dashboard rules standing

Every figure is a whole process: wall seconds and peak resident memory as the kernel accounts them.
Sizes shrink with GUANLAN_BENCH_SCALE (1 = the budget's own size) for a quick look.
"""

import http.cookiejar
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

TARGET = Path(os.environ["CARGO_TARGET_DIR"])
GUANLAN = os.environ.get("GUANLAN_BIN", str(TARGET / "bench-release" / "guanlan"))
SCALE = float(os.environ.get("GUANLAN_BENCH_SCALE", "1"))
ROWS = []


def timed(command, **options):
    """Runs a command; returns (wall seconds, peak MiB, standard output)."""
    started = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    out, err = [], []
    readers = [
        threading.Thread(target=lambda pipe, into: into.append(pipe.read()), args=(pipe, into))
        for pipe, into in ((child.stdout, out), (child.stderr, err))
    ]
    for reader in readers:
        reader.start()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    for reader in readers:
        reader.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command} failed ({child.returncode}):\n{out[0].decode()}\n{err[0].decode()}")
    return wall, usage.ru_maxrss / 1024, out[0].decode()


def report(what, ours, peer, ratio, memory, budget, note=""):
    ROWS.append((what, ours, peer, ratio, memory, budget, note))
    print(f"{what:44} {ours:>14} {peer:>18} {ratio:>8} {memory:>10}  budget {budget} {note}", flush=True)


def project(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


SITE = "site: { name: Bench, timezone: Asia/Shanghai, locale: en }\nstore: { local: { path: data } }\n"


def csv(folder):
    import duckdb

    rows = int(10_000_000 * SCALE)
    drops = folder / "drops"
    drops.mkdir()
    duckdb.execute(
        f"""copy (select n as id, '2026-' || lpad((1 + n % 12)::varchar, 2, '0') || '-' || lpad((1 + n % 28)::varchar, 2, '0') as day,
        'department ' || (n * 7919 % 40) as department, round((n * 31 % 1000003) / 100.0, 2) as amount,
        case when n % 11 = 0 then 'returned' else 'approved' end as status, 'note number ' || (n % 5003) as note
        from range({rows}) t(n)) to '{drops}/orders.csv' (header)"""
    )
    project(folder, {
        "guanlan.yaml": SITE,
        "sources/drops.yaml": "title: Drops\nkind: { files: { path: drops } }\nstreams:\n  orders: { glob: '*.csv', format: { csv: {} } }\n",
    })
    peer, peer_memory, _ = timed([
        sys.executable, "-c",
        f"import duckdb; duckdb.execute(\"copy (from '{drops}/orders.csv') to '{folder}/peer.parquet' (format parquet)\")",
    ])
    ours, memory, out = timed([GUANLAN, "--project", str(folder), "--json", "sync", "--raw-only"])
    landed = json.loads(out)["streams"][0]["rows"]
    assert landed == rows, f"landed {landed} of {rows}"
    report(f"CSV {rows:,} rows → Delta", f"{rows / ours:,.0f} rows/s", f"{rows / peer:,.0f} rows/s DuckDB",
           f"{peer / ours:.2f}×", f"{memory:,.0f} MiB", "≥ 0.8×, < 512 MiB", f"(DuckDB {peer_memory:,.0f} MiB)")


def postgres(folder):
    rows = int(5_000_000 * SCALE)
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not bins:
        sys.exit("PostgreSQL is not installed: run tests/prepare.sh bench")
    bin, data, port = bins[-1], folder / "pg", 54329
    runas = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if runas:
        shutil.chown(folder, "postgres")
    subprocess.run([*runas, bin / "initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync"], check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*runas, bin / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-c", "fsync=off",
                               "-c", f"unix_socket_directories={folder}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    psql = [str(bin / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "bench", "-d", "postgres", "-q"]
    try:
        for _ in range(100):
            if subprocess.run([*psql, "-c", "select 1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        subprocess.run([*psql, "-c", f"""create table ledger as select n::bigint as id, date '2026-01-01' + (n % 300)::int as day,
            'department ' || n % 40 as department, (n % 1000003)::numeric(18,2) / 100 as amount, n % 11 = 0 as returned,
            timestamptz '2026-01-01' + n * interval '1 second' as updated_at from generate_series(1, {rows}) n"""], check=True)
        subprocess.run([*psql, "-c", "vacuum analyze ledger"], check=True)
        env = {**os.environ, "PG_URL": f"postgres://bench@127.0.0.1:{port}/postgres"}
        project(folder / "p", {
            "guanlan.yaml": SITE,
            "sources/erp.yaml": "title: ERP\nkind: { postgres: { url: 'env:PG_URL' } }\nstreams:\n  ledger: { table: ledger, mode: { full: {} } }\n",
        })
        peer, _, _ = timed(["sh", "-c", f"{' '.join(psql)} -c 'copy ledger to stdout (format binary)' > /dev/null"])
        ours, memory, out = timed([GUANLAN, "--project", str(folder / "p"), "--json", "sync", "--raw-only"], env=env)
        landed = json.loads(out)["streams"][0]["rows"]
        assert landed == rows, f"landed {landed} of {rows}"
        report(f"PostgreSQL {rows:,} rows → Delta", f"{rows / ours:,.0f} rows/s", f"{rows / peer:,.0f} rows/s COPY",
               f"{peer / ours:.2f}×", f"{memory:,.0f} MiB", "≥ 0.8×")
    finally:
        subprocess.run(["pkill", "-INT", "-P", str(server.pid)])
        server.send_signal(2)
        server.wait()


class Browser:
    """A signed-in HTTP client."""

    def __init__(self, base, user, password):
        jar = http.cookiejar.CookieJar()
        self.base, self.open = base, urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open
        self.csrf = self.post("/api/session", {"user": user, "password": password})["csrf"]

    def get(self, path):
        with self.open(self.base + path, timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path, body):
        headers = {"content-type": "application/json", "x-csrf": getattr(self, "csrf", "")}
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), headers)
        with self.open(request, timeout=60) as answer:
            return json.loads(answer.read())


def start(command, env=None):
    """Starts a server that prints its JSON introduction; returns (process, introduction)."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    text = ""
    for line in server.stdout:
        text += line
        try:
            hello = json.loads(text)
            break
        except ValueError:
            continue
    else:
        sys.exit(f"{command} ended before it served:\n{text}")
    threading.Thread(target=lambda: [None for _ in server.stdout], daemon=True).start()
    return server, hello


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def dashboard(folder):
    from peer import Peer

    server, hello = start([GUANLAN, "demo", str(folder / "demo"), "--port", "0", "--json", "--speed", "1"])
    try:
        address = hello["address"]
        password = next(l["password"] for l in hello["logins"] if l["user"] == "executive")
        browser = Browser(address, "executive", password)
        ask = lambda days: browser.post("/api/dashboards/cockpit/data", {"range": f"{days}d"})
        colds, warms = [], []
        for days in range(60, 66):  # a range nobody asked for before is cold
            started = time.monotonic()
            page = ask(days)
            colds.append(time.monotonic() - started)
            assert all(t["ok"] for t in page["tiles"].values()), page
        for _ in range(200):
            started = time.monotonic()
            ask(65)
            warms.append(time.monotonic() - started)
        warms.sort()
        memory = resident(server.pid)
        peer = Peer(GUANLAN, folder / "demo/project", folder)
        peer.page("cockpit", 60)
        theirs = sorted(peer.page("cockpit", days) for days in range(60, 66))[3]
        cold, warm = sorted(colds)[3], warms[197]
        report(f"cockpit, {len(page['tiles'])} tiles, cold (median of 6)", f"{cold * 1000:,.0f} ms", f"{theirs * 1000:,.0f} ms DuckDB",
               f"{theirs / cold:.2f}×", f"{memory:,.0f} MiB", "< 1 s")
        report("cockpit, cached, p99 of 200", f"{warm * 1000:,.1f} ms", f"{theirs * 1000:,.0f} ms DuckDB", f"{theirs / warm:.1f}×", "", "< 100 ms")
    finally:
        server.terminate()
        server.wait()


def rules(folder):
    """One pass of 1,000 rules over the demo company's metrics, as the scheduler runs it."""
    from peer import Peer

    count = int(1000 * SCALE)
    demo = folder / "demo"
    timed([GUANLAN, "demo", str(demo), "--port", "0", "--json", "--prepare-only"])
    for file in (demo / "project/rules").glob("*.yaml"):
        file.unlink()
    metrics = sorted(m.stem for m in (demo / "project/metrics").glob("*.yaml") if "derived" not in m.read_text())
    for n in range(count):
        name = metrics[n % len(metrics)]
        (demo / f"project/rules/bench_{n}.yaml").write_text(
            f"title: Bench {n}\nask: {{ metric: {name}, grain: day, window: 56d }}\n"
            f"when: {{ seasonal: {{ season: week, deviations: {4 + n / 100}, side: both }} }}\nevery: 30d\nseverity: info\n"
            "annotations: { zh: { summary: x }, en: { summary: x } }\nnotify: []\n")
    server, hello = start([GUANLAN, "demo", str(demo), "--port", "0", "--json", "--speed", "1"])
    try:
        admin = Browser(hello["address"], "admin", next(l["password"] for l in hello["logins"] if l["user"] == "admin"))
        every = admin.get("/api/rules/bench_0")["every"]
        sql = f"select started_at, finished_at from system.jobs where kind = 'evaluate' and key = '{every}' order by started_at desc limit 1"
        for _ in range(1200):
            found = admin.post("/api/sql", {"sql": f"select arrow_cast(finished_at, 'Int64') - arrow_cast(started_at, 'Int64') as us from ({sql})"})["rows"]
            if found:
                break
            time.sleep(0.1)
        seconds = float(found[0][0]) / 1e6
        states = [rule["state"] or {} for rule in admin.get("/api/rules") if rule["name"].startswith("bench_")]
        judged = sum(1 for state in states if state.get("last_evaluated") and not state.get("last_error"))
        assert judged == count, f"{judged} of {count} rules were judged: {states[:2]}"
        memory = resident(server.pid)
    finally:
        server.terminate()
        server.wait()
    # Rules over one metric share its question, so the peer is asked each question once too; judging the
    # answers is left out in its favour.
    peer = Peer(GUANLAN, demo / "project", folder)
    started = time.monotonic()
    for metric in metrics[:count]:
        peer.ask(metric, 56, "day")
    theirs = time.monotonic() - started
    report(f"one pass of {count:,} rules", f"{seconds:,.2f} s", f"{theirs:,.2f} s DuckDB", f"{theirs / seconds:.2f}×", f"{memory:,.0f} MiB",
           "10,000 in < 60 s", "(DuckDB: the queries alone)")


def written(log, from_version):
    """What the commits of a table wrote: bytes landed, bytes written, rows changed by key, rows written again for them."""
    landed = total = changed = again = 0
    for commit in sorted(log.glob("*.json"), key=lambda path: int(path.stem)):
        lines = [json.loads(line) for line in commit.read_text().splitlines() if line.strip()]
        info = next(line["commitInfo"] for line in lines if "commitInfo" in line)
        adds = [line["add"] for line in lines if "add" in line]
        rows = sum(json.loads(add["stats"])["numRecords"] for add in adds)
        size = sum(add["size"] for add in adds)
        if int(commit.stem) <= from_version:
            continue
        total += size
        came = info.get("guanlan", {}).get("rows", 0)
        if info["operation"] == "MERGE":
            changed, again = changed + came, again + max(rows - came, 0)
            landed += size * min(came, rows) / max(rows, 1)
        elif info["operation"] != "OPTIMIZE":
            landed += size
    return landed, total, changed, again


def standing(folder):
    """What going on costs: the demo at speed 60 for some minutes, then its tables and their logs."""
    minutes = float(os.environ.get("GUANLAN_BENCH_MINUTES", 10 * SCALE))
    server, hello = start([GUANLAN, "demo", str(folder / "demo"), "--port", "0", "--json", "--speed", "60"])
    try:
        admin = Browser(hello["address"], "admin", next(l["password"] for l in hello["logins"] if l["user"] == "admin"))
        ask = lambda sql: admin.post("/api/sql", {"sql": sql})["rows"]
        whole = "select zone, name, version, live_bytes, stored_bytes from system.tables"
        began = {(zone, name): int(version) for zone, name, version, *_ in ask(whole)}
        peak, end = 0, time.monotonic() + minutes * 60
        while time.monotonic() < end:
            time.sleep(5)
            peak = max(peak, resident(server.pid))
        rows = ask(whole)
        live, stored = (sum(int(row[at]) for row in rows) for at in (3, 4))
        sums = [0, 0, 0, 0]
        for zone, name, *_ in rows:
            log = folder / "demo/project/data" / zone / name / "_delta_log"
            sums = [a + b for a, b in zip(sums, written(log, began.get((zone, name), -1)))]
        landed, total, changed, again = sums
        hours = f"{minutes:g} min at speed 60"
        report(f"stored / live, {hours}", f"{stored / live:.2f}×", "", "", f"{peak:,.0f} MiB", "≤ 3×, < 600 MiB", f"({stored / 2**20:,.0f} of {live / 2**20:,.0f} MiB)")
        report(f"bytes written / landed, {hours}", f"{total / max(landed, 1):.2f}", "", "", "", "≤ 5")
        report(f"rows again / row changed, {hours}", f"{again / max(changed, 1):.1f}", "", "", "", "≤ 20", f"({changed:,} rows)")
    finally:
        server.terminate()
        server.wait()


ALL = {"csv": csv, "postgres": postgres, "dashboard": dashboard, "rules": rules, "standing": standing}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        folder = Path(tempfile.mkdtemp(prefix=f"guanlan-bench-{name}-"))
        os.chmod(folder, 0o755)
        try:
            ALL[name](folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n| What | Guanlan | Peer | Ratio | Memory | Budget |\n|---|---|---|---|---|---|")
    for what, ours, peer, ratio, memory, budget, note in ROWS:
        print(f"| {what} | {ours} | {peer} | {ratio} | {memory} {note} | {budget} |")
