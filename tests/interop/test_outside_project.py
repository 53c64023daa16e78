"""ndes-lab in projects of others: installed from its wheel, used from their own folder, in their language.

The environment is a new one; what ndes-lab depends on is borrowed from ours, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from peers import require_peer

from interop.lab_process import NDES_LAB
from interop.process import Run, run, run_well
from interop.test_readme import blocks

pytestmark = pytest.mark.interop

TOP = Path(__file__).parents[2]
EXAMPLES = Path(__file__).parent / "examples"
USES_THE_LAB = """
def test_the_lab_is_the_installed_one(scep_lab):
    import lab

    assert "site-packages" in lab.__file__
    assert scep_lab.new_challenge()
"""
Pytest = Callable[..., Run]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that ndes-lab's wheel is installed in."""
    folder = tmp_path_factory.mktemp("environment")
    build = "import hatchling.build as b, sys; b.build_wheel(sys.argv[1])"
    run_well([sys.executable, "-c", build, folder], cwd=TOP)
    venv.create(folder / "venv", symlinks=os.name != "nt")
    interpreter = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    asked = run_well([interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    borrowed = Path(asked.stdout.decode().strip()) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", interpreter]
    run_well([*pip, "install", "--no-deps", "--no-index", "--no-compile", wheel])
    return interpreter


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project, with a conftest.py in its root as most have."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "conftest.py").write_text("")
    (tmp_path / "tests" / "test_it.py").write_text(USES_THE_LAB)
    return tmp_path


def pytest_in(python: Path, project: Path, *options: str, way: str = "pytest") -> Run:
    """Run pytest in a project: by its command, which leaves the folder out of the path, or by ``-m``."""
    console = "import sys; sys.path.remove(''); from pytest import console_main; sys.exit(console_main())"
    ways = {"pytest": ["-c", console], "-m": ["-m", "pytest"], "-P -m": ["-P", "-m", "pytest"]}
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON"))}
    return run(
        [python, *ways[way], "-q", "-p", "no:cacheprovider", *options], cwd=project, env=env, seconds=120
    )


def test_the_readmes_example_is_a_test_file_that_passes(python: Path, tmp_path: Path) -> None:
    require_peer("scepclient")
    example = next(text for _, text in blocks("python") if "def test_" in text)
    (tmp_path / "test_my_client.py").write_text(example)
    done = pytest_in(python, tmp_path)
    assert done.ok, done.text
    assert f"{example.count('def test_')} passed" in done.text


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize("way", ["pytest", "-m"])
def test_a_project_with_a_folder_lab_of_its_own_uses_the_plugin(
    python: Path, project: Path, way: str, mode: str
) -> None:
    (project / "lab").mkdir()
    (project / "lab" / "notes.py").write_text("")
    (project / "lab" / "test_inside.py").write_text(USES_THE_LAB)
    done = pytest_in(python, project, f"--import-mode={mode}", way=way)
    assert done.ok, done.text
    assert "2 passed" in done.text


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize("way", ["pytest", "-P -m"])
def test_a_project_with_a_package_lab_of_its_own_uses_the_plugin_without_the_folder_in_the_path(
    python: Path, project: Path, way: str, mode: str
) -> None:
    (project / "lab").mkdir()
    (project / "lab" / "__init__.py").write_text("")
    done = pytest_in(python, project, f"--import-mode={mode}", way=way)
    assert done.ok, done.text


def test_a_package_lab_before_ours_is_an_error_that_names_the_plugin_and_can_be_told_to_do_without(
    python: Path, project: Path
) -> None:
    (project / "lab").mkdir()
    (project / "lab" / "__init__.py").write_text("")
    (project / "tests" / "test_it.py").write_text("import lab\n\ndef test_own():\n    pass\n")
    done = pytest_in(python, project, way="-m")
    assert not done.ok
    assert "No module named 'lab.pytest_plugin'" in done.text
    assert pytest_in(python, project, "-p", "no:lab.pytest_plugin", way="-m").ok


# -- other languages -------------------------------------------------------------------


@pytest.fixture
def environment() -> dict[str, str]:
    """What finds the command ``ndes-lab``."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("NDES_LAB_")}
    env["PATH"] = f"{NDES_LAB.parent}{os.pathsep}{env['PATH']}"
    return env


@pytest.mark.slow
def test_the_go_example_passes(tmp_path: Path, environment: dict[str, str]) -> None:
    require_peer("scepclient")
    go = require_peer("go")
    shutil.copy(EXAMPLES / "enrol_test.go", tmp_path)
    (tmp_path / "go.mod").write_text("module example.com/enrol\n\ngo 1.19\n")
    env = environment | {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    done = run_well([go, "test", "-v", "./..."], cwd=tmp_path, env=env, seconds=600)
    assert done.text.count("--- PASS") == 2, done.text


def test_the_java_example_passes(tmp_path: Path, environment: dict[str, str]) -> None:
    require_peer("scepclient")
    java = require_peer("javac").with_name("java")
    env = environment | {"JAVA_TOOL_OPTIONS": f"-Djava.io.tmpdir={tmp_path}"}
    done = run_well([java, EXAMPLES / "EnrolTest.java"], cwd=tmp_path, env=env, seconds=120)
    assert "2 passed" in done.text


def test_examples_in_other_languages_are_quoted_where_they_are() -> None:
    readme = (TOP / "README.md").read_text()
    for example in EXAMPLES.iterdir():
        assert f"]({example.relative_to(TOP).as_posix()})" in readme
