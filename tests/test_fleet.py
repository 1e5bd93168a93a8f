"""`edgeproof fleet` reads the lines of many devices, and docs/deploy/prove.sh sends them."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import AbstractContextManager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.fleet_devices import KINDS
from pipeline.field import fleet, fleet_table
from pipeline.process.errors import UserError
from tests import web
from tests.conftest import EDGEPROOF, ROOT, Project, emulated
from tests.waiting import SECONDS, wait_for

RELEASE = "mnist-digits-1.1.0"
SCRIPT = ROOT / "docs/deploy/prove.sh"


def line(device: str, state: str = "proven", *, ms: float = 0.02, **values: Any) -> str:
    """The line of a device, with the parts of a report that the table reads, and one more."""
    pair = {"format": "tflite_int8", "runtime": "litert", "runtime_version": "2.3.0"}
    report = {
        "state": state,
        "sentence": f"{state}: 7 of 1,000 examples lost",
        "device": {"processor": "Raspberry Pi 4", "machine": "aarch64", "system": "Linux"},
        "chosen": pair,
        "pairs": [
            {**pair, "format": "tflite_float32", "median_milliseconds": 9.0},
            {**pair, "median_milliseconds": ms},
        ],
    }
    facts = {"device": device, "release": RELEASE, "fetched": True, "status": 0, "seconds": 2}
    return json.dumps({**facts, "problem": "", "report": report, **values})


def write(folder: Path, *lines: str) -> Path:
    path = folder / "lines.jsonl"
    path.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    return path


def table(folder: Path, *lines: str, expected: tuple[str, ...] = ()) -> str:
    return fleet_table.text(fleet.read(write(folder, *lines)), expected)


def test_every_fate_of_a_device_is_counted_and_named(tmp_path: Path) -> None:
    refused = {"state": "could not run", "refused": True, "sentence": "the signature is wrong"}
    refused["device"] = {"processor": "Raspberry Pi 4", "machine": "aarch64"}
    shown = table(
        tmp_path,
        line("a"),
        line("b", "not shown"),
        line("c", "worse"),
        line("d", report=refused),
        line("e", report=None, status=139, problem="Segmentation fault"),
        line("f", report=None, fetched=False, problem="curl: (22) 404"),
        expected=("a", "b", "g"),
    )
    assert f"**{RELEASE}: proven on 1 of 7 devices** (14.29 %); 6 reported" in shown
    for state in fleet.STATES:
        assert f"| {state} | 1 | 14.29 % |" in shown
    kind = "| Raspberry Pi 4 | tflite_int8 on litert 2.3.0 | 3 | 1 | 1 | 1 | 0 | 0.020 |"
    assert kind in shown
    bullets = [text for text in shown.splitlines() if text.startswith("- ")]
    assert bullets == [
        "- 1 not shown (b): not shown: 7 of 1,000 examples lost",
        "- 1 worse (c): worse: 7 of 1,000 examples lost",
        "- 1 could not run (e): Segmentation fault",
        "- 1 refused (d): the signature is wrong",
        "- 1 not fetched (f): curl: (22) 404",
        "- 1 silent (g): no line came from them",
    ]


def test_reasons_that_differ_in_figures_alone_are_one(tmp_path: Path) -> None:
    problems = [f"signal {number % 2}" for number in range(12)]
    lines = [line(f"d{n:02}", report=None, problem=problem) for n, problem in enumerate(problems)]
    shown = table(tmp_path, *lines)
    names = ", ".join(f"d{number:02}" for number in range(10))
    assert f"- 12 could not run ({names} and 2 more): signal 0" in shown


def test_the_last_line_of_a_device_counts_and_a_broken_one_loses_nothing(tmp_path: Path) -> None:
    nan = line("c").replace('"seconds": 2', '"seconds": NaN')
    shown = table(tmp_path, line("a", "worse"), '{"device": "b"', line("a"), "", "[]", nan)
    assert "proven on 1 of 1 device**" in shown
    assert "Devices that need attention" not in shown
    assert "1 line was followed by a later one of the same device, which counts." in shown
    broken = "3 lines are no report of a device and were left out"
    assert f"{broken}: lines.jsonl:2, lines.jsonl:5, lines.jsonl:6." in shown


def test_one_device_that_is_slower_than_its_kind_is_named(tmp_path: Path) -> None:
    lines = [line(f"d{number}") for number in range(fleet_table.FEWEST - 2)]
    shown = table(tmp_path, *lines, line("hot", ms=0.05))
    assert "slow" not in shown  # too few of a kind to tell
    shown = table(tmp_path, *lines, line("d9"), line("hot", ms=0.05))
    assert "- 1 slow (hot): an input takes more than 2 times as long" in shown


def test_each_release_has_a_table_and_a_folder_of_lines_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(line("a"))
    (tmp_path / "b.json").write_text(line("b", release="mnist-digits-1.2.0"))
    read = fleet.read(tmp_path)
    assert {name: list(lines) for name, lines in read.releases.items()} == {
        RELEASE: ["a"],
        "mnist-digits-1.2.0": ["b"],
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "no report of a device;"), ("x\n", "no report of a device in 1 line")],
)
def test_a_file_without_a_report_is_one_sentence(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        fleet.read(path)


def test_a_list_of_devices_that_is_missing_or_empty_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not readable"):
        fleet.names(tmp_path / "devices.txt")
    (tmp_path / "devices.txt").write_text("\n")
    with pytest.raises(UserError, match="names no device"):
        fleet.names(tmp_path / "devices.txt")


class Host(web.Quiet, SimpleHTTPRequestHandler):
    """A static host that takes files too, and cannot send the rest of a file."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Path(self.translate_path(self.path)).write_bytes(body)
        self.send_response(201)
        self.end_headers()


