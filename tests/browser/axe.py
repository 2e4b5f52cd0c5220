"""axe-core in the page under test: the whole of WCAG 2.2 A and AA and its best practices, on screen and as printed."""

from __future__ import annotations

from functools import cache

from playwright.sync_api import Page

from admin.assets import FOR_TESTS, wanted_versions

_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")
# target-size is off by default in axe-core: a mouse in a tired hand needs its 24 px too
_RUN = """async ([tags, small]) => {
    const options = {
        runOnly: {type: "tag", values: tags}, resultTypes: ["violations"], rules: {"target-size": {enabled: small}},
    };
    const found = await axe.run(document, options);
    return found.violations.flatMap((rule) => rule.nodes.map((node) =>
        `${rule.id}: ${node.target.join(" ")}: ${node.any.concat(node.all, node.none).map((one) => one.message).join("; ")}`));
}"""


@cache
def _source() -> str:
    version = wanted_versions()["axe-core"]
    return (FOR_TESTS / "axe-core" / version / "axe.min.js").read_text("utf-8")


def violations(page: Page, small_targets: bool = True) -> list[str]:
    """Every element that breaks a rule: rule, where, why. Evaluated, not loaded: the page's policy lets no script in."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(f"{{ {_source()} }}")
    found: list[str] = page.evaluate(_RUN, [list(_RULES), small_targets])
    return found


def violations_on_paper(page: Page) -> list[str]:
    """The same of what would be printed; nobody presses on paper."""
    page.emulate_media(media="print")
    found = violations(page, small_targets=False)
    page.emulate_media(media="screen")
    return found
