"""The report's page, in a real browser: what it shows, what it hides, and that nothing comes alive or goes out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from safetax.errors import UserError
from safetax.formatting import interval, number
from safetax.report import samples
from safetax.report.page import _environment, embed, write_page
from safetax.report.plots import draw_plots
from safetax.results.collect import Collected, collect
from safetax.statistics import Estimate
from tests.support.synthetic import HTML_ANSWER, make_outputs
from tests.support.synthetic_methods import category_outputs

browser_test = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
HOSTILE = "</script><script>document.title='escaped'</script><img src=x onerror=document.title='escaped'>\u2028<!--"


@dataclass
class Made:
    outputs: Path
    collected: Collected
    figures: Path
    page: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("page")
    outputs = make_outputs(folder / "outputs", ["direct_refusal", "safechain"], [0.0, 1.0, 2.0], [0, 1], prompts=45)
    # Every text that a model, a data set or a judge wrote is hostile somewhere.
    for responses in (outputs / "generate").glob("*/responses.jsonl"):
        rows = [json.loads(line) for line in responses.read_text().splitlines()]
        rows[2] |= {"answer": HOSTILE, "thinking": HOSTILE}
        responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for examples in (outputs / "prepare").glob("*/examples.jsonl"):
        rows = [json.loads(line) for line in examples.read_text().splitlines()]
        rows[2]["messages"][0]["content"] = HOSTILE
        examples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for verdicts in (outputs / "score").glob("*/verdicts.jsonl"):
        rows = [json.loads(line) for line in verdicts.read_text().splitlines()]
        rows[2]["label"] = HOSTILE
        verdicts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for manifest in outputs.glob("*/*/manifest.json"):
        values = json.loads(manifest.read_text())
        for name, output in values["outputs"].items():
            output["size"] = (manifest.parent / name).stat().st_size
        manifest.write_text(json.dumps(values))
    for record in (outputs / "runs").glob("*/run.json"):
        values = json.loads(record.read_text())
        values["config"]["alignment"]["note"] = HOSTILE
        record.write_text(json.dumps(values))
    collected = collect([outputs])
    draw_plots(collected.results, folder / "figures")
    page = write_page(collected, folder / "figures", folder / "report.html")
    return Made(outputs, collected, folder / "figures", page)


@dataclass
class Opened:
    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture
def opened(chromium: Any, made: Made) -> Iterator[Callable[..., Opened]]:
    """Open the page; afterwards, whatever the test did: no request left it, no text ran, nothing was complained of."""
    contexts: list[tuple[Any, Opened]] = []

    def open_page(**settings: Any) -> Opened:
        context = chromium.new_context(**settings)
        now = Opened(context.new_page())
        now.page.on("request", lambda request: now.requests.append(request.url))
        now.page.on("console", lambda message: now.complaints.append(message.text))
        now.page.on("pageerror", lambda error: now.complaints.append(str(error)))
        now.page.on("dialog", lambda dialog: (now.complaints.append("a dialog"), dialog.dismiss()))
        now.page.goto(made.page.as_uri())
        contexts.append((context, now))
        return now

    yield open_page
    for context, now in contexts:
        assert [url for url in now.requests if not url.startswith("data:")] == [made.page.as_uri()]
        assert now.complaints == []
        assert now.page.title() == "The safety tax of lab"
        context.close()


def shown(page: Any) -> int:
    """How many samples the page says it has under its filters."""
    text = page.locator("#count").inner_text()
    found = re.search(r"of (\d+)$", text)
    return int(found.group(1)) if found else 0


@browser_test
def test_hostile_texts_are_shown_and_do_nothing(opened: Callable[..., Opened]) -> None:
    page = opened().page
    page.fill("input[name=text]", "document.title='escaped'")
    count = shown(page)
    assert count > 0
    answers = page.locator(".sample .answer .text").all_text_contents()
    assert HOSTILE in answers
    assert HOSTILE in page.locator(".sample .message .text").all_text_contents()
    assert HOSTILE in page.locator(".sample .thinking .text").all_text_contents()
    assert any(HOSTILE in chip for chip in page.locator(".chip").all_text_contents())
    assert any(HOSTILE in option for option in page.locator("select[name=verdict] option").all_text_contents())
    assert page.locator("#samples img, #samples script, #samples b").count() == 0
    page.fill("input[name=text]", 'the "old" mill')
    assert HTML_ANSWER in page.locator(".sample .answer .text").all_text_contents()
    assert page.locator("dd", has_text="</script>").first.text_content() == HOSTILE
    page.wait_for_timeout(200)


@browser_test
def test_the_policy_stops_scripts_and_requests_that_got_in_all_the_same(chromium: Any, made: Made) -> None:
    context = chromium.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(made.page.as_uri())
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "document.title = 'escaped'";
        document.body.append(script);
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/x.png";
        document.body.append(image);
        document.body.insertAdjacentHTML("beforeend", "<p style='color: red' onclick='1'></p>");
        return fetch("http://127.0.0.1:9/").catch(() => null);
    }""")
    page.wait_for_timeout(200)
    assert page.title() == "The safety tax of lab"
    assert sum("Content Security Policy" in message for message in refused) >= 4
    context.close()


