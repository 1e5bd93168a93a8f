"""Signs the bundle for release with OpenSSF's model-signing, offline, with a key or a certificate.

    edgeproof sign ~/keys/private.pem
    edgeproof sign ~/keys/private.pem --certificate ~/keys/maker.pem --chain ~/keys/intermediate.pem

Reads: dist/. Writes: release/<name>-<version>.tar.gz and the detached signature
release/<name>-<version>.sig.

This is not a stage. Every signature is different, and the commit that `dvc.lock` belongs to is
known only after the pipeline has run. The commit enters the model card here, after a check that
the files in dist/ are those that the commit describes.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.bundle import archive, card_markdown
from pipeline.files import artifacts
from pipeline.process.errors import UserError
from pipeline.runtimes import environments
from serving.bundle import SIGNATURE_SUFFIX, SUFFIX, Bundle
from serving.errors import BundleError

RELEASE = Path("release")


def refuse_inside(key: Path) -> None:
    """Raises UserError for a private key inside the work tree.

    It could be committed there, or handed over with the folder.
    """
    top = subprocess.run(
        ["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
    )
    trees = {Path.cwd(), Path(top.stdout.rstrip("\n") or ".").resolve()}
    # A link inside the tree counts, and so does a file inside it that a link outside points to.
    unresolved = Path(os.path.abspath(key))  # noqa: PTH100
    if trees & {*unresolved.parents, *key.resolve().parents}:
        raise UserError(
            f"{key} is inside the work tree, where it could be committed; "
            "keep it outside, for example in ~/keys"
        )


def commit() -> str:
    """The commit that describes this folder. Raises UserError if none does."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=no"],
        capture_output=True,
        text=True,
        check=False,
    )
    if head.returncode or changed.returncode:
        raise UserError(
            f"this folder is not a git checkout with a commit ({head.stderr.strip()}); "
            "commit first, then sign"
        )
    if changed.stdout:
        raise UserError(
            f"{changed.stdout.split()[1]} has uncommitted changes; "
            "commit it, so that the card can name the commit, then sign"
        )
    if subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"], check=False).returncode:
        raise UserError(
            "the files here differ from dvc.lock (`dvc status` lists them); "
            "run `dvc repro` and commit, then sign"
        )
    return head.stdout.strip()


def sign(
    folder: Path, signature: Path, key: Path, certificate: Path | None, chain: list[Path]
) -> None:
    """Signs all files in `folder`. Raises UserError with model-signing's reason."""
    try:
        python = environments.python("signing")
    except OSError as error:
        raise UserError(f"{error}") from None
    method = "key" if certificate is None else "certificate"
    options = ["--private_key", str(key), "--signature", str(signature)]
    if certificate is not None:
        options += ["--signing_certificate", str(certificate)]
        options += [f"--certificate_chain={path}" for path in chain]
    command = [str(python), "-m", "model_signing", "sign", method, *options, str(folder)]
    signing = subprocess.run(command, capture_output=True, text=True, check=False)
    if signing.returncode:
        reason = (signing.stderr or signing.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise UserError(
            f"{key} cannot sign ({reason[0]}); "
            "expected a private key on P-256 in PEM, without a password"
        )


def expanded(path: Path) -> Path:
    # Not every shell expands KEY=~/private.pem. A name may begin with ~, which Path refuses.
    return Path(os.path.expanduser(path))  # noqa: PTH111


def sign_bundle(key: Path, certificate: Path | None, chain: list[Path]) -> None:
    """Signs the bundle in dist/ and writes both into release/. Raises UserError."""
    key, certificate = expanded(key), expanded(certificate) if certificate else None
    chain = [expanded(path) for path in chain]
    for path in (key, *([certificate] if certificate else []), *chain):
        if not path.is_file():
            expected = "name a private key, certificate or chain in PEM"
            raise UserError(f"{path} is not a file; {expected}")
    if shutil.which("git") is None:
        raise UserError("git is not installed here; the card names its commit, so install it")
    refuse_inside(key)
    archives = sorted(artifacts.DIST.glob(f"*{SUFFIX}"))
    if len(archives) != 1:
        raise UserError(
            f"{artifacts.DIST} holds {len(archives)} bundles; run `dvc repro` for the one to sign"
        )
    head = commit()
    try:
        card = Bundle(archives[0]).card
    except BundleError as error:
        raise UserError(f"{error}") from None
    card = dataclasses.replace(card, provenance={**card.provenance, "git_commit": head})
    root = f"{card.name}-{card.version}"
    with tempfile.TemporaryDirectory() as name:
        folder = archive.unpack(archives[0], Path(name))
        card_markdown.write(folder, card)
        written = [Path(name) / f"{root}{suffix}" for suffix in (SUFFIX, SIGNATURE_SUFFIX)]
        archive.write(folder, written[0], root)
        sign(folder, written[1], key, certificate, chain)
        artifacts.empty(RELEASE)  # an earlier release stays until there is another
        for path in written:
            shutil.move(path, RELEASE)
    print(f"{RELEASE / root}{SUFFIX} and {SIGNATURE_SUFFIX}: commit {head}")
