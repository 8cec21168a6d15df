"""The quickstart's functions, on distributions that lie in a folder as found."""

import os
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from nbflow.notebook import load_target

Install = Callable[..., Path]


@pytest.fixture
def audit(quickstart: Path) -> SimpleNamespace:
    return SimpleNamespace(**load_target(str(quickstart)).namespace)


@pytest.fixture
def install(site: Path) -> Install:
    """Write a distribution's metadata folder; `record` lists its files."""

    def write(
        name: str,
        *lines: str,
        version: str = "1.0",
        folder: str | None = None,
        record: list[str] | None = None,
    ) -> Path:
        place = site / (folder or f"{name}-{version}.dist-info")
        place.mkdir(parents=True)
        head = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
        file = "PKG-INFO" if place.suffix == ".egg-info" else "METADATA"
        (place / file).write_text("\n".join([*head, *lines]) + "\n")
        if record is not None:
            rows = "".join(f"{path},sha256=x,1\n" for path in record)
            (place / "RECORD").write_text(rows)
        return place

    return write


def test_what_is_installed_is_listed_once(
    audit: SimpleNamespace, install: Install
) -> None:
    install("Zwei.Mal", version="1.0")
    install("zwei-mal", version="2.0")
    names = audit.list_distributions()
    assert len({"Zwei.Mal", "zwei-mal"} & set(names)) == 1
    assert "pytest" in names


def test_leftovers_without_a_name_are_skipped_and_said(
    audit: SimpleNamespace,
    install: Install,
    site: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (site / "leftover-1.0.dist-info").mkdir()
    broken = install("undecodable")
    (broken / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    names = audit.list_distributions()
    assert not {"leftover", "undecodable"} & set(names)
    assert capsys.readouterr().out.count("without a name") == 2


def test_a_leftover_does_not_hide_the_distribution_of_its_name(
    audit: SimpleNamespace, install: Install, site: Path
) -> None:
    (site / "half-0.9.dist-info").mkdir()
    install("half", version="1.1")
    assert audit.read_metadata("half").version == "1.1"


def test_what_is_gone_says_so(audit: SimpleNamespace) -> None:
    with pytest.raises(metadata.PackageNotFoundError, match="surely-not-there"):
        audit.read_metadata("surely-not-there")


def test_metadata_may_lack_everything_but_the_name(
    audit: SimpleNamespace, site: Path
) -> None:
    folder = site / "bare.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: bare\n")
    about = audit.read_metadata("bare")
    assert (about.version, about.licenses, about.requires) == ("unknown", [], [])


def test_size_is_that_of_the_recorded_files(
    audit: SimpleNamespace, install: Install, site: Path
) -> None:
    (site / "lib.py").write_bytes(b"x" * 100)
    (site / "with, comma.txt").write_bytes(b"x" * 11)
    install(
        "lib", record=["lib.py", '"with, comma.txt"', "__pycache__/lib.cpython.pyc"]
    )
    assert audit.measure_recorded("lib") == audit.Files(count=2, size_bytes=111)


def test_a_recorded_file_that_is_gone_is_an_error(
    audit: SimpleNamespace, install: Install
) -> None:
    install("lib", record=["gone.py"])
    with pytest.raises(FileNotFoundError, match=r"gone\.py"):
        audit.measure_recorded("lib")


@pytest.mark.parametrize("folder", ["old-1.0.dist-info", "old-1.0.egg-info"])
def test_without_a_record_the_folders_are_measured(
    audit: SimpleNamespace, install: Install, site: Path, folder: str
) -> None:
    place = install("old", folder=folder)
    (place / "top_level.txt").write_text("older\noldest\nnowhere\n")
    (site / "older" / "sub").mkdir(parents=True)
    (site / "older" / "sub" / "a.py").write_bytes(b"x" * 30)
    (site / "oldest.py").write_bytes(b"x" * 4)
    with pytest.raises(audit.NoFileList, match="old has no RECORD"):
        audit.measure_recorded("old")
    assert audit.measure_folder("old") == audit.Files(count=2, size_bytes=34)


@pytest.mark.parametrize(
    ("lines", "license"),
    [
        (["License-Expression: mit OR apache-2.0"], "MIT OR Apache-2.0"),
        (["License: MIT License"], "MIT"),
        (["License: The MIT License (MIT)", "Classifier: License :: X"], "MIT"),
        (["License: see LICENSE", "Classifier: License :: OSI :: MIT License"], "MIT"),
        (["License: UNKNOWN", "Classifier: License :: OSI :: MIT License"], "MIT"),
    ],
)
def test_a_licence_with_one_meaning_is_understood(
    audit: SimpleNamespace, install: Install, lines: list[str], license: str
) -> None:
    install("some", *lines)
    assert audit.parse_license(audit.read_metadata("some").licenses) == license


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["Classifier: License :: OSI Approved :: BSD License"], "BSD License"),
        (["License: Dual"], "Dual"),
        ([], "no licence is stated"),
    ],
)
def test_a_licence_is_not_guessed(
    audit: SimpleNamespace, install: Install, lines: list[str], says: str
) -> None:
    install("some", *lines)
    with pytest.raises(audit.UnclearLicense, match=says):
        audit.parse_license(audit.read_metadata("some").licenses)


