"""The site's pages are files of the repository, at their own paths; here links, API pages and formulas are made.

page      a Markdown file listed by `pages`, a translated lesson, or a folder of Python files as an API page
link      to another page: unchanged; to a Python file: its place on an API page; else to the repository, if known
slider    a lesson's figure with a slider takes the place of its image, which GitHub shows
math      LaTeX between $$ is drawn by MathJax, which is part of the site: readers need no other address
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from minisam.lesson.colab import BRANCH, REPOSITORY
from minisam.lesson.course_map import PARTS, stops
from minisam.lesson.find import lesson, lessons
from minisam.lesson.stored import stored_run
from minisam.lesson.translated_lesson import is_translated, page_in

ROOT = Path(__file__).parents[2]
PACKAGES = ("minisam", "kernels/minisam_kernels")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FIGURE = re.compile(r'<p><img alt="[^"]*" src="[^"]*figures/(\d+)\.png"\s*/?></p>')
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LANGUAGE = "zh-CN"
IMAGES = {".png", ".jpg", ".webp", ".gif", ".svg"}
MATHJAX = "assets/mathjax.js"


def pages(root: Path = ROOT) -> list[str]:
    """The Markdown pages of the repository, as paths from its root; lesson.zh-CN.md is a page in another form."""
    patterns = ("*.md", "docs/*.md", "docs/*/*.md", "kernels/*.md", "lessons/*.md", "lessons/*/*.md")
    found = [path.relative_to(root).as_posix() for pattern in patterns for path in sorted(root.glob(pattern))]
    return [path for path in found if not path.startswith("docs/site/")]


def pictures(root: Path = ROOT) -> list[str]:
    """Every image in the folders of pages."""
    folders = [root / folder for folder in ("docs", "kernels", "lessons")]
    found = [path for folder in folders for path in folder.rglob("*") if path.suffix in IMAGES]
    return sorted(path.relative_to(root).as_posix() for path in found)


def modules(folder: str, root: Path = ROOT) -> list[str]:
    """The public modules in a folder, as dotted names; the package itself first, if it has a docstring."""
    names = []
    for path in sorted((root / folder).glob("*.py")):
        if path.name == "__init__.py":
            names.insert(0, dotted(folder))
        elif not path.name.startswith("_"):
            names.append(dotted(f"{folder}/{path.stem}"))
    return names


def dotted(path: str) -> str:
    return path.removeprefix("kernels/").replace("/", ".")


def api_pages(root: Path = ROOT) -> dict[str, str]:
    """For each folder of Python files its page: path on the site, and text for mkdocstrings."""
    folders = [
        path.parent.relative_to(root).as_posix() for top in PACKAGES for path in (root / top).rglob("*.py")
    ]
    found = {}
    for folder in sorted(set(folders)):
        if own := modules(folder, root):
            package = "\n    options: {members: false, show_root_heading: false}"
            parts = "\n\n".join(f"::: {name}{package if name == dotted(folder) else ''}" for name in own)
            found[f"api/{dotted(folder)}.md"] = f"# {dotted(folder)}\n\n{parts}\n"
    return found


def with_links(
    text: str, page: str, on_site: Callable[[str], bool], repository: str, root: Path = ROOT
) -> str:
    """The text of a page with every link to a file of the repository leading somewhere."""

    def link(match: re.Match[str]) -> str:
        image, label, target = match.groups()
        parts = urlsplit(target)
        if image or parts.scheme or parts.netloc or not parts.path:
            return match[0]
        path = os.path.normpath(Path(page).parent / parts.path).replace(os.sep, "/")
        if on_site(path):
            return match[0]
        if (root / path / "README.md").is_file():
            return f"[{label}]({target.rstrip('/')}/README.md)"
        api = f"api/{dotted(path)}.md"
        if on_site(api):
            return f"[{label}]({os.path.relpath(api, Path(page).parent).replace(os.sep, '/')})"
        if path.endswith(".py") and path.startswith(PACKAGES) and not Path(path).name.startswith("_"):
            return f"[{label}][{dotted(path.removesuffix('.py'))}]"
        if not (root / path).exists():
            raise FileNotFoundError(f"{page}: {target} leads nowhere")
        kind = "tree" if (root / path).is_dir() else "blob"
        return f"[{label}]({repository}/{kind}/{BRANCH}/{path})" if repository else label

    return outside_code(text, lambda part: LINK.sub(link, part))


def repository_address() -> str:
    """The repository's address, from the one place where it stands; empty while that is a placeholder."""
    return "" if REPOSITORY.startswith("OWNER/") else f"https://github.com/{REPOSITORY}"


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with a change made to everything but code."""
    parts, start = [], 0
    for code in CODE.finditer(text):
        parts += [change(text[start : code.start()]), code[0]]
        start = code.end()
    return "".join([*parts, change(text[start:])])


def for_python_markdown(text: str) -> str:
    """GitHub's Markdown as Python-Markdown reads it: Markdown inside <details>, and no comments for authors."""
    text = re.sub(r"^<!--.*?-->$", "", text, flags=re.MULTILINE | re.DOTALL)
    return text.replace("<details>", '<details markdown="1">')


