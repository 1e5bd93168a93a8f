"""`make fleet`: 1,000 simulated devices fetch a signed bundle from S3, prove it, and report.

    python -m benchmarks.fleet 1000

Run `make run` first: the release is the bundle in dist/, signed with a new key. Each device is
docs/deploy/prove.sh in a folder of its own, with real processes and a runtime's own environment;
two run at a time. S3 is SeaweedFS. Faults are planted (benchmarks/fleet_devices.py), and the table
of `edgeproof fleet` must show each of them, or this fails. After Ctrl-C the same command goes on
with the devices that have not reported. Writes benchmarks/fleet.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks import fleet_devices, machine
from benchmarks.fleet_devices import KINDS, Kind
from benchmarks.fleet_host import BUCKET, REPORTS, Host, host
from benchmarks.project import ROOT, end_servers_on_sigterm
from pipeline.field import fleet, fleet_table
from pipeline.files import artifacts, atomic
from pipeline.process import stage
from pipeline.process.errors import UserError
from pipeline.reporting import tables
from pipeline.team.server import HOST
from serving.bundle import SUFFIX

FOLDER = artifacts.STATE / "fleet"
PAGE = Path("benchmarks/fleet.md")
SCRIPT = ROOT / "docs/deploy/prove.sh"
IMAGES = 100  # of the acceptance set; the maker has proven the files on all
AT_ONCE = 2
BITS_A_SECOND = 1e9  # of the host on paper
EVERY = 20  # devices between two lines of progress
Row = dict[str, Any]


def run(device: str, kind: Kind, at: Host) -> Row:
    """Runs one device; returns its exit status and what it took."""
    port = at.proxy.server_address[1] if kind.cut else None
    address = f"http://{HOST}:{port}" if port else at.address
    variables = {
        "NAME": at.card.name,
        "VERSION": at.card.version,
        "FROM": f"{address}/{BUCKET}/{kind.releases}",
        "REPORTS": f"{at.address}/{BUCKET}/{REPORTS}",
        "TRUST": str(at.folder.absolute() / "maker.pub"),
        "DEVICE": device,
        "PAUSES": "0",
        "CURL_HOME": str(at.folder.absolute()),
        "PATH": f"{(at.folder / 'programs' / kind.name).absolute()}:{os.environ['PATH']}",
        "IMAGES": str(IMAGES),
    }
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            ["sh", str(SCRIPT)],
            cwd=folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "device": device,
        "kind": kind.name,
        "status": process.returncode,
        "seconds": time.monotonic() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def run_all(todo: Mapping[str, Kind], at: Host, rows: list[Row], log: Path) -> None:
    """Runs the devices, and appends what each took to `rows` and to `log`."""
    started, stop = time.monotonic(), threading.Event()

    def run_unless_stopped(device: str, kind: Kind) -> Row | None:
        return None if stop.is_set() else run(device, kind, at)

    with ThreadPoolExecutor(AT_ONCE) as pool, log.open("a") as file:
        futures = [pool.submit(run_unless_stopped, device, kind) for device, kind in todo.items()]
        try:
            for count, future in enumerate(as_completed(futures), 1):
                row = future.result()
                assert row is not None
                rows.append(row)
                print(json.dumps(row), file=file, flush=True)
                if count % EVERY == 0 or count == len(todo):
                    left = (time.monotonic() - started) / count * (len(todo) - count)
                    say = f"about {stage.duration(left)} left"
                    print(f"{count:,} of {len(todo):,} devices; {say}", flush=True)
        except BaseException:
            stop.set()
            raise


def check(planned: Mapping[str, Kind], lines: Mapping[str, fleet.Line]) -> None:
    """Raises UserError unless each device is in the state that was planted."""
    states = {device: line.state for device, line in lines.items()}
    wrong = [
        f"{device} ({kind.name}) is {states.get(device, fleet.SILENT)}, expected {kind.state}"
        for device, kind in planned.items()
        if states.get(device, fleet.SILENT) != kind.state
    ]
    if wrong:
        raise UserError(f"{len(wrong)} devices are not in the planted state: {'; '.join(wrong)}")


def page(planned: Mapping[str, Kind], rows: Sequence[Row], table: str, paper: str) -> str:
    """The text of benchmarks/fleet.md."""
    return "\n\n".join(
        [
            f"# A release on {len(planned):,} simulated devices",
            "`make fleet` makes this page: each device is `docs/deploy/prove.sh` with real "
            "processes, and S3 is SeaweedFS. Every planted fault was found, and no other. "
            f"Measured on {machine.sentence()}, {AT_ONCE} devices at a time, beside other work; "
            f"each device proves on {IMAGES} images of the set.",
            "## What was planted, and what it took",
            _planted(planned, rows),
            "## What `edgeproof fleet` says",
            table,
            "## On paper",
            paper,
        ]
    )


def _planted(planned: Mapping[str, Kind], rows: Sequence[Row]) -> str:
    counts = Counter(kind.name for kind in planned.values())
    cells = []
    for kind in KINDS:
        took = [row for row in rows if row["kind"] == kind.name]
        medians = [
            f"{statistics.median(row[name] for row in took):.{digits}f}" if took else ""
            for name, digits in (("seconds", 1), ("cpu_seconds", 1))
        ]
        cells.append([kind.name, f"{counts[kind.name]:,}", kind.state, *medians])
    columns = ("planted", "devices", "expected", "seconds", "CPU seconds")
    return tables.table(columns, cells)


def paper(at: Host, rows: Sequence[Row], lines: Path) -> str:
    """The arithmetic for larger fleets, from what was measured here."""
    fetched = sum(dict(fleet_devices.sizes(at.folder)).values())
    sent = statistics.mean(path.stat().st_size for path in lines.iterdir())
    cpu = statistics.median(float(row["cpu_seconds"]) for row in rows)
    cells = [
        [
            f"{count:,}",
            f"{count * fetched / 1e9:.1f} GB",
            stage.duration(8 * count * fetched / BITS_A_SECOND),
            f"{count * sent / 1e6:.0f} MB",
        ]
        for count in (1_000, 100_000)
    ]
    columns = ("devices", "fetched", "by a host at 1 Gbit/s in", "lines")
    return (
        f"A device fetches {fetched:,} bytes (archive and signature), takes {cpu:.1f} CPU seconds "
        f"to fetch, prove and report (the median here), and sends {sent:,.0f} bytes.\n\n"
        f"{tables.table(columns, cells)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fleet", description="Simulates a release on a fleet."
    )
    parser.add_argument("devices", nargs="?", type=int, default=1000, metavar="N")
    arguments = parser.parse_args()
    end_servers_on_sigterm()
    sources = sorted(artifacts.DIST.glob(f"*{SUFFIX}"))
    if len(sources) != 1 or arguments.devices < 1:
        raise UserError(
            f"expected one bundle in {artifacts.DIST} (run `make run`) and at least one device; "
            f"there are {len(sources)} and {arguments.devices}"
        )
    digest = artifacts.sha256(sources[0])[:8]
    simulate(fleet_devices.devices(arguments.devices), sources[0], FOLDER / digest)


def simulate(planned: Mapping[str, Kind], source: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "devices.jsonl"
    rows = [row for row in fleet_devices.load(log) if row["device"] in planned]
    with host(folder, source) as at, tempfile.TemporaryDirectory() as name:
        there = set(at.reported()) & set(planned)
        on = {device: kind for device, kind in planned.items() if kind.state != fleet.SILENT}
        todo = {device: kind for device, kind in on.items() if device not in there}
        print(
            f"{len(planned):,} devices, {len(there):,} have reported; about "
            f"{stage.duration(len(todo) / AT_ONCE)} left at 1 s a device",
            flush=True,
        )
        run_all(todo, at, rows, log)
        cuts = sum(kind.cut for kind in todo.values())
        if (at.proxy.cut, at.proxy.resumed) != (cuts, cuts):
            raise UserError(
                f"{at.proxy.cut} of {cuts} downloads broke off, {at.proxy.resumed} resumed"
            )
        lines = at.fetch(Path(name), planned)
        read = fleet.read(lines)
        check(planned, read.releases[at.name])
        table = fleet_table.text(read, list(planned))
        atomic.write_text(PAGE, page(planned, rows, table, paper(at, rows, lines)))
    print(f"{table}\n\n{PAGE}")


if __name__ == "__main__":
    stage.run(main)
