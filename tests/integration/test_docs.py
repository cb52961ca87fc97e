"""The documentation names only what exists: files, headings, commands, options, keys, Python."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token

from dcgan.cli import app
from tests.support.plugin_packages import BACKEND, install

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "benchmarks/*.md",
        "examples/*/*.md",
        "runs/README.md",
        "runs/reference/*.md",
    )
    for path in ROOT.glob(pattern)
)
PACKAGES = ("analysis", "dcgan", "diagnosis", "tracking")
SHELLS = {"sh", "bash", "shell", "console"}
SHARED_OPTIONS = {"--store", "--device", "--json", "--help"}
"""Described once in docs/cli.md, for all commands that have them."""

INCOMPLETE = {"MissingParameter", "NoArgsIsHelpError"}
"""By name, since typer brings a click of its own from some version on."""

EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:")
HTML_TARGET = re.compile(r"""\b(?:src|href)\s*=\s*["']([^"']+)["']""")
PATH_IN_CODE = re.compile(
    r"(?:analysis|benchmarks|dcgan|diagnosis|docs|tests|tracking|runs/reference|\.github)/[\w./-]*"
    r"|(?:Makefile|[\w-]+\.(?:toml|cff|txt|md))"
)
"""What is a path of this repository if it stands alone in a code span."""

USERS_FILES = {"captions.txt", "mine.toml", "recipe.toml", "sweep.toml"}


@dataclass
class Document:
    """What a Markdown file says that can be checked.

    Attributes:
        targets: Of links and pictures, as written.
        code: The code spans.
        blocks: Language and content of the fenced blocks.
        headings: The text of the headings.
        anchors: Of the headings, as GitHub names them.
    """

    targets: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    blocks: list[tuple[str, str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)


def parse_document(text: str) -> Document:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    document = Document()
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            heading = "".join(child.content for child in following.children or ())
            document.headings.append(heading)
            document.anchors.append(_anchor(heading, document.anchors))
        elif token.type == "fence":
            document.blocks.append((token.info.partition(" ")[0], token.content))
        for part in (token, *(token.children or ())):
            document.targets += _targets(part)
            if part.type == "code_inline":
                document.code.append(part.content)
    return document


def _targets(token: Token) -> list[str]:
    if token.type in ("html_block", "html_inline"):
        return HTML_TARGET.findall(token.content)
    target = token.attrs.get("href" if token.type == "link_open" else "src")
    return [str(target)] if token.type in ("link_open", "image") else []


def _anchor(heading: str, taken: list[str]) -> str:
    """GitHub's: lower case, spaces to hyphens, no punctuation, repeated ones numbered."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    numbered = (f"{plain}-{number}" for number in range(1, len(taken) + 2))
    return plain if plain not in taken else next(a for a in numbered if a not in taken)


@cache
def read_document(path: Path) -> Document:
    return parse_document(path.read_text(encoding="utf-8"))


