"""The files in docs/deploy: valid, and in agreement with the image of the model server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import uv
from ruamel.yaml import YAML

from pipeline.bundle import image
from tests.conftest import ROOT

FILES = sorted((ROOT / "docs/deploy").glob("*.yaml"))
SERVER = f"edgeproof-serving:{metadata.version('serving')}"


def check(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [uv.find_uv_bin(), "run", "--quiet", "--script", "tests/deployments.py"]
    command += map(str, paths)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_the_files_are_what_compose_kubernetes_and_kserve_take(tmp_path: Path) -> None:
    assert len(FILES) == 4
    done = check(*FILES)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr
    faults = {
        "compose.yaml": ("restart: unless-stopped", "restart_policy: 3", "restart_policy"),
        "cluster.yaml": ("replicas: 2", "replicas: two", "'two' is not of type 'integer'"),
        "training.yaml": ("completions: 4", "completion: 4", "'completion' was unexpected"),
        "kserve.yaml": ("storageUri:", "storageURL:", "has an unknown key storageURL"),
    }
    for name, (right, wrong, _) in faults.items():
        text = (ROOT / "docs/deploy" / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace(right, wrong), "utf-8")
    done = check(*(tmp_path / name for name in faults))
    assert done.returncode == 1
    for *_, said in faults.values():
        assert said in done.stdout


def containers() -> Iterator[dict[str, Any]]:
    """Each mapping of the files that names an image."""
    for path in FILES:
        for document in YAML(typ="safe").load_all(path):
            yield from with_image(document)


def with_image(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "image" in value:
            yield value
        for each in value.values():
            yield from with_image(each)
    elif isinstance(value, list):
        for each in value:
            yield from with_image(each)


def test_the_model_server_runs_as_its_image_says_read_only() -> None:
    servers = [each for each in containers() if each["image"].startswith("edgeproof-serving")]
    assert len(servers) == 2
    for each in servers:
        assert each["image"] == SERVER
        assert each.get("args", each.get("command")) == image.CONFIG["Cmd"]
        security = each.get("securityContext", {})
        assert each.get("read_only") or security["readOnlyRootFilesystem"]
        assert security.get("runAsUser", image.USER) == image.USER