def host(folder: Path) -> AbstractContextManager[str]:
    return web.served(partial(Host, directory=folder))


def prove(folder: Path, address: str, device: str, **variables: str) -> int:
    """Runs the script of a device that has this project's `serving`."""
    here = folder / device
    here.mkdir(exist_ok=True)
    names = {"NAME": "mnist-digits", "VERSION": "1.1.0", "DEVICE": device, "PAUSES": "0"}
    names |= {"FROM": address, "REPORTS": address, "TRUST": str(folder / "public.pem")}
    environment = {**os.environ, **names, **variables}
    return subprocess.run(["sh", str(SCRIPT)], cwd=here, env=environment, check=False).returncode


@pytest.mark.slow
def test_a_device_that_cannot_fetch_or_must_refuse_says_so_in_its_line(tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (tmp_path / "public.pem").write_text("no key")
    with host(served) as address:
        assert prove(tmp_path, address, "lost") == 4
        for suffix in ("sig", "tar.gz"):
            (served / f"{RELEASE}.{suffix}").write_text("no such thing")
        (tmp_path / "torn").mkdir()
        (tmp_path / "torn" / f"{RELEASE}.sig.part").write_text("no")
        assert prove(tmp_path, address, "torn", DEVICE='torn"') == 1
    lines = fleet.read(served).releases[RELEASE]
    assert {name: line.state for name, line in lines.items()} == {
        "lost": fleet.NOT_FETCHED,
        "torn_": fleet.REFUSED,
    }
    assert "404" in lines["lost"].reason
    assert not list((tmp_path / "torn").glob(f"{RELEASE}*"))  # fetched anew next time
    shown = subprocess.run(
        [*EDGEPROOF, "fleet", str(served)], capture_output=True, text=True, check=True
    ).stdout
    assert "proven on 0 of 2 devices" in shown


@pytest.mark.long
def test_a_simulated_fleet_that_is_ended_leaves_no_server(
    finished: Project, tmp_path: Path
) -> None:
    for kind in KINDS:
        if kind.processor:
            emulated(kind.processor, kind.runtime)
    project = finished.whole_copy(tmp_path / "project")
    process = project.start("python", "-m", "benchmarks.fleet", "20")
    wait_for(lambda: "have reported" in project.log.read_text(), process)
    children = psutil.Process(process.pid).children()
    (server,) = [child for child in children if "server" in child.cmdline()]
    process.terminate()
    assert process.wait(SECONDS) == 130
    assert not server.is_running()
    assert "Traceback" not in project.log.read_text()