@browser_test
def test_responses_to_harmful_prompts_are_blurred_until_asked_for(opened: Callable[..., Opened]) -> None:
    page = opened().page
    page.select_option("select[name=benchmark]", "lab_harmful")
    first, second = page.locator(".sample").nth(0), page.locator(".sample").nth(1)
    button = first.get_by_role("button", name="Show the response")
    blurred = "element => getComputedStyle(element.querySelector('.answer .text')).filter"
    thinking = "element => getComputedStyle(element.querySelector('.thinking .text')).filter"
    assert "blur" in first.evaluate(blurred)
    assert "blur" in first.evaluate(thinking)
    assert first.evaluate(
        "element => element.querySelector('.answer').inert && element.querySelector('.thinking').inert"
    )
    assert button.get_attribute("aria-expanded") == "false"
    controlled = button.get_attribute("aria-controls")
    assert page.locator(f"#{controlled}").count() == 1

    button.focus()
    page.keyboard.press("Enter")
    assert first.evaluate(blurred) == "none"
    assert first.evaluate(thinking) == "none"
    assert not first.evaluate("element => element.querySelector('.answer').inert")
    assert "blur" in second.evaluate(blurred), "each sample is shown on its own"
    again = first.get_by_role("button", name="Blur the response")
    assert again.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Space")
    assert "blur" in first.evaluate(blurred)

    second.locator(".response").click()
    assert second.evaluate(blurred) == "none"
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Previous").click()
    assert "blur" in page.locator(".sample").nth(1).evaluate(blurred)

    page.select_option("select[name=benchmark]", "lab_benign")
    assert page.locator(".sample").first.evaluate(blurred) == "none"
    assert page.locator(".sample .reveal:visible").count() == 0


@browser_test
def test_filters_agree_with_the_data_and_pages_hold_all_of_it(opened: Callable[..., Opened], made: Made) -> None:
    page = opened().page
    data = json.loads(page.locator("#data").text_content())
    checkpoints = data["checkpoints"]
    everything = data["samples"]
    assert shown(page) == len(everything)
    assert max(count_of(everything, data).values()) == 40

    page.select_option("select[name=label]", "safechain")
    page.select_option("select[name=epochs]", "2")
    wanted = [
        sample
        for sample in everything
        if checkpoints[sample["checkpoint"]]["label"] == "safechain"
        and checkpoints[sample["checkpoint"]]["epochs"] == 2
    ]
    assert shown(page) == len(wanted) > 0
    page.select_option("select[name=seed]", "1 (LRM 1)")
    wanted = [s for s in wanted if checkpoints[s["checkpoint"]]["seed"] == 1]
    assert shown(page) == len(wanted) > 0
    page.select_option("select[name=benchmark]", "lab_harmful")
    page.select_option("select[name=verdict]", "judge error")
    wanted = [
        s for s in wanted if s["benchmark"] == "lab_harmful" and "judge error" in [v["label"] for v in s["verdicts"]]
    ]
    assert shown(page) == len(wanted) > 0
    assert "judge error" in page.locator(".sample .verdicts").first.inner_text()

    page.get_by_role("button", name="Clear filters").click()
    page.wait_for_function(f"document.getElementById('count').textContent.endsWith('of {len(everything)}')")
    page.fill("input[name=text]", "HARMFUL-003")
    assert shown(page) == sum(s["id"] == "harmful-003" for s in everything)
    page.fill("input[name=text]", "no such text anywhere")
    assert page.locator("#count").inner_text() == "No sample fits these filters."

    page.fill("input[name=text]", "")
    page.select_option("select[name=benchmark]", "lab_benign")
    page.select_option("select[name=label]", "LRM")
    titles: list[str] = []
    while True:
        titles += page.locator(".sample").evaluate_all("all => all.map(one => one.textContent)")
        if page.get_by_role("button", name="Next").is_disabled():
            break
        page.get_by_role("button", name="Next").click()
    assert len(titles) == shown(page) == 2 * 40

    place = next(i for i, checkpoint in enumerate(checkpoints) if checkpoint["epochs"] == 1)
    page.locator(f"[data-checkpoint='{place}']").click()
    page.wait_for_function("document.querySelector('select[name=epochs]').value === '1'")
    page.wait_for_timeout(100)
    assert shown(page) == sum(sample["checkpoint"] == place for sample in everything)


