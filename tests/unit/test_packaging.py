"""The distribution, its documents and the house rules that no linter checks."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from peers import PEERS

from lab.commands import main
from lab.settings import LabSettings

TOP = Path(__file__).parents[2]
PACKAGES = ("ca", "crl_publisher", "lab", "scep_server")
PRODUCT = ("ca", "crl_publisher", "scep_server")
README = (TOP / "README.md").read_text()


def tracked_files() -> list[Path]:
    """Every file of the repository; git's list where there is git, else what an sdist holds."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, check=False)
    if done.returncode == 0:
        return [TOP / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in TOP.rglob("*") if path.is_file() and ".venv" not in path.parts]


def sources(packages: tuple[str, ...], suffix: str = ".py") -> list[Path]:
    return sorted(path for package in packages for path in (TOP / package).rglob(f"*{suffix}"))


def test_wheel_holds_the_four_packages_and_nothing_else(tmp_path: Path) -> None:
    build = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=TOP, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    for data in [*sources(PACKAGES, ".toml"), *sources(PACKAGES, ".mako"), *sources(PACKAGES, ".html")]:
        assert data.relative_to(TOP).as_posix() in names


@pytest.mark.parametrize("path", sources(PRODUCT), ids=lambda path: str(path.relative_to(TOP)))
def test_product_knows_nothing_of_what_is_wrong_on_purpose(path: Path) -> None:
    found = re.findall(r"\b(faults?|inject\w*|chaos)\b", path.read_text(), re.IGNORECASE)
    assert not found


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    home = re.compile(rb"(?<![\w.])/(?:root|work|farm)/|/home/(?!user\b|step\b)\w+/|/Users/\w+/")
    found = {
        str(path.relative_to(TOP)): sorted({match.decode() for match in home.findall(path.read_bytes())})
        for path in tracked_files()
        if path.is_file() and path != Path(__file__) and home.search(path.read_bytes())
    }
    assert found == {}


def test_every_init_says_what_lives_there_and_what_it_offers() -> None:
    for path in (path for path in sources(PACKAGES) if path.name == "__init__.py"):
        text = path.read_text()
        assert text.startswith('"""'), path
        assert "__all__" in text or "import" not in re.sub(r'"""[\s\S]*?"""', "", text), path


def test_ci_installs_the_package_of_every_peer() -> None:
    script = (TOP / ".ci" / "run").read_text()
    (listed,) = re.findall(r"^packages=\(\n(.*?)^\)", script, re.DOTALL | re.MULTILINE)
    needed = {package for peer in PEERS.values() for package in peer.packages}
    assert needed <= set(listed.split())


def test_readme_names_only_commands_and_options_that_exist() -> None:
    call = re.compile(r"^\s*(?:[A-Z_]+=\$\()?ndes-lab ((?:[a-z]+ ?)+)([^\n|)#]*)", re.MULTILINE)
    used = call.findall(_shell(README))
    assert used
    for words, rest in used:
        command, leftover = _resolve(words.split())
        options = {option for parameter in command.params for option in parameter.opts}
        assert not isinstance(command, click.Group) or not leftover, f"ndes-lab {words}"
        for option in re.findall(r"(?<=\s)--[a-z-]+", f" {rest}"):
            assert option in options, f"ndes-lab {words} has no {option}"


def test_readme_names_only_settings_that_exist() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        LabSettings.model_validate(tomllib.loads(block))


def test_readme_table_lists_every_command() -> None:
    rows = dict(re.findall(r"^\| `ndes-lab ([a-z-]+)(?: ([a-z|\\-]+))?` \|", README, re.MULTILINE))
    context = click.Context(main)
    assert set(rows) == set(main.list_commands(context))
    for name, listed in rows.items():
        command = main.get_command(context, name)
        offered = set(command.list_commands(context)) if isinstance(command, click.Group) else set()
        assert set(filter(None, listed.split("\\|"))) == offered, f"ndes-lab {name}"


def test_every_command_explains_itself() -> None:
    for path in [(), *_leaf_commands(main, ())]:
        result = CliRunner().invoke(main, [*path, "--help"])
        assert result.exit_code == 0
        assert "Usage:" in result.output


def test_version_is_the_distributions() -> None:
    version = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]
    assert version in CliRunner().invoke(main, ["--version"]).output
    assert f"## [{version}]" in (TOP / "CHANGELOG.md").read_text()


def _shell(text: str) -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return "\n".join(blocks).replace("\\\n", " ")


def _resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that ``words`` lead to, and the words left over as arguments."""
    command: click.Command = main
    while words and isinstance(command, click.Group):
        following = command.get_command(click.Context(command), words[0])
        assert following is not None, f"no command {words[0]!r}"
        command, words = following, words[1:]
    return command, words


def _leaf_commands(command: click.Command, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    leaves = []
    for name in command.list_commands(context):
        following = command.get_command(context, name)
        assert following is not None
        leaves += _leaf_commands(following, (*path, name))
    return leaves