def chinese_words(root: Path = ROOT) -> list[str]:
    """The glossary's Chinese words of two or three characters, for search; longer ones consist of others."""
    glossary = (root / "docs" / "glossary.md").read_text(encoding="utf-8")
    column = " ".join(row.split("|")[2] for row in glossary.splitlines() if row.count("|") == 4)
    return sorted(
        {word for word in re.findall(r"[\u4e00-\u9fff]+", column) if 2 <= len(word) <= 3} - {"中文"}
    )


def lesson_links(text: str, page: str, on_site: Callable[[str], bool]) -> str:
    """A lesson's page with one line below its title: the other language, if there is one, and Colab."""
    folder, _, name = page.rpartition("/")
    if not re.fullmatch(r"lessons/\d\d_\w+", folder):
        return text
    before, title, after = re.split(r"^(# .*)$", text, maxsplit=1, flags=re.MULTILINE)
    if name == "README.md":
        other, languages = f"lesson.{LANGUAGE}.md", f"English · [简体中文](lesson.{LANGUAGE}.md)"
    else:
        other, languages = "README.md", "[English](README.md) · 简体中文"
    links = [languages] if on_site(f"{folder}/{other}") else []
    links += [before.strip()] if before.strip() else []
    return f"{title}\n\n{' · '.join(links)}\n{after}"


def with_sliders(html: str, page: str) -> str:
    """The content of a page; on a lesson's, figures that have a slider in its notebook have it here too."""
    if not (number := re.match(r"lessons/(\d\d)_", page)):
        return html
    found: dict[str, str] = {}
    figures = 0
    for item in stored_run(lesson(int(number[1]))):
        figures += len(item.figures)
        if item.html:
            found[str(figures)] = item.html
    return FIGURE.sub(lambda image: found.get(image[1], image[0]), html)


def with_math(html: str, script: str) -> str:
    """The content of a page; if it has formulas, with the address of MathJax."""
    if 'class="arithmatex"' not in html:
        return html
    settings = "{options: {ignoreHtmlClass: '.*|', processHtmlClass: 'arithmatex'}}"
    return f'{html}\n<script>window.MathJax = {settings}</script>\n<script async src="{script}"></script>\n'


def mathjax() -> Path:
    """MathJax as one file, from the package django-static-mathjax. Nothing of Django is needed or imported."""
    package = find_spec("mathjax")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the site needs MathJax: pip install -e '.[docs]'")
    return Path(package.submodule_search_locations[0]) / "static" / "mathjax" / "es5" / "tex-svg.js"


def navigation(root: Path = ROOT) -> list[dict]:
    """The site's parts in order."""
    course: list = ["lessons/README.md"]
    for part, title in PARTS.items():
        own = [stop for stop in stops() if stop.part == part and stop.folder]
        course.append({title: [{f"{s.number} · {s.title}": f"lessons/{s.folder}/README.md"} for s in own]})
    translated = [stop for stop in stops() if stop.folder and is_translated(lesson(stop.number), LANGUAGE)]
    chinese: list = [f"README.{LANGUAGE}.md", {"课程": f"lessons/README.{LANGUAGE}.md"}]
    chinese += [f"lessons/{stop.folder}/lesson.{LANGUAGE}.md" for stop in translated]
    guides = [page for page in pages(root) if page.startswith("docs/") and page.count("/") == 1]
    results = [page for page in pages(root) if page.startswith("docs/") and page.count("/") == 2]
    return [
        {"minisam": ["README.md"]},
        {"Course": course},
        {"Guides": [*guides, "kernels/README.md"]},
        {"Results": results},
        {"API": [{Path(page).stem: page} for page in api_pages(root)]},
        {"中文": chinese},
        {"Contributing": [page for page in pages(root) if page in ("CONTRIBUTING.md", "CHANGELOG.md")]},
    ]


def sources(root: Path = ROOT) -> Iterator[tuple[str, Path | str]]:
    """Each file of the site: its path, and the file that it is, or its text."""
    for path in (*pages(root), *pictures(root)):
        if not path.endswith(f"lesson.{LANGUAGE}.md"):
            yield path, root / path
    for one in lessons():
        if is_translated(one, LANGUAGE):
            yield f"lessons/{one.folder.name}/lesson.{LANGUAGE}.md", page_in(one, LANGUAGE)
    yield from api_pages(root).items()
    yield MATHJAX, mathjax()
