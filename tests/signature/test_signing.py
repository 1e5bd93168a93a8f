"""What may be signed, and where the maker's key may lie."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from serving import Bundle, BundleError
from tests.conftest import EDGEPROOF, Project
from tests.signature.conftest import Release, unpacked


@pytest.mark.slow
@pytest.mark.parametrize("bit", [stat.S_ISUID, stat.S_ISGID])
def test_a_signed_folder_may_not_hold_a_file_that_runs_as_another_user(
    signed: Release, tmp_path: Path, bit: int
) -> None:
    root = unpacked(signed, tmp_path)
    # For a folder the bit only sets the group of new files.
    root.chmod(root.stat().st_mode | stat.S_ISGID)
    assert Bundle(root, trust=signed.folder / "public.pem", signature=signed.signature).signed
    (root / "golden.npz").chmod(0o755 | bit)
    with pytest.raises(BundleError, match=r"holds golden\.npz with a set-uid or set-gid bit"):
        Bundle(root, trust=signed.folder / "public.pem", signature=signed.signature)


@pytest.mark.slow
def test_a_signed_folder_may_not_hold_other_links_and_pipes(
    signed: Release, tmp_path: Path
) -> None:
    public = signed.folder / "public.pem"
    root = unpacked(signed, tmp_path)
    assert Bundle(root, trust=public, signature=signed.signature).signed
    (root / "linked").symlink_to("/usr/lib", target_is_directory=True)
    with pytest.raises(BundleError, match="holds linked, which its SHA256SUMS does not name"):
        Bundle(root, trust=public, signature=signed.signature)
    (root / "linked").unlink()
    (root / "golden.npz").unlink()
    os.mkfifo(root / "golden.npz")
    with pytest.raises(BundleError, match=r"golden\.npz is not readable"):
        Bundle(root, trust=public, signature=signed.signature)


@pytest.mark.slow
def test_a_key_inside_the_work_tree_does_not_sign(finished: Project, signed: Release) -> None:
    inside = finished.folder / "private.pem"
    (signed.folder / "linked.pem").symlink_to(inside)
    try:
        shutil.copy(signed.folder / "private.pem", inside)
        assert finished.run("git", "status", "--porcelain", "--untracked-files=all") == ""
        linked = str(signed.folder / "linked.pem")
        for key in ("private.pem", str(inside), "pipeline/../private.pem", linked):
            done = finished.attempt(*EDGEPROOF, "sign", key)
            assert done.returncode == 1
            assert done.stderr.startswith(f"error: {key} is inside the work tree")
            assert len(done.stderr.splitlines()) == 1
        inside.unlink()
        inside.symlink_to(signed.folder / "private.pem")
        assert "inside the work tree" in finished.attempt(*EDGEPROOF, "sign", "private.pem").stderr
    finally:
        inside.unlink()


@pytest.mark.slow
def test_uncommitted_changes_are_not_signed(finished: Project, signed: Release) -> None:
    changed = finished.folder / "params.yaml"
    original = changed.read_bytes()
    try:
        changed.write_bytes(original + b"# changed\n")
        done = finished.attempt(*EDGEPROOF, "sign", str(signed.folder / "private.pem"))
        missing = finished.attempt(*EDGEPROOF, "sign", "nokey.pem")
    finally:
        changed.write_bytes(original)
    assert (
        missing.stderr
        == "error: nokey.pem is not a file; name a private key, certificate or chain in PEM\n"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: params.yaml has uncommitted changes; commit it")
    earlier = finished.folder / "release/earlier.sig"
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text("an earlier release")
    wrong = finished.attempt(*EDGEPROOF, "sign", str(signed.folder / "public.pem"))
    assert wrong.returncode == 1
    assert "cannot sign" in wrong.stderr
    assert list(earlier.parent.iterdir()) == [earlier]
    earlier.unlink()
