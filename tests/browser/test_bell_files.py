"""The files of the bell: small, and nothing in them that a strict page would refuse."""

from __future__ import annotations

import gzip
from pathlib import Path

from django.template import Context, Engine
from jinja2 import Environment, FileSystemLoader

from tests.browser.e2e.packages import run

ROOT = Path(__file__).parents[2]
BROWSER = ROOT / "pns" / "browser"
LARGEST = 10 * 1024
LARGEST_PANEL = 12 * 1024
LARGEST_PUSH = 4 * 1024
LARGEST_PREFERENCES = 3 * 1024
LARGEST_SNOOZE = 2 * 1024
LARGEST_PAGE = 3 * 1024


def test_one_template_for_django_and_jinja() -> None:
    folder = ROOT / "examples" / "browser" / "templates"
    values = {"user": "ada", "pns": "/pns"}
    django = Engine(dirs=[str(folder)]).get_template("base.html")
    jinja = Environment(loader=FileSystemLoader(folder), autoescape=True).get_template("base.html")
    page = django.render(Context(values))
    assert page.split() == jinja.render(values).split()
    assert '<script type="module" src="/pns/bell.js"></script>' in page
    assert "pns-bell" not in django.render(Context({"user": None, "pns": "/pns"}))


def test_the_bell_is_small(tmp_path: Path) -> None:
    """What every page loads, and what a page loads once the panel is opened. The switch of Web Push is
    fetched by pages that ask for the switch.
    """
    later = ("./bell-push.js", "./bell-preferences.js", "./bell-snooze.js", "./panel.js")
    assert size("bell.js", "./client.js", *later, folder=tmp_path) <= LARGEST
    assert size("panel.js", "../bell-*.js", folder=tmp_path) <= LARGEST_PANEL
    assert size("bell-preferences.js", "./client.js", "./bell-*.js", folder=tmp_path) <= LARGEST_PREFERENCES
    assert size("bell-snooze.js", "./client.js", "./bell-*.js", folder=tmp_path) <= LARGEST_SNOOZE
    assert size("inbox.js", "./client.js", "./bell-*.js", "./panel.js", folder=tmp_path) <= LARGEST_PAGE
    assert size("bell-push.js", "./client.js", "./bell-*.js", folder=tmp_path) <= LARGEST_PUSH


def size(name: str, *others: str, folder: Path) -> int:
    """Of one file and what it imports, but for `others`, in bytes, minified and gzipped."""
    bundle = folder / name
    external = [f"--external:{other}" for other in others]
    options = ("--bundle", "--minify", "--format=esm", *external, f"--outfile={bundle}")
    run("esbuild", str(BROWSER / name), *options, cwd=folder)
    size = len(gzip.compress(bundle.read_bytes(), 9))
    print(f"{name}: {size} bytes, minified and gzipped")
    return size


def test_no_markup_is_parsed_and_no_style_written() -> None:
    source = "".join(
        path.read_text()
        for pattern in ("bell*.js", "inbox.js", "panel/*.js")
        for path in BROWSER.glob(pattern)
    )
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "cssText"):
        assert forbidden not in source
    assert "adoptedStyleSheets" in source
