"""What the peer answers: the demo's metrics as plain SQL over the same rows, in DuckDB.

A metric file's measure becomes one aggregate expression; a tile becomes the queries that a person
would write for it. `latest` is approximated by the value at the newest moment of each bucket.
"""

import subprocess
import time

import duckdb
import yaml


def aggregate(measure):
    (kind, spec), = measure.items()
    if kind == "ratio":
        return f"cast({aggregate(spec['numerator'])} as double) / nullif({aggregate(spec['denominator'])}, 0)"
    where = f" filter (where {spec['where']})" if spec.get("where") else ""
    column = spec.get("column")
    return {
        "sum": f"sum({column}){where}",
        "count": f"count(*){where}",
        "distinct": f"count(distinct {column}){where}",
        "average": f"avg({column}){where}",
        "quantile": f"quantile_cont({column}, {spec.get('q', 0.9)}){where}",
        "latest": f"arg_max({column}, at_)",
    }.get(kind)


class Peer:
    def __init__(self, guanlan, project, folder):
        """Copies every mart table into one Parquet file a table, through the product's own CSV door."""
        self.project, self.db = project, duckdb.connect()
        self.db.execute("set threads = 2")
        self.metrics = {f.stem: yaml.safe_load(f.read_text()) for f in (project / "metrics").glob("*.yaml")}
        tables = {m["table"] for m in self.metrics.values() if "table" in m}
        for table in tables:
            csv, parquet = folder / f"{table}.csv", folder / f"{table}.parquet"
            with csv.open("wb") as out:
                subprocess.run([guanlan, "--project", str(project), "sql", f"select * from {table}", "--csv"], stdout=out, check=True)
            self.db.execute(f"copy (from read_csv('{csv}', sample_size = -1)) to '{parquet}' (format parquet)")
            self.db.execute(f"create view \"{table}\" as from '{parquet}'")

    def base(self, name):
        """The stored metrics behind a metric: itself, or those a derived one is made of."""
        measure = self.metrics[name].get("measure", {})
        return list(measure["derived"]["metrics"].values()) if "derived" in measure else [name]

    def ask(self, name, days, grain=None, by=()):
        """One query a stored metric over the last `days`; returns the rows."""
        for stored in self.base(name):
            metric = self.metrics[stored]
            keys = [f"date_trunc('{grain}', at_)"] if grain else []
            keys += [f'"{dimension}"' for dimension in by if dimension in metric.get("dimensions", {})]
            group = f" group by {', '.join(keys)}" if keys else ""
            at, table = f'"{metric["time"]}"', f'"{metric["table"]}"'
            start = f"(select max({at}) from {table}) - interval {days} day"
            rows = f"(select *, {at} as at_ from {table} where {at} >= {start})"
            self.db.execute(f"select {', '.join([*keys, aggregate(metric['measure'])])} from {rows}{group}").fetchall()

    def page(self, dashboard, days):
        """Every tile of a dashboard; seconds."""
        spec = yaml.safe_load((self.project / f"dashboards/{dashboard}.yaml").read_text())
        started = time.monotonic()
        for row in spec["rows"]:
            for tile in row:
                (kind, tile), = tile.items()
                by = tile.get("by", [])
                by = [by] if isinstance(by, str) else by
                if kind == "kpi":  # this period with the one before, and the sparkline
                    self.ask(tile["metric"], 2 * days)
                    self.ask(tile["metric"], days, "day")
                elif kind == "line":
                    self.ask(tile["metric"], 2 * days, tile.get("grain", "day"), by)
                elif kind == "bar":
                    self.ask(tile["metric"], 2 * days, None, by)
                else:
                    for metric in tile["metrics"]:
                        self.ask(metric, days, None, by)
        return time.monotonic() - started