def broken_links(document: Path, root: Path = ROOT) -> Iterator[str]:
    for target in read_document(document).targets:
        if EXTERNAL.match(target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.is_relative_to(root) or not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in read_document(file).anchors:
            yield f"{target}: no such heading; there are {read_document(file).anchors}"


def commands_in(document: Document) -> Iterator[tuple[list[str], bool]]:
    """The arguments of every `dcgan ...`, and whether it is a mention in a code span.

    A mention may leave out what a command requires.
    """
    blocks = [content for language, content in document.blocks if language in SHELLS]
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            for arguments in _commands_in_line(line):
                yield arguments, False
    for code in document.code:
        if code.startswith("dcgan "):
            for arguments in _commands_in_line(code):
                yield arguments, True


def _commands_in_line(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|"):
            yield from _arguments(command)
            command = []
        else:
            command.append(word)


def _arguments(command: list[str]) -> Iterator[list[str]]:
    """Those of `dcgan`, `.venv/bin/dcgan`, `python -m dcgan` and `torchrun ... -m dcgan`."""
    while command and re.match(r"\w+=", command[0]):
        command = command[1:]
    if command and Path(command[0]).name == "dcgan":
        yield command[1:]
        return
    for end in range(2, len(command)):
        if command[end - 2 : end] == ["-m", "dcgan"]:
            yield command[end:]
            return


@pytest.fixture(scope="module")
def root() -> Any:
    """The command line, of which nothing runs while its arguments are parsed."""
    command = typer.main.get_command(app)
    for _, subcommand in walk_commands(command, "dcgan"):
        for parameter in subcommand.params:
            if not parameter.expose_value:  # --install-completion would write to the user's home
                parameter.callback = None
    return command


def walk_commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from walk_commands(subcommand, f"{name} {child}")


def check_command(root: Any, arguments: list[str]) -> None:
    """Parse arguments as `dcgan` does. Raises typer's errors, and ConfigError for a wrong key."""
    try:
        command, context = root, root.make_context("dcgan", list(arguments))
        settings: dict[str, Any] = {}
        while rest := [*getattr(context, "_protected_args", ()), *context.args]:
            name, command, rest = command.resolve_command(context, rest)
            context = command.make_context(name, rest, parent=context)
            settings |= context.params
    except typer.Exit:  # of --help
        return
    _check_keys(settings)


def _check_keys(settings: dict[str, Any]) -> None:
    """Raises ConfigError for a recipe, a sweep or a key that does not exist."""
    from dcgan.config.loading import Override, load_config, parse_override
    from dcgan.sweeping.definition import read_definition
    from dcgan.sweeping.plan import parse_factor

    recipe = str(settings.get("recipe") or settings.get("subject") or "digits")
    recipe = "digits" if recipe.endswith(".toml") else read_definition(recipe).recipe
    load_config(recipe, [parse_override(text) for text in settings.get("settings") or ()])
    for factor in map(parse_factor, settings.get("over") or ()):
        load_config(recipe, [Override(factor.key, factor.values[0], factor.origin)])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_and_pictures_exist(name: str):
    assert list(broken_links(ROOT / name)) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_in_code_spans_exist(name: str):
    spans = (code for code in read_document(ROOT / name).code if PATH_IN_CODE.fullmatch(code))
    places = (ROOT, (ROOT / name).parent)
    missing = [
        code
        for code in spans
        if code not in USERS_FILES and not any((place / code).exists() for place in places)
    ]
    assert missing == []


@pytest.fixture
def _example_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tracker of examples/tracker-plugin can be named, wherever the tests run."""
    install(tmp_path, "trackio", BACKEND)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_example_installed")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_parse(name: str, root: Any):
    wrong = []
    for arguments, is_mention in commands_in(read_document(ROOT / name)):
        try:
            check_command(root, arguments)
        except Exception as error:
            if not (is_mention and type(error).__name__ in INCOMPLETE):
                wrong.append(f"dcgan {shlex.join(arguments)}: {error!r}")
    assert wrong == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_python_compiles_and_its_imports_exist(name: str):
    for language, content in read_document(ROOT / name).blocks:
        if language == "python":
            tree = ast.parse(content)
            compile(tree, name, "exec")
            assert list(missing_imports(tree)) == []


def missing_imports(tree: ast.Module) -> Iterator[str]:
    """Names that a block imports from this project and that are not there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            module = str(node.module)
            for imported in node.names:
                if imported.name not in _names_in(module) and not _source(
                    f"{module}.{imported.name}"
                ):
                    yield f"{module}.{imported.name}"
        elif isinstance(node, ast.Import):
            for imported in node.names:
                if imported.name.split(".")[0] in PACKAGES and not _source(imported.name):
                    yield imported.name


def _source(module: str) -> Path | None:
    """The file of a module of this project, without importing it."""
    base = ROOT.joinpath(*module.split("."))
    files = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in files if file.exists()), None)


