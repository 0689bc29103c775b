"""CUDA sources, compiled at run time."""

from __future__ import annotations

from importlib.resources import files

SHARED = "device.cu"  # comes before every other


def source(file: str, defines: str) -> str:
    """The text of a source, with what it is compiled behind: #defines, and what all kernels have.

    Raises
    ------
    FileNotFoundError
        For a file that is none of these sources.

    Examples
    --------
    >>> source("vectors.cu", "#define ABORT 0").splitlines()[0]
    '#define ABORT 0'
    """
    folder = files(__name__)
    return "\n".join([defines, *(folder.joinpath(name).read_text() for name in (SHARED, file))])
