import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_two_commands_set_everything_up():
    block = README.split("<!-- setup -->")[1].split("<!-- /setup -->")[0]
    commands = [line for line in block.splitlines() if line and not line.startswith("```")]
    assert commands == ["pip install -e . && minisam demo", "pip install -e '.[test]' && pytest"]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "README.zh-CN.md",
        "CONTRIBUTING.md",
        "kernels/README.md",
        "lessons/README.md",
        "lessons/README.zh-CN.md",
        "docs/click.md",
    ],
)
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text()
    targets = [target for target in re.findall(r"\]\(([^)#]+)", text) if "://" not in target]
    for target in targets:
        assert ((ROOT / page).parent / target).exists(), target


PAGES_WITH_TABLES = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/training/README.md"]


@pytest.mark.parametrize("page", PAGES_WITH_TABLES)
def test_tables_are_the_committed_results(page):
    """<!-- results: FILE --> … <!-- /results --> quotes FILE, whole or a part of it, to the letter."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r"<!-- results: (\S+) -->\n(.*?)<!-- /results -->", text, flags=re.DOTALL)
    for file, block in blocks:
        shown = "\n".join(line for line in block.splitlines() if not line.startswith("```"))
        assert shown.strip() and shown.strip() in (ROOT / file).read_text(), file
    assert blocks or not page.startswith("README")


def test_the_chinese_readme_quotes_the_same_results():
    pattern = r"<!-- results: .*?<!-- /results -->"
    chinese = (ROOT / "README.zh-CN.md").read_text()
    assert re.findall(pattern, chinese, flags=re.DOTALL) == re.findall(pattern, README, flags=re.DOTALL)
    numbers = [
        re.findall(r"^\| (?:tiny|small)[,，].*", text, flags=re.MULTILINE) for text in (README, chinese)
    ]
    english, own = ([re.findall(r"\d+\.\d+", row) for row in rows] for rows in numbers)
    assert english == own and len(english) == 2


def test_commands_in_the_readme_exist():
    from minisam.cli.main import COMMANDS

    assert set(re.findall(r"^minisam (\w+)", README, flags=re.MULTILINE)) <= set(COMMANDS)


def test_the_tree_names_every_folder_of_the_package():
    tree = README.split("```text\nminisam/\n")[1].split("kernels/minisam_kernels/")[0]
    named = re.findall(r"([\w/]+)/(?=[ ,])", tree)
    folders = [path for path in (ROOT / "minisam").rglob("*") if path.is_dir() and any(path.glob("*.py"))]
    parts_of_a_box = {"shared", "answers", "partworld", "cutouts", "modeling"}
    assert {path.name for path in folders} - parts_of_a_box <= {name.split("/")[-1] for name in named}
    assert all(any(path.name == name for path in (ROOT / "minisam").rglob(name)) for name in named)


def test_the_number_of_lessons_is_the_courses():
    numbers = {26: ("twenty-six", "二十六"), 27: ("twenty-seven", "二十七"), 28: ("twenty-eight", "二十八")}
    numbers |= {29: ("twenty-nine", "二十九"), 30: ("thirty", "三十")}
    english, chinese = numbers[len(list((ROOT / "lessons").glob("[0-9][0-9]_*")))]
    assert f"has {english} lessons" in README
    assert f"共{chinese}课" in (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")


def test_the_number_of_experiments_is_that_of_the_results():
    numbers = {
        17: ("Seventeen", "十七"),
        18: ("Eighteen", "十八"),
        19: ("Nineteen", "十九"),
        20: ("Twenty", "二十"),
    }
    numbers |= {21: ("Twenty-one", "二十一"), 22: ("Twenty-two", "二十二"), 23: ("Twenty-three", "二十三")}
    numbers |= {24: ("Twenty-four", "二十四"), 25: ("Twenty-five", "二十五")}
    english, chinese = numbers[len(list((ROOT / "docs" / "experiments").glob("E*.json")))]
    assert f"[{english} experiments](docs/experiments/README.md)" in README
    assert f"[{chinese}个实验]" in (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
