"""A test is handed no value of a fixture that was made for another audit, however the fixture came by it."""

from __future__ import annotations

import pytest

from tests.plugin.audit_folders import GATE, RELEASED, SHUFFLE, extend, fixture, read, recited

ASKED = 'request.getfixturevalue("{}")'


@pytest.mark.parametrize(
    ("arguments", "model", "scorer"),
    [
        ("memorization, student", "student", "memorization"),
        ("request, student", "student", ASKED.format("memorization")),
        ("request, memorization", ASKED.format("student"), "memorization"),
        ("request", ASKED.format("student"), ASKED.format("memorization")),
    ],
)
def test_a_session_fixture_of_the_users_is_made_anew_for_each_audit(two, folder, arguments, model, scorer):
    extend(
        two,
        f"""
@pytest.fixture(scope="session")
def rate({arguments}):
    return {scorer}({model}).rate
""",
    )
    gate = "def test_rate(rate, thresholds):\n    assert rate <= {}\n"
    folder("audits/a", gate.format(0.25), student="student")
    folder("audits/b", gate.format(0.25), student="teacher")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=1, failed=1)
    report = read(two)
    # A student that no test asks for by name is called by its folder's.
    assert [[estimate.k for estimate in audit.memorization.values()] for audit in report.audits] == [[5], [7]]
    assert [audit.gates[0].outcome for audit in report.audits] == ["pass", "fail"]


def test_a_session_fixture_made_of_a_role_alone_is_made_anew_too(two, folder):
    extend(two, '\n@pytest.fixture(scope="session")\ndef released(student):\n    return student\n')
    gate = "def test_rate(memorization, released):\n    assert memorization(released).rate.k == {}\n"
    folder("audits/a", gate.format(5), student="student")
    folder("audits/b", gate.format(7), student="teacher")
    two.run().assert_outcomes(passed=2)


def test_a_role_made_of_what_a_folder_overrides_is_that_folders(two, folder):
    folders = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    extend(two, f"""
@pytest.fixture(scope="session")
def family(): return "student"

@pytest.fixture(scope="session")
def student(family): return Model({folders}[family])
""")  # fmt: skip
    named = '@pytest.fixture(scope="session")\ndef family(): return "{}"\n'
    gate = "def test_rate(memorization, student):\n    assert memorization(student).rate.k == {}\n"
    folder("audits/a", gate.format(7), named.format("teacher"))
    folder("audits/b", gate.format(5), named.format("student"))
    folder("audits/c", gate.format(5))
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=3)
    assert recited(read(two)) == {"audits/a": 7, "audits/b": 5, "": 5}


def test_a_role_that_is_another_the_second_time_is_an_error(two, folder):
    extend(two, SHUFFLE)
    tests = "".join(f"def test_{at}(memorization, student):\n    memorization(student)\n" for at in range(2))
    models = [str(two.cast.student), str(two.cast.baseline)]
    changing = f'given = {models}\n@pytest.fixture(scope="session")\ndef student(): return Model(given.pop())\n'
    folder("audits/a", tests, changing)
    folder("audits/b", tests, student="teacher")
    result = two.run()
    result.assert_outcomes(passed=3, errors=1)
    assert "The same models and sets were expected of audits/a" in result.stdout.str()


def test_other_tests_between_audits_take_nothing_down(two, folder):
    extend(two, SHUFFLE)
    extend(two, '\n@pytest.fixture(scope="session")\ndef once(): print("set up once"); return 1\n')
    extend(two, '\n@pytest.fixture(scope="session")\ndef teacher_of_unit_tests(once): return 1\n')
    (two.path / "audits" / "test_unit.py").write_text(
        "def test_0(once): pass\ndef test_1(once, teacher_of_unit_tests): pass\n"
    )
    tests = "".join(f"def test_{at}(memorization, student, once): memorization(student)\n" for at in range(2))
    folder("audits/a", tests, student="student")
    folder("audits/b", tests, student="teacher")
    result = two.run("-s")
    result.assert_outcomes(passed=6)
    assert result.stdout.str().count("set up once") == 1


def test_tests_that_are_not_python_stand_between_audits_unharmed(two):
    extend(
        two,
        """
class Other(pytest.Item):
    def runtest(self): pass

class File(pytest.File):
    def collect(self): yield Other.from_parent(self, name="other")

def pytest_collect_file(file_path, parent):
    return File.from_parent(parent, path=file_path) if file_path.suffix == ".other" else None
""",
    )
    (two.path / "audits" / "a" / "z.other").touch()
    two.run().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("outside", "autouse"),
    [
        ("def test_unit(released):\n    assert released.source\n", ""),
        ("def test_unit(request):\n    assert request.getfixturevalue('released').source\n", ""),
        ("def test_unit():\n    pass\n", fixture("announced", "pass", "released")),
    ],
    ids=["asks", "asks at run time", "autouse"],
)
def test_what_a_test_that_is_no_audit_set_up_is_made_anew(two, folder, outside, autouse):
    extend(two, RELEASED + autouse.replace(")", ", autouse=True)", 1))
    folder("audits/a", outside, student="student")
    folder("audits/b", GATE.format(0.25).replace("student", "released"), student="teacher")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=1, failed=1)