def count_of(everything: list[Any], data: Any) -> dict[tuple[int, str], int]:
    counts: dict[tuple[int, str], int] = {}
    for sample in everything:
        key = (sample["checkpoint"], sample["benchmark"])
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == len(data["checkpoints"]) * 4
    return counts


@browser_test
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_medium_has_its_colours_and_figures(opened: Callable[..., Opened], scheme: str) -> None:
    page = opened(color_scheme=scheme).page
    brightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0) / 3"
    assert (page.evaluate(brightness) > 200) == (scheme == "light")
    other = "dark" if scheme == "light" else "light"
    assert page.locator(f"figure img.{scheme}:visible").count() == page.locator("figure").count() == 3
    assert page.locator(f"figure img.{other}:visible").count() == 0
    drawn = "all => all.map(one => one.complete && one.naturalWidth)"
    assert all(width > 100 for width in page.locator("figure img").evaluate_all(drawn))
    assert all(text for text in page.locator("figure img").evaluate_all("all => all.map(one => one.alt)"))

    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate(brightness) > 200
    assert page.locator("figure img.light:visible").count() == 3
    assert page.locator("figure img.dark:visible").count() == 0
    assert not page.locator("#filters").is_visible()
    assert page.locator(".sample:visible").count() == 0
    assert page.get_by_text("The samples are left out in print").is_visible()
    assert page.get_by_text("The list of steps is left out in print").is_visible()
    assert not page.locator("#steps-title").is_visible()
    closed = page.locator("details:not([open])")
    before = closed.count()
    assert before > 1
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert closed.count() == 1, "the list of steps alone stays closed"
    for heading in ("Of the run", "Shared by all", "Versions", "Benchmarks and judges"):
        for found in page.locator("details").filter(has=page.locator("h3", has_text=heading)).all():
            assert found.get_attribute("open") is not None
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert closed.count() == before
    assert page.pdf(format="A4").startswith(b"%PDF")


@browser_test
def test_a_phone_shows_the_page_without_scrolling_sideways(opened: Callable[..., Opened]) -> None:
    page = opened(viewport={"width": 360, "height": 740}, device_scale_factor=2).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    closed = page.locator("details:not([open]) > summary")
    while closed.count():
        closed.first.click()
    assert page.locator("details[open]").count() == page.locator("details").count()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@browser_test
def test_headings_are_in_order_and_controls_have_names(opened: Callable[..., Opened]) -> None:
    page = opened().page
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    unnamed = "all => all.filter(one => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel).length"
    assert page.locator("select, input, button, a[href]").evaluate_all(unnamed) == 0
    assert page.locator("html").get_attribute("lang") == "en"
    repeated = (
        "() => [...document.querySelectorAll('[id]')].map(e => e.id).filter((id, i, all) => all.indexOf(id) !== i)"
    )
    assert page.evaluate(repeated) == []


