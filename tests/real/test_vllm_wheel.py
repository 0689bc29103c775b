"""The files of a vLLM wheel: found, extracted, verified; on wheels made for the purpose."""

import base64
import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from eplb_real.vllm import wheel
from eplb_real.vllm.wheel import FILES, WheelError, extracted, is_there, sources

EPLB = "vllm/distributed/eplb/eplb_utils.py"
OTHER = ("vllm/envs.py", "vllm/distributed/eplb/data.bin", "vllm/_C.so")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(wheel.CACHE, str(tmp_path))
    return tmp_path


def digest(data: bytes) -> str:
    found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={found.decode()}"


def put_wheel(folder, version, files=(EPLB, *FILES, *OTHER)):
    contents = {name: f"# {name}\n".encode() for name in files}
    record = "".join(f"{name},{digest(data)},{len(data)}\n" for name, data in contents.items())
    with zipfile.ZipFile(folder / f"vllm-{version}-cp38-abi3-any.whl", "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
        archive.writestr(f"vllm-{version}.dist-info/RECORD", record)


def test_only_what_is_needed_is_extracted(folder):
    put_wheel(folder, "0.20.0")

    assert extracted("0.20.0") == {name: len(name) + 3 for name in (EPLB, *FILES)}
    found = {str(each.relative_to(folder / "0.20.0")) for each in folder.rglob("*.py")}
    assert found == {EPLB, *FILES}


def test_extracted_files_are_enough(folder):
    put_wheel(folder, "0.20.0")
    sources("0.20.0")
    next(folder.glob("*.whl")).unlink()

    assert is_there("0.20.0")
    assert sources("0.20.0") == folder / "0.20.0"


def test_a_file_that_was_changed_is_refused(folder):
    put_wheel(folder, "0.20.0")
    changed = sources("0.20.0") / EPLB
    changed.write_text("# mine\n")

    with pytest.raises(WheelError) as error:
        sources("0.20.0")

    assert str(error.value) == (f"{changed} is not what the wheel had; remove {folder / '0.20.0'}")


def test_a_wheel_without_a_file_is_refused(folder):
    put_wheel(folder, "0.20.0", (EPLB, *FILES[1:]))

    with pytest.raises(WheelError) as error:
        sources("0.20.0")

    assert str(error.value) == f"{folder / '0.20.0'} lacks {FILES[0]}"


def test_without_a_wheel_it_says_how_to_fetch_one_and_does_not(folder):
    with pytest.raises(WheelError) as error:
        sources("0.33.0")

    assert str(error.value) == (
        f"no wheel of vLLM 0.33.0 in {folder}; "
        "fetch it (eplb-real fetch-vllm) or set EPLB_VLLM_CACHE"
    )
    assert list(folder.iterdir()) == []


def test_fetching_asks_pip_for_the_wheel_alone_and_keeps_the_files(folder, monkeypatch):
    asked = []

    def pip(command, **_):
        asked.append(command)
        put_wheel(Path(command[command.index("-d") + 1]), "0.20.0")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)

    assert wheel.fetch("0.20.0") == wheel.fetch("0.20.0") == folder / "0.20.0"
    assert [(each[4:6], each[-1]) for each in asked] == [(("--quiet", "--no-deps"), "vllm==0.20.0")]
    assert [each.name for each in folder.iterdir()] == ["0.20.0"]


def test_a_download_that_fails_says_what_pip_said(folder, monkeypatch):
    def pip(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", pip)

    with pytest.raises(WheelError) as error:
        wheel.fetch("0.33.0")

    assert str(error.value) == "pip download vllm==0.33.0: ERROR: no network"
