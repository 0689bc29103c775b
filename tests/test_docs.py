"""The reference: every public name has a place on a page, and a text."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from eplb_model.format.statements import KINDS
from tests.docs import MODULES, missing, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages; a warning of pdoc would be an error here."""
    folder = tmp_path_factory.mktemp("site")
    write(folder)
    return folder


def _page(site, module):
    return site.joinpath(*module.split(".")).with_suffix(".html").read_text("utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_the_page_of_its_module(module, site):
    loaded = import_module(module)
    public = getattr(loaded, "__all__", None) or [
        name
        for name, value in vars(loaded).items()
        if getattr(value, "__module__", None) == module and not name.startswith("_")
    ]
    shown = set(re.findall(r'id="([\w.]+)"', _page(site, module)))

    assert public
    assert set(public) - shown == set()


def test_every_operation_of_a_thread_has_its_arguments_and_a_sentence(site):
    page = _page(site, "eplb_model.build.operations")
    shown = set(re.findall(r'id="Operations\.(\w+?)_?"', page))

    assert shown == set(KINDS)
    assert "wait for a lock and take it; not reentrant" in page


def test_a_page_needs_no_network(site):
    for path in site.rglob("*.html"):
        loads = re.findall(r'(?:src|href)="(https?://[^"]+)"', path.read_text("utf-8"))
        assert [each for each in loads if "pdoc.dev" not in each] == [], path.name
