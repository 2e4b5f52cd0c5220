"""What a page looks like to its reader: read in one go, at several widths, with the keyboard, without scripts."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, Response

_RAW = re.compile(
    r"\{\{|\}\}|\{%|%\(\w+\)s|\bundefined\b|\bNaN\b|\[object |&(?:amp|lt|gt|#\d+);|(?<![\w ])None(?![\w ])"
)
_ERRORS = ("系统出错", "无权访问", "找不到这个页面", "请求无法完成", "Something went wrong")
_LOOK = """(served) => {
    const SAME = /^(class|aria-current|data-.*|checked|selected|value|required|(min|max)(length)?|autocomplete|download)$/;
    const shapeOf = (roots) => {
        const found = new Set();
        const name = (one) => one ? one.localName + [...one.classList].sort().map((c) => "." + c).join("") : "";
        for (const root of roots) for (const one of [root, ...root.querySelectorAll("*")]) {
            const said = one.getAttributeNames().filter((a) => !SAME.test(a));
            const kinds = ["role", "type", "scope"].map((a) => one.getAttribute(a) || "");
            found.add([name(one.parentElement), name(one), said.sort(), kinds].join(" "));
        }
        return [...found];
    };
    const told = (page) => [...page.querySelectorAll("h1")].map((one) => one.textContent.replace(/\\s+/g, " ").trim())
        .concat([...page.querySelectorAll("table")].map((one) => String(one.rows.length)));
    const main = document.querySelector("main");
    const headings = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((one) => one.localName);
    const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
    return {
        lang: document.documentElement.lang,
        title: document.title,
        mains: document.querySelectorAll("main").length,
        headings: [...document.querySelectorAll("h1")].map((one) => one.innerText.trim()),
        text: document.body.innerText,
        twice: ids.filter((one, at) => ids.indexOf(one) !== at),
        told: told(document),
        served: told(new DOMParser().parseFromString(served, "text/html")),
        inside: shapeOf(main ? [main] : []),
        kinds: shapeOf([document.body]).concat(headings.filter((h, at) => h !== headings[at - 1]).join()),
    };
}"""
_OVERFLOW = """() => {
    const wide = document.documentElement.clientWidth, found = [];
    const boxed = (one) => {
        for (let box = one.parentElement; box && box !== document.body; box = box.parentElement)
            if (["auto", "scroll"].includes(getComputedStyle(box).overflowX)) return true;
        return false;
    };
    if (document.documentElement.scrollWidth > wide) found.push(`${document.documentElement.scrollWidth} px wide`);
    for (const one of document.querySelectorAll("a[href],button,input,select,textarea,summary,table,img,svg,h1,h2,p,li")) {
        if (!one.checkVisibility() || one.closest(".skip,.sr") || one.classList.contains("sr") || boxed(one)) continue;
        const box = one.getBoundingClientRect();
        if (box.right > wide + 1) found.push(`${one.localName}.${one.className} reaches ${Math.round(box.right)} px`);
    }
    return found.slice(0, 4);
}"""
_COVERED = """() => {
    const found = [];
    const many = [...document.querySelectorAll(
        "a[href],button,input:not([type=hidden]),select,textarea,summary,[tabindex='0']")];
    for (const one of many.slice(0, 120)) {
        if (!one.checkVisibility() || one.disabled || one.tabIndex < 0) continue;
        one.focus();
        const box = one.getClientRects()[0];
        if (document.activeElement !== one || !box) { found.push(`${one.outerHTML.slice(0, 90)} takes no focus`); continue; }
        const x = Math.min(box.left + box.width / 2, box.left + 20);
        const y = Math.max(box.top + 3, Math.min(box.top + box.height / 2, innerHeight - 3));
        const hit = document.elementFromPoint(x, y);
        const seen = hit && (one.contains(hit) || hit.contains(one) || [...(one.labels || [])].some((l) => l.contains(hit)));
        if (!seen) found.push(`${one.outerHTML.slice(0, 90)} is hidden at ${Math.round(x)},${Math.round(y)}`);
    }
    document.activeElement.blur();
    scrollTo(0, 0);
    return found.slice(0, 4);
}"""


def look_at(page: Page, answer: Response | None = None) -> dict[str, Any]:
    """lang, title, mains, headings, text; told and served: headings and rows, as they stand and as the hub sent them;
    kinds: of elements, by tag, class, attributes and what each is in."""
    seen: dict[str, Any] = page.evaluate(_LOOK, answer.text() if answer else "")
    return seen


def faults_of(seen: dict[str, Any], status: int, lang: str = "zh-CN", sheets: bool = False) -> list[str]:
    """What no page may be; ``sheets``: a stack of papers, each with a heading of its own."""
    heading = seen["headings"][0] if seen["headings"] else ""
    faults = {
        f"answered {status}": status != 200,
        f"{len(seen['headings'])} h1": not heading or (len(seen["headings"]) > 1 and not sheets),
        f"h1 {heading}": heading in _ERRORS,
        f"title {seen['title']}": not seen["title"].split("·")[0].strip(),
        f"lang {seen['lang']}": seen["lang"] != lang,
        f"{seen['mains']} main": seen["mains"] != 1,
        f"id used twice {seen['twice']}": bool(seen["twice"]),
        f"raw text {_RAW.findall(seen['text'])}": _RAW.search(seen["text"]) is not None,
    }
    return [fault for fault, there in faults.items() if there]


def faults_of_width(page: Page) -> list[str]:
    """Nothing hangs over the edge."""
    found: list[str] = page.evaluate(_OVERFLOW)
    return found


def faults_at_twice_the_size(page: Page) -> list[str]:
    """1280 x 800 at 200 %: nothing hangs over the edge, the focus is always in sight."""
    before = page.viewport_size
    assert before is not None
    page.set_viewport_size({"width": 640, "height": 400})
    found = [f"at 200 %: {one}" for script in (_OVERFLOW, _COVERED) for one in page.evaluate(script)]
    page.set_viewport_size(before)
    return found
