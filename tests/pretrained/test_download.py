"""Where published weights come from, and which files are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.params import Network
from pipeline.files.artifacts import Inputs
from pipeline.process.errors import UserError
from pipeline.training.pretrained_files import Published, fetch
from tests.web import Quiet, served

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DATA = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()


class Publisher(Quiet, BaseHTTPRequestHandler):
    """Has the file as it was published, damaged, and cut in the middle."""

    def do_GET(self) -> None:
        folder = self.path.split("/")[1]
        data = {"good": DATA, "damaged": b"x" + DATA[1:], "cut": DATA}.get(folder)
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:1000] if folder == "cut" else data)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served(Publisher) as address:
        yield address


@pytest.mark.parametrize(("algorithm", "checksum"), [("sha256", SHA256), ("md5", MD5)])
def test_weights_come_from_the_publisher_and_are_kept(
    server: str, alone: Path, algorithm: str, checksum: str
) -> None:
    path = fetch(Published("a.h5", f"{server}/good/a.h5", algorithm, checksum))
    assert path == alone / ".state/weights/a.h5"
    assert path.read_bytes() == DATA
    assert fetch(Published("a.h5", "", algorithm, checksum)) == path  # no source is needed now


def test_a_mirror_is_asked_first_be_it_a_folder_or_an_address(
    server: str, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alone / "mirror").mkdir()
    (alone / "mirror/a.h5").write_bytes(DATA)
    for mirror in (str(alone / "mirror"), f"{server}/good"):
        monkeypatch.setenv("DATA_MIRROR", mirror)
        path = fetch(Published("a.h5", f"{server}/damaged/a.h5", "sha256", SHA256))
        assert path.read_bytes() == DATA
        path.unlink()


@pytest.mark.parametrize(
    ("folder", "reason"),
    [("damaged", r"its SHA256 differs"), ("cut", "download failed"), ("none", "download failed")],
)
def test_bad_weights_are_refused_and_nothing_is_kept(
    server: str, alone: Path, folder: str, reason: str
) -> None:
    with pytest.raises(UserError, match=rf"{reason}.*put a.h5 into a folder.*DATA_MIRROR"):
        fetch(Published("a.h5", f"{server}/{folder}/a.h5", "sha256", SHA256))
    assert not list(alone.rglob("*.h5"))


def test_a_kept_file_that_was_damaged_is_fetched_again(server: str, alone: Path) -> None:
    published = Published("a.h5", f"{server}/good/a.h5", "sha256", SHA256)
    path = fetch(published)
    path.write_bytes(DATA[:500])
    assert fetch(published).read_bytes() == DATA


def test_without_a_published_checksum_the_user_is_told_what_to_do(alone: Path) -> None:
    from pipeline.architectures import mobilenet_v2

    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
    with pytest.raises(UserError, match=rf"download https.*{name} .*train.start_from"):
        mobilenet_v2.pretrained(Inputs((96, 96, 3)), Network(), None)


def test_every_file_of_mobilenet_has_a_checksum(alone: Path) -> None:
    from pipeline.architectures import mobilenet_v1

    checksums = set()
    for width in mobilenet_v1.WIDTHS:
        for side in (96, *mobilenet_v1.SIZES):
            file = mobilenet_v1.published((side, side, 3), width)
            assert len(bytes.fromhex(file.checksum or "")) == 32
            checksums.add(file.checksum)
    assert len(checksums) == 16
    small = mobilenet_v1.published((96, 96, 3), 0.25)
    assert small.address.endswith("mobilenet/mobilenet_2_5_224_tf_no_top.h5")


def test_a_width_without_published_weights_is_refused(alone: Path) -> None:
    from pipeline.architectures import efficientnet_lite0, mobilenet_v2, mobilenet_v3_small

    for module, sentence in (
        (mobilenet_v2, "width is 0.3, and .* published for 0.35, 0.5, 0.75, 1, 1.3, 1.4"),
        (mobilenet_v3_small, "width is 0.3, and .* published for 0.75, 1"),
        (efficientnet_lite0, "width is 0.3, and efficientnet_lite0 has one width"),
    ):
        with pytest.raises(UserError, match=sentence):
            module.pretrained(Inputs((96, 96, 3)), Network(width=0.3), None)