def test_requirements_that_are_met_or_do_not_apply_are_not_named(
    audit: SimpleNamespace, install: Install
) -> None:
    install("Other.One", version="2.0rc1")
    requires = [
        "other-one>=1",
        'absent; python_version < "3"',
        'absent; extra == "more"',
        "other_one @ https://example.org/other.zip",
    ]
    assert audit.check_requirements(requires) == []


def test_unmet_requirements_are_named_with_the_reason(
    audit: SimpleNamespace, install: Install
) -> None:
    install("other", version="2.0")
    install("odd", version="of old")
    assert audit.check_requirements(["other<2", "absent>1", "odd>1"]) == [
        "other<2 (found 2.0)",
        "absent>1 (not installed)",
        "odd>1 (found of old)",
    ]
    (line,) = audit.check_requirements(["no requirement at all !"])
    assert line.startswith("no requirement at all ! (cannot be checked: ")


def test_extras_bring_in_the_requirements_of_the_other_distribution(
    audit: SimpleNamespace, install: Install
) -> None:
    install(
        "other",
        "Provides-Extra: web",
        "Provides-Extra: all",
        "Requires-Dist: plain-and-absent",
        'Requires-Dist: absent; extra == "web"',
        'Requires-Dist: other[web,all]; extra == "all"',
    )
    unmet = audit.check_requirements(["other[all]"])
    assert unmet == ['absent; extra == "web" (not installed)']


def test_the_report_sorts_counts_and_sums(audit: SimpleNamespace) -> None:
    def package(name: str, size: int, *unsatisfied: str) -> object:
        return audit.Package(name, "1", size, 1, [], "MIT", list(unsatisfied), [])

    report = audit.write_report(
        [package("small", 1), package("large", 2_000_000, "absent (not installed)")],
        {"broken": "no such file"},
    )
    assert report.distributions == 2
    assert report.size_bytes == 2_000_001
    assert report.largest == ["large 2.0 MB", "small 0.0 MB"]
    assert report.licenses == {"MIT": 2}
    assert report.unsatisfied == {"large": ["absent (not installed)"]}
    assert report.failed == {"broken": "no such file"}


def test_sizes_agree_with_the_disk_for_what_is_installed_here(
    audit: SimpleNamespace,
) -> None:
    files = audit.measure_recorded("pytest")
    listed = metadata.distribution("pytest").files or []
    present = {str(file.locate()) for file in listed if Path(file.locate()).exists()}
    assert files.count == len(present)
    assert files.size_bytes == sum(os.stat(path).st_size for path in present)
