"""The few files of a vLLM wheel that EPLB consists of: found in a cache, fetched only when asked.

Rules:
- Nothing of vLLM is part of this project.  The cache is a folder outside of it, `$EPLB_VLLM_CACHE`
  or `~/.cache/eplb-real/vllm`; it may hold whole wheels, or what was extracted from them.
- Only `fetch` uses the network, and it keeps the extracted files, not the wheel.
- Every file is held against the digest that the wheel's own RECORD has for it, each time.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eplb_model.outcome import Lacking

VERSIONS = ("0.20.0", "0.33.0")
REFERENCE = "0.20.0"

CACHE = "EPLB_VLLM_CACHE"
DEFAULT_CACHE = "~/.cache/eplb-real/vllm"

FOLDER = "vllm/distributed/eplb/"
FILES = (
    "vllm/distributed/device_communicators/pynccl.py",
    "vllm/distributed/device_communicators/pynccl_wrapper.py",
    "vllm/utils/nccl.py",
)
PLATFORMS = ("manylinux_2_35_x86_64", "manylinux_2_31_x86_64", "manylinux_2_28_x86_64")
RECORD = "RECORD"


class WheelError(Lacking):
    """There is no such version in the cache, or what is there is not what the wheel had."""


def cache() -> Path:
    """Where wheels and extracted files are looked for."""
    return Path(os.environ.get(CACHE) or DEFAULT_CACHE).expanduser()


def is_there(version: str) -> bool:
    """Whether a version can be had without the network."""
    return (cache() / version / RECORD).exists() or _wheel(version) is not None


def sources(version: str) -> Path:
    """The folder with the verified files of a version, extracted if they are not yet.

    Raises
    ------
    WheelError
        Without a wheel in the cache, and for a file that differs from it.
    """
    folder = cache() / version
    if not (folder / RECORD).exists():
        wheel = _wheel(version)
        if wheel is None:
            raise WheelError(
                f"no wheel of vLLM {version} in {cache()}; "
                f"fetch it (eplb-real fetch-vllm) or set {CACHE}"
            )
        _extract(wheel, folder)
    _verify(folder)
    return folder


def fetch(version: str) -> Path:
    """Download the wheel of a version, keep the files that are needed, and say where.

    Raises
    ------
    WheelError
        If pip can't download it.
    """
    if is_there(version):
        return sources(version)
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as name:
        done = subprocess.run(_download(version, name), capture_output=True, text=True, check=False)
        wheel = next(iter(Path(name).glob("*.whl")), None)
        if done.returncode or wheel is None:
            reason = (done.stderr.strip() or "no wheel came").splitlines()[-1]
            raise WheelError(f"pip download vllm=={version}: {reason}")
        _extract(wheel, cache() / version)
    return sources(version)


def _download(version: str, folder: str) -> Sequence[str]:
    platforms = (word for each in PLATFORMS for word in ("--platform", each))
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
    return (*command, "--only-binary", ":all:", *platforms, "-d", folder, f"vllm=={version}")


def _wheel(version: str) -> Path | None:
    return next(iter(sorted(cache().glob(f"vllm-{version}-*.whl"))), None)


def _is_needed(name: str) -> bool:
    return name in FILES or (name.startswith(FOLDER) and name.endswith(".py"))


def _extract(wheel: Path, folder: Path) -> None:
    """Write the files into a folder of their own, then give it its name: all of them or none."""
    with (
        zipfile.ZipFile(wheel) as archive,
        tempfile.TemporaryDirectory(dir=folder.parent) as name,
    ):
        written = Path(name) / "files"
        for each in filter(_is_needed, archive.namelist()):
            archive.extract(each, written)
        record = next(n for n in archive.namelist() if n.endswith(".dist-info/RECORD"))
        lines = archive.read(record).decode().splitlines()
        kept = [line for line in lines if _is_needed(line.partition(",")[0])]
        (written / RECORD).write_text("\n".join(kept) + "\n", "utf-8")
        if not folder.exists():
            written.rename(folder)


def _verify(folder: Path) -> None:
    expected = dict(_digests(folder))
    if not set(FILES) <= set(expected):
        raise WheelError(f"{folder} lacks {', '.join(sorted(set(FILES) - set(expected)))}")
    for name, digest in expected.items():
        path = folder / name
        if not path.exists() or _digest(path) != digest:
            raise WheelError(f"{path} is not what the wheel had; remove {folder}")


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for line in (folder / RECORD).read_text("utf-8").splitlines():
        name, digest, _ = line.rsplit(",", 2)
        yield name, digest


def _digest(path: Path) -> str:
    """As a RECORD has it: urlsafe base64 without padding."""
    found = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256={found.rstrip(b'=').decode()}"


def extracted(version: str) -> Mapping[str, int]:
    """The files of a version and their sizes in bytes."""
    folder = sources(version)
    return {name: (folder / name).stat().st_size for name, _ in _digests(folder)}