def test_whatever_a_folder_changes_is_judged_by_in_it(two, folder):
    extend(two, fixture("limit", "return thresholds.max_memorization_rate", "thresholds"))
    extend(two, fixture("half", "return whole / 2", "whole") + fixture("whole", "return 1"))
    gate = (
        "def test_rate(memorization, student, limit, half):\n    assert memorization(student).rate <= min(limit, half)"
    )
    own = "\nfrom pytest_kdmem import Thresholds\n"
    folder("audits/a", gate, own + fixture("thresholds", "return Thresholds(0.9)"), student="student")
    folder("audits/b", gate, own + fixture("thresholds", "return Thresholds(0.01)"), student="student")
    folder("audits/c", gate, own + fixture("thresholds", "return Thresholds(0.9)"), student="student")
    folder("audits/d", gate, own + fixture("thresholds", "return Thresholds(0.9)"), student="student")
    with (two.path / "audits/c/conftest.py").open("a") as file:
        file.write(fixture("whole", "return 0.02"))
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=2, failed=2)
    assert [len(audit.failed) for audit in read(two).audits] == [0, 1, 1, 0]


def test_a_change_that_an_audit_in_between_has_no_part_in_is_not_forgotten(two, folder):
    extend(two, fixture("half", "return whole / 2", "whole") + fixture("whole", "return 1"))
    gate = "def test_rate(memorization, student, half):\n    assert memorization(student).rate <= half\n"
    folder("audits/a", gate, student="student")
    folder("audits/b", GATE.format(0.35), student="teacher")
    folder("audits/c", gate, fixture("whole", "return 0.02"), student="student")
    two.run("--kdmem-report=audit.json").assert_outcomes(passed=2, failed=1)
    assert [len(audit.failed) for audit in read(two).audits] == [0, 0, 1]


def test_a_role_made_at_run_time_of_what_folders_change_is_never_anothers(two, folder):
    sources = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    extend(two, fixture("student", f'return Model({sources}[request.getfixturevalue("family")])', "request"))
    for name, family in (("a", "student"), ("b", "teacher")):
        folder(f"audits/{name}", GATE.format(0.25), fixture("family", f"return {family!r}"))
    result = two.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "The same models and sets were expected" in result.stdout.str()


def test_a_fixture_that_asks_later_asks_for_each_audit(two, folder):
    extend(two, fixture("pick", "return lambda role: request.getfixturevalue(role)", "request"))
    gate = "def test_rate(memorization, pick):\n    assert memorization(pick('student')).rate.k == {}\n"
    folder("audits/a", gate.format(5), student="student")
    folder("audits/b", gate.format(7), student="teacher")
    folder("audits/c", gate.format(5), student="student")
    two.run().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("asked_before", "message"),
    [("", "by a request that was kept from another test"), (", student", "has already been torn down")],
)
def test_a_request_that_is_kept_beyond_its_test_gives_no_other_audit_its_models(two, folder, asked_before, message):
    two.pytester.makepyfile(kept="requests = []\n")
    keep = f"import kept\ndef test_kept(memorization, request{asked_before}):\n    kept.requests.append(request)\n"
    take = "memorization(kept.requests[0].getfixturevalue('student'))"
    folder("audits/a", keep, student="student")
    folder("audits/b", f"import kept\ndef test_rate(memorization):\n    {take}\n", student="teacher")
    result = two.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert message in result.stdout.str()
    assert len(two.shards) == 3  # of the store that the project began with


def test_memorization_that_is_kept_beyond_its_test_scores_nothing_for_another_audit(two, folder):
    two.pytester.makepyfile(kept="functions = []\n")
    keep = "import kept\ndef test_kept(memorization):\n    kept.functions.append(memorization)\n"
    folder("audits/a", keep, student="student")
    gate = "import kept\ndef test_rate(memorization, student):\n    assert kept.functions[0](student).rate <= 1\n"
    folder("audits/b", gate, student="teacher")
    result = two.run()
    result.assert_outcomes(passed=1, errors=1)
    assert "An audit of audits/b/test_b.py::test_rate was expected" in result.stdout.str()


def test_a_fixture_that_asks_for_a_parameter_is_set_up_for_each(two, folder):
    models = {name: str(getattr(two.cast, name)) for name in ("student", "teacher")}
    body = f'return memorization(Model({models}[request.getfixturevalue("name")])).rate.k'
    extend(two, fixture("recited", body, "memorization, request"))
    tests = """
import pytest

@pytest.mark.parametrize(("name", "expected"), [("student", 5), ("teacher", 7)], scope="session")
def test_rate(name, expected, recited):
    assert recited == expected

@pytest.mark.parametrize("name", ["teacher"], scope="session")
def test_other(name, recited):
    assert recited == 7
"""
    folder("audits/a", tests, student="student")
    (two.path / "audits/b/test_b.py").unlink()
    two.run().assert_outcomes(passed=3)


@pytest.mark.parametrize("place", ["module", "class"])
def test_a_fixture_that_asks_later_is_set_up_for_each_place_that_declares(audit_project, place):
    cast = audit_project.cast
    extend(audit_project, fixture("recited", "return memorization(request.getfixturevalue('model')).rate.k",
           "memorization, request") + fixture("model", f"return Model({str(cast.student)!r})"))  # fmt: skip
    own = f"""
    @pytest.fixture(scope="session")
    def model({"self" * (place == "class")}):
        return Model({str(cast.teacher)!r})

    def test_rate({"self, " * (place == "class")}recited):
        assert recited == 7
"""
    header = "import pytest\nfrom pytest_kdmem import Model\n"
    plain = "def test_plain(recited):\n    assert recited == 5\n"
    declared = "class TestOwn:" + own if place == "class" else own.replace("\n    ", "\n")
    audit_project.pytester.makepyfile(test_a=plain, test_b=header + declared, test_c=plain)
    audit_project.run().assert_outcomes(passed=3)
