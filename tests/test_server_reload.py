"""A bundle that is replaced under a server: a good one is loaded, a faulty one is reported."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.bundle import archive as archives
from pipeline.bundle import sign
from serving import Bundle, Classifier
from serving.checksums import MANIFEST
from tests.acceptance_sets import rewrite
from tests.clients import BODY, HEADERS, Client, load
from tests.hostile_bundles import MEMORY, bomb
from tests.server import FORMAT, Server, rename
from tests.signing import pem
from tests.triton_requests import INFER
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


def all_saw(version: str, clients: list[Client]) -> bool:
    return all(client.versions[-1] == version for client in clients)


def has_metric(server: Server, text: bytes) -> bool:
    return text in server.get("/metrics").body


def test_a_new_version_takes_over_under_load_without_losing_a_request(
    bundle: Path, classifier: Classifier
) -> None:
    with Server(bundle, "--format", FORMAT) as running, load(running.port, classifier) as clients:
        for version in ("1.0.1", "1.0.2"):
            changed = bundle.parent / version
            shutil.copytree(bundle, changed)
            rename(changed, classifier.card.name, version)
            bundle.rename(bundle.parent / f"before-{version}")
            changed.rename(bundle)
            wait_for(partial(all_saw, version, clients))
        assert running.get(f"/v2/models/{classifier.card.name}/versions/1.0.2/ready").status == 200
        assert running.get(f"/v2/models/{classifier.card.name}/versions/1.0.1/ready").status == 404
    for client in clients:
        assert not client.wrong
        assert not client.lost
        assert list(dict.fromkeys(client.versions)) == [classifier.card.version, "1.0.1", "1.0.2"]


def test_a_damaged_new_version_leaves_the_old_one_in_service(
    bundle: Path, classifier: Classifier
) -> None:
    with Server(bundle, "--format", FORMAT) as running:
        model = next(bundle.glob(f"{FORMAT}.*"))
        model.write_bytes(model.read_bytes()[:-1] + b"!")
        os.utime(bundle / MANIFEST)
        wait_for(lambda: b'outcome="failed"' in running.get("/metrics").body)
        assert running.ask("POST", INFER, BODY, HEADERS).status == 200
        status, errors = running.stop()
    assert status == 0
    assert "the old model stays in service" in errors
    assert "Traceback" not in errors


def test_a_faulty_new_version_is_reported_and_the_next_good_one_is_loaded(
    bundle: Path, classifier: Classifier
) -> None:
    """Its checksums are right, so that it is opened; its golden vectors are not."""
    good = (bundle / "golden.npz").read_bytes()
    with Server(bundle, "--format", FORMAT) as running:
        for golden, outcome in ((good[:-100], b'outcome="failed"'), (good, b'outcome="done"')):
            rewrite(bundle, golden__npz=golden)
            wait_for(partial(has_metric, running, outcome))
            assert running.ask("POST", INFER, BODY, HEADERS).status == 200
        _, errors = running.stop()
    assert "golden.npz is not what package writes" in errors
    assert "Traceback" not in errors


def release(bundle: Path, version: str, key: Path, folder: Path) -> None:
    """Points the link folder/current to a signed version of the bundle, in one step."""
    content = shutil.copytree(bundle, folder / f"content-{version}")
    rename(content, "mnist-digits", version)
    target = folder / version
    target.mkdir()
    archives.write(content, target / "new.tar.gz", f"mnist-digits-{version}")
    sign.sign(content, target / "new.sig", key, None, [])
    (folder / "next").symlink_to(target, target_is_directory=True)
    (folder / "next").replace(folder / "current")


@pytest.mark.parametrize("allowed", [False, True])
def test_an_older_version_takes_over_only_where_that_is_allowed(
    bundle: Path, tmp_path: Path, allowed: bool
) -> None:
    """All are signed by the trusted key: an old release could bring its faults back."""
    folder, secret = tmp_path / "releases", ec.generate_private_key(ec.SECP256R1())
    folder.mkdir()
    key, trust = pem(tmp_path, "private", secret), pem(tmp_path, "public", secret.public_key())
    release(bundle, "1.0.10", key, folder)
    options = ["--trust", str(trust), "--format", FORMAT]
    options += ["--allow-rollback"] if allowed else []
    with Server(folder / "current", *options) as running:
        outcome = "done" if allowed else "failed"
        for count, version in enumerate(("1.0.9", "1.0.10-rc1"), 1):
            release(bundle, version, key, folder)
            wait_for(partial(has_metric, running, f'outcome="{outcome}"}} {count}'.encode()))
            served = version if allowed else "1.0.10"
            assert running.get(f"/v2/models/mnist-digits/versions/{served}/ready").status == 200
        release(bundle, "1.0.11", key, folder)
        wait_for(lambda: running.get("/v2/models/mnist-digits/versions/1.0.11/ready").status == 200)
        _, errors = running.stop()
    for version in ("1.0.9", "1.0.10-rc1"):
        sentence = (
            f"now holds version {version}, older than 1.0.10; --allow-rollback would serve it"
        )
        assert (sentence in errors) is not allowed
    assert "Traceback" not in errors


def test_a_bomb_in_the_place_of_a_bundle_takes_little_memory(archive: Path, tmp_path: Path) -> None:
    served = tmp_path / "served.tar.gz"
    shutil.copy(archive, served)
    with Server(served, "--format", FORMAT) as running:
        before = psutil.Process(running.process.pid).memory_info().rss
        original = Bundle(archive)
        contents = {name: original.read(name) for name in original.digests}
        (tmp_path / "bomb").write_bytes(bomb(contents, 8 << 20, 100))
        (tmp_path / "bomb").rename(served)
        wait_for(lambda: b'outcome="failed"' in running.get("/metrics").body)
        assert running.peak_megabytes * 1e6 - before < MEMORY
        _, errors = running.stop()
    assert "it unpacks to far more than a bundle of its size" in errors
