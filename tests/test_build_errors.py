"""Mistakes in a protocol that is built: an error names the line of Python that made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from eplb_model.build import Build, BuildError, Thread, Var

HERE = Path(__file__).name


def line_of(text: str) -> int:
    """The line of this file with some text in it, as the last thing."""
    lines = Path(__file__).read_text("utf-8").splitlines()
    return 1 + next(n for n, line in enumerate(lines) if line.endswith(f"# {text}"))


def test_an_error_names_the_line_that_wrote_the_operation():
    build = Build("wrong", machine="tiny")
    with build.rank(0) as rank, rank.thread("main") as t, t.repeat(2), t.if_(Var("x") == 1):
        t.launch("moee", "compute")  # the launch
    build.kernel("moe", ctas=1)

    with pytest.raises(BuildError) as raised:
        build.scenario()
    where = f"{HERE}:{line_of('the launch')}: "
    assert where in str(raised.value)
    assert (
        "unknown kernel 'moee'; known: moe (/programs/r0.main/0/do/0/then/0/1 of the vector)"
        in (str(raised.value))
    )


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("a kernel", "got 3; expected a size that divides the grid of 4 CTAs"),
        ("a stream", "got 200; expected an integer of -100..100"),
        ("a group", "got 7; expected a rank of 0..1"),
        ("a switch", "unknown switch 'paking'"),
        ("a claim", "unknown variable 'nothing' on rank 0"),
        ("a parameter", "got 9; expected an integer from 1 to 4"),
        ("a rank", "got 5; expected a rank of 0..1"),
        ("an expectation", "got 'fine'; expected one of ok"),
        ("another thread", "got 'r0.a b'; expected role.thread"),
        ("the build", "unknown machine 'h900'"),
    ],
)
def test_an_error_names_the_line_that_wrote_the_part(marker, message):
    machine = "h900" if marker == "the build" else "tiny"
    build = Build("wrong", machine=machine, ranks=2)  # the build
    role = build.rank(5 if marker == "a rank" else 0)  # a rank
    thread = "a b" if marker == "another thread" else "main"
    role.thread(thread).put("x", 1)  # another thread
    match marker:
        case "a kernel":
            build.kernel("k", ctas=4, cluster=3)  # a kernel
        case "a stream":
            role.stream("s", priority=200)  # a stream
        case "a group":
            build.group("g", [0, 7])  # a group
        case "a switch":
            build.switch("paking", "best")  # a switch
        case "a claim":
            build.always(Var("nothing") == 1, "there is nothing")  # a claim
        case "a parameter":
            build.parameter("n", 9, least=1, most=4)  # a parameter
        case "an expectation":
            build.expect("fine")  # type: ignore[arg-type]  # an expectation
        case _:
            pass

    with pytest.raises(BuildError) as raised:
        build.scenario()
    assert f"{HERE}:{line_of(marker)}: " in str(raised.value)
    assert message in str(raised.value)
    assert raised.value.place.line == line_of(marker)


def test_a_wrong_setting_names_the_line_that_sets_it():
    build = Build("set", machine="tiny")
    build.parameter("nccl_ctas", 16, most=64)

    with pytest.raises(BuildError) as raised:
        build.scenario(nccl_ctas=65)  # the setting
    assert raised.value.place.line == line_of("the setting")


def lacks_an_argument(t: Thread) -> None:
    t.launch("moe")  # type: ignore[call-arg]


def has_too_many(t: Thread) -> None:
    t.free("all")  # type: ignore[call-arg]


def compares_in_python(t: Thread) -> None:
    t.assert_(bool("x"))  # type: ignore[arg-type]  # noqa: PT009 (no test of unittest's)


def chains(t: Thread) -> None:
    t.assert_(0 < Var("x") < 3)  # noqa: PT009 (likewise)


def puts_an_object(t: Thread) -> None:
    t.put("x", object())  # type: ignore[arg-type]


def else_without_if(t: Thread) -> None:
    t.free()
    t.else_()


def two_elses(t: Thread) -> None:
    with t.if_(Var("x") == 1):
        t.free()
    with t.else_():
        t.free()
    t.else_()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lacks_an_argument, r"launch\(\): missing a required argument: 'stream'"),
        (has_too_many, r"free\(\): too many positional arguments"),
        (compares_in_python, "expected a comparison, like Var"),
        (chains, "is decided by the model, not by Python"),
        (puts_an_object, r"put\(\): value: got <object .*; expected a Var, or what JSON can hold"),
        (else_without_if, r"else_\(\): expected right after a block of if_\(\)"),
        (two_elses, r"else_\(\): expected right after a block of if_\(\)"),
    ],
)
def test_what_is_no_statement_at_all_raises_where_it_is_written(mistake, message):
    thread = Build("wrong").rank(0).thread("main")

    with pytest.raises(TypeError, match=message):
        mistake(thread)


def test_an_operation_that_is_not_there_names_the_one_that_was_meant():
    thread = Build("wrong").rank(0).thread("main")

    with pytest.raises(AttributeError, match="has no operation 'lanch'; perhaps 'launch'; all are"):
        thread.lanch("moe", "compute")  # type: ignore[attr-defined]  # mypy says so earlier
    assert not hasattr(thread, "quite_another_word")


def test_a_thread_is_written_once():
    role = Build("twice").rank(0)
    role.thread("main")

    with pytest.raises(TypeError, match="r0 has one already"):
        role.thread("main")
