"""reports/index.html: one page on a run, whose bytes depend on the reports alone."""

from __future__ import annotations

import json

import pytest

from tests.conftest import PACK_DRAFT, Project
from tests.page.conftest import PAGE, Reader, text

pytestmark = pytest.mark.slow


def test_the_page_of_a_run_tells_the_whole_run_without_any_other_file(finished: Project) -> None:
    content = (finished.folder / PAGE).read_text(encoding="utf-8")
    reader = Reader(content)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in reader.addresses)
    assert reader.tags.count("img") == 7
    assert "Groups, the lowest" not in reader.text
    assert not {"script", "link", "iframe"} & set(reader.tags)
    assert "@import" not in content
    assert "url(" not in content
    assert str(finished.folder) not in content
    shown = text(content)
    evaluation, preprocess, verification, diagnosis = (
        json.loads((finished.folder / f"reports/{name}.json").read_text())
        for name in ("evaluate", "preprocess", "verify", "diagnose")
    )
    assert "All 6 gates passed. The bundle for devices is dist/mnist-digits-1.0.0.tar.gz." in shown
    assert f"Test accuracy is {100 * evaluation['test_accuracy']:.2f} %" in shown
    assert diagnosis["sentence"][1:] in shown
    worst = min(evaluation["per_class"].items(), key=lambda item: item[1]["recall"])
    for name, title in (("balanced_accuracy", "of the classes, is"), ("macro_f1", "macro F1")):
        assert f"{title} {100 * evaluation[name]:.2f} %" in shown
    assert f"The worst class is {worst[0]}: {100 * worst[1]['recall']:.2f} %" in shown
    for part in preprocess["splits"].values():
        assert f"{part['images']:,}" in shown
    for pair in verification["pairs"]:
        assert pair["format"] in shown
        assert pair["runtime"] in shown
    assert "haswell" not in shown
    assert "nehalem, emulated: x86-64 without AVX" in shown
    assert "Raspberry Pi Pico" in shown
    assert "serving check dist/mnist-digits-1.0.0.tar.gz" in shown


def test_equal_reports_make_equal_bytes_also_of_a_draft(own: Project) -> None:
    before = (own.folder / PAGE).read_bytes()
    own.run(*PACK_DRAFT)
    assert (own.folder / PAGE).read_bytes() == before
    own.run("dvc", "repro", "--force", "--single-item", "package")
    assert (own.folder / PAGE).read_bytes() == before
