"""What MkDocs calls while it builds the site; the work is in collect.py."""

from __future__ import annotations

import sys
from pathlib import Path

import jieba
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "kernels")]

import collect  # noqa: E402


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = collect.navigation()
    for word in collect.chinese_words():
        jieba.add_word(word)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, source in collect.sources():
        if isinstance(source, Path):
            files.append(File.generated(config, path, abs_src_path=str(source)))
        else:
            files.append(File.generated(config, path, content=source))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    def on_site(path: str) -> bool:
        return files.get_file_from_path(path) is not None

    path = page.file.src_uri
    text = collect.lesson_links(collect.for_python_markdown(markdown), path, on_site)
    return collect.with_links(text, path, on_site, collect.repository_address())


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    sources = 'class="mkdocstrings-source"'
    html = collect.with_sliders(html.replace(sources, f"{sources} data-search-exclude"), page.file.src_uri)
    return collect.with_math(html, get_relative_url(collect.MATHJAX, page.url))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    chinese = page.file.src_uri.endswith(f".{collect.LANGUAGE}.md")
    return output.replace('<html lang="en"', f'<html lang="{collect.LANGUAGE}"') if chinese else output