@browser_test
def test_methods_and_categories_fit_a_phone_and_are_told_without_colour(chromium: Any, tmp_path: Path) -> None:
    outputs = category_outputs(tmp_path / "outputs", prompts=20)
    collected = collect([outputs])
    written = write_page(collected, tmp_path / "none", tmp_path / "report.html")
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(written.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#methods tbody tr").count() == 3
    assert page.locator("#categories tbody tr").count() == 4
    # What is framed says so in words too, and every figure can be read on its colour.
    assert all("trained on" in text for text in page.locator("td.trained").all_text_contents())
    background = "all => all.map(one => getComputedStyle(one).backgroundColor)"
    lrm, aligned = (page.locator(f"#categories tbody tr:nth-child({row}) td.number") for row in (1, 2))
    assert lrm.nth(1).evaluate_all(background) != aligned.nth(1).evaluate_all(background)
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => +one.tagName[1])")
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert complaints == []
    context.close()


def test_the_page_says_what_it_must(made: Made) -> None:
    text = made.page.read_text(encoding="utf-8")
    assert "These numbers come from the lab." in text
    tax = made.collected.results.curves[0].points[-1].scores["safety_tax"]
    told = f"{number(tax.mean)} points lower" if tax.low > 0 else "<strong>cannot be told</strong> from the LRM’s"
    assert told in text
    assert interval(tax) in text
    assert "at most 40 of each checkpoint’s responses" in text
    assert "mean of 2 seeds" in text
    assert "intervals at 95&nbsp;%." in text
    assert not re.search(r"\d % interval", text)
    for step in {f"train/{checkpoint.id}" for checkpoint in made.collected.results.checkpoints}:
        assert step in text
    assert "synthetic" not in text.replace("synthetic.py", ""), "the name of a host"
    assert str(made.outputs) not in text
    assert HOSTILE not in text
    assert "\u2028" not in text.split('id="data">')[1]


def test_the_page_is_the_same_when_written_again(made: Made, tmp_path: Path) -> None:
    again = write_page(made.collected, made.figures, tmp_path / "below" / "report.html")
    assert again.read_bytes() == made.page.read_bytes()
    assert [path.name for path in again.parent.iterdir()] == ["report.html"]


def test_without_alignment_and_figures_there_is_still_a_page(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", [], [0.0], [0], prompts=5)
    collected = collect([outputs])
    text = write_page(collected, tmp_path / "none", tmp_path / "report.html").read_text()
    assert "There is no tax to report" in text
    assert "<figure" not in text


def test_several_output_folders_make_one_page(tmp_path: Path) -> None:
    folders = [
        make_outputs(tmp_path / "a", ["safechain"], [1.0], [0], prompts=5),
        make_outputs(tmp_path / "b", ["safechain"], [1.0], [0], prompts=5, model="<other>"),
    ]
    collected = collect(folders)
    text = write_page(collected, tmp_path, tmp_path / "report.html").read_text()
    assert "&lt;other&gt;" in text
    assert "<other>" not in text


def test_missing_responses_are_named(tmp_path: Path) -> None:
    outputs = make_outputs(tmp_path / "outputs", [], [0.0], [0], prompts=5)
    collected = collect([outputs])
    gone = next((outputs / "generate").iterdir())
    (gone / "responses.jsonl").unlink()
    with pytest.raises(UserError, match=gone.name):
        write_page(collected, tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_the_size_of_the_samples_is_bounded(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "LARGEST", 100_000)
    text = write_page(made.collected, made.figures, made.page.with_name("small.html")).read_text()
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["most"] < 40
    assert f"at most {data['most']} of each" in text
    assert len(json.dumps({key: data[key] for key in ("prompts", "samples")}, ensure_ascii=False).encode()) <= 100_000


def test_characters_that_work_are_seen_on_the_page() -> None:
    data = {"text": ["\x1b[31m\u202egnp \\u001b", {"a": "\x9b"}], "n": 1}
    assert json.loads(embed(data)) == {"text": ["\\x1b[31m<U+202E>gnp \\u001b", {"a": "\\x9b"}], "n": 1}
    shown = _environment().from_string("{{ text }} {{ ours }}").render(text="<\x07\u2066>", ours=Markup("<b>"))
    assert shown == "&lt;\\x07&lt;U+2066&gt;&gt; <b>"


def test_embedded_json_holds_nothing_that_html_or_javascript_would_read() -> None:
    value = {"a": HOSTILE + "&\u2029", "b": [1, None, "ü"]}
    text = str(embed(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_numbers() -> None:
    assert number(-0.04) == "0.0"
    assert number(-3.14) == "−3.1"
    assert interval(Estimate(0.5, -1.0, 2.0)) == "−1.0 to 2.0"