def _names_in(module: str) -> set[str]:
    """What a module defines or imports at its top level."""
    source = _source(module)
    names: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body if source else ():
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Import(names=imported) | ast.ImportFrom(names=imported):
                names |= {each.asname or each.name for each in imported}
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


def sections_of_cli_page() -> dict[str, Document]:
    """docs/cli.md by its headings that name a command."""
    text = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    parts = re.split(r"^#+ `(dcgan [^`]*)`$", text, flags=re.MULTILINE)
    return {name: parse_document(part) for name, part in zip(parts[1::2], parts[2::2], strict=True)}


def test_the_cli_page_describes_every_command_with_its_options(root: Any):
    sections = sections_of_cli_page()
    commands = dict(walk_commands(root, "dcgan"))
    del commands["dcgan"]
    assert sections.keys() == commands.keys()
    for name, section in sections.items():
        spans = " ".join(section.code)
        described = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", spans))
        options = {
            option
            for parameter in commands[name].params
            if not getattr(parameter, "hidden", False)
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        }
        assert described - SHARED_OPTIONS == options - SHARED_OPTIONS, name
        assert list(commands_in(section)), f"{name} has no example"


def test_the_recipe_page_describes_every_key():
    from dcgan.config.schema import Config
    from dcgan.config.section import Section

    def keys(section: type[Section], prefix: str = "") -> Iterator[str]:
        for name, info in section.model_fields.items():
            kind = info.annotation
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from keys(kind, f"{prefix}{name}.")
            else:
                yield prefix + name

    described = set(read_document(ROOT / "docs/recipes.md").code)
    assert sorted(set(keys(Config)) - described) == []


def test_the_index_of_the_docs_names_every_page():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(read_document(ROOT / "docs/README.md").targets)


def test_the_readme_is_short_enough_to_be_read():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(version)}$", citation, re.MULTILINE)
    newest = next(
        heading
        for heading in read_document(ROOT / "CHANGELOG.md").headings
        if re.match(r"\[?\d", heading)
    )
    assert newest.startswith(version)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("`dcgan train --no-such-option`", "--no-such-option"),
        ("```sh\ndcgan no-such-command\n```", "no-such-command"),
        ("```sh\ndcgan train no-such-recipe\n```", "no-such-recipe"),
        ("```sh\ndcgan train --epochs many  # a comment\n```", "valid integer"),
        ("```sh\ndcgan train --set optimizer.rate=1\n```", "optimizer.rate"),
        ("```sh\ndcgan sweep digits --over optimizer.rate=1,2\n```", "optimizer.rate"),
        ("```sh\ndcgan train \\\n    --no-such-option\n```", "--no-such-option"),
        ("```sh\ncd x && python -m dcgan diff last\n```", "second"),
        ("```sh\ntorchrun --nproc-per-node 4 -m dcgan resume --lr 3\n```", "--lr"),
        ("```sh\nDCGAN_STORE=x dcgan probe features --from 3\n```", "--from"),
    ],
)
def test_wrong_commands_are_found(text: str, fault: str, root: Any):
    [(arguments, _)] = commands_in(parse_document(text))
    with pytest.raises(Exception, match=re.escape(fault)):
        check_command(root, arguments)


def test_parsing_installs_no_completion(root: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    check_command(root, ["--install-completion"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "[x](missing.md)",
        "![x](missing.png)",
        '<img src="missing.png" width="100">',
        "[x](#no-such-heading)",
        "[x](../../../etc)",
        "[x][y]\n\n[y]: missing.md",
    ],
)
def test_broken_links_are_found(text: str, tmp_path: Path):
    document = tmp_path / "page.md"
    document.write_text(f"# A heading\n\n[fine](#a-heading) [too](https://x.example)\n\n{text}\n")
    assert len(list(broken_links(document, tmp_path.resolve()))) == 1
