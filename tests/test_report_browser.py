"""The report's page in a real browser: it draws, filters, sorts, is read with a keyboard, and loads nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.browser import MISSING, chromium, find_chromium
from support.patience import PATIENCE

import tfckpt
from tfckpt.cli.commands.demo import make_bert
from tfckpt.cli.main import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    Look = Callable[..., Page]

pytestmark = pytest.mark.browser

HOSTILE: dict[str, Any] = {
    "a</script><script>window.pwned = 1</script>": 1,
    'b"><img src="http://127.0.0.1/x" onerror="window.pwned = 1">': 2,
    "c/<b>bold</b>/&lt;": [3.0, np.nan, np.inf],
    "d\0e\x1b[2J\u202egnp": 4,
    "f\udcff\udcfe": [b"text", b"\xff"],
    "{{ data }}": 5,
    "__proto__/constructor": np.zeros((3, 0)),
    "//": 6,
}
SHOWN = """(id) => [...document.querySelectorAll(`#${id} tbody tr`)].map((row) =>
    [...row.children].map((cell) => cell.textContent))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Return a function that opens a page; at the end, no page may have asked for anything or complained."""
    asked: list[str] = []
    said: list[str] = []
    contexts = []

    def open_page(path: Path, *, asks: bool = False, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE * 1000)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        if not asks:
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.endswith(".html")] == said == []


@pytest.fixture(scope="module")
def bert_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on the demo's BERT, with the slots of two variables, and on what it was converted to."""
    directory = tmp_path_factory.mktemp("report")
    kept = ("word_embeddings", "pooler/dense/kernel")
    tensors = {name: v for name, v in make_bert().items() if "/adam_" not in name or any(text in name for text in kept)}
    tfckpt.save(directory / "bert_model.ckpt", tensors)
    tfckpt.convert(directory / "bert_model.ckpt", directory / "tf2", to="pretrainer", num_heads=4)
    argv = ["report", str(directory / "bert_model.ckpt"), str(directory / "tf2"), "--num-heads", "4"]
    assert main([*argv, "-o", str(directory / "report.html")]) == 0
    return directory / "report.html"


def rows(page: Page, table: str) -> list[list[str]]:
    found: list[list[str]] = page.evaluate(SHOWN, table)
    return found


def violations(page: Page, **options: Any) -> list[str]:
    """Return what axe finds, by all of its rules unless told: those of WCAG 2.2 AA, and best practices."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=options)
    assert found.response["passes"]
    return [f"{item['id']}: {node['html']}" for item in found.response["violations"] for node in item["nodes"]]


def test_it_draws_every_part(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    assert page.locator("h1").inner_text().endswith("bert_model.ckpt")
    sections = ["Summary", "Where the bytes are", "How weights deviate", "From source to target", "Names", "Tensors"]
    sections += ["Histograms by layer"]
    assert page.locator("nav a").all_inner_texts() == page.locator("h2:visible").all_inner_texts() == sections
    facts = dict(zip(page.locator("dt").all_text_contents(), page.locator("dd").all_text_contents(), strict=True))
    assert facts["Checksums"] == "all match"
    assert facts["Proof"] == "every value is the source's"
    assert facts["optimizer state"].startswith("4 tensors, 38.0 KiB")
    assert facts["optimizer state"].endswith("28.7 %")
    assert page.locator("#problems").is_hidden()
    assert len(rows(page, "tensors-table")) == 51
    assert rows(page, "dropped-table") == [["optimizer state", "4", "38,912"], ["training step", "1", "8"]]
    query = next(row for row in rows(page, "mapping-table") if row[0].endswith("layer_1/attention/self/query/kernel"))
    assert query[1:3] == ["reshaped", "[32, 32] to [32, 4, 8]; h (a d) -> h a d"]
    assert query[3].endswith("_attention_layer/_query_dense/kernel/.ATTRIBUTES/VARIABLE_VALUE")
    assert query[5].startswith("0x")
    assert query[6] == "same values"


@pytest.mark.parametrize(
    ("excluded", "said"),
    [
        (["pooler"], "37 tensors hold the source's values, 2 were filled"),
        (["pooler/dense/bias"], "38 tensors hold the source's values, 1 was filled"),
    ],
)
def test_a_proof_tells_what_was_filled_apart(
    look: Look, bert: str, tmp_path: Path, excluded: list[str], said: str
) -> None:
    tfckpt.convert(bert, tmp_path / "tf2", exclude=excluded, fill="zeros")
    argv = ["report", bert, str(tmp_path / "tf2"), "--exclude", *excluded, "--fill", "zeros"]
    assert main([*argv, "-o", str(tmp_path / "report.html")]) == 0
    page = look(tmp_path / "report.html")
    facts = dict(zip(page.locator("dt").all_text_contents(), page.locator("dd").all_text_contents(), strict=True))
    assert facts["Proof"] == said


def facts_of(page: Page) -> dict[str, str]:
    names, texts = page.locator("dt").all_text_contents(), page.locator("dd").all_text_contents()
    return dict(zip(names, texts, strict=True))


def test_the_summary_says_what_the_model_is(look: Look, bert_page: Path) -> None:
    with tfckpt.open(bert_page.with_name("bert_model.ckpt")) as checkpoint:
        model = [entry for entry in checkpoint.entries() if "adam_" not in entry.name and entry.name != "global_step"]
        step = int(checkpoint["global_step"])
    facts = facts_of(look(bert_page))
    assert facts["Family"] == "BERT"
    assert facts["Parameters"] == f"{sum(entry.size for entry in model):,}"
    assert facts["Dtypes"] == "float32 (50 tensors), int64 (1 tensor)"
    assert facts["Layers"] == "2 (from the names)"
    assert facts["Heads"] == "4 (from num_heads)"
    assert facts["Step"] == f"global_step {step:,}"
    assert facts["Taken as"] == "a conversion: it is object-based and the source is not"


def test_what_nothing_tells_is_unknown(look: Look, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"w": np.ones((2, 3), np.float32)})
    tfckpt.report(tmp_path / "c", output=tmp_path / "r.html")
    facts = facts_of(look(tmp_path / "r.html"))
    assert [facts[name] for name in ("Family", "Layers", "Heads", "Parameters")] == ["unknown"] * 3 + ["6"]
    assert "Step" not in facts


def test_the_treemap_is_coloured_by_kind_and_labels_layers(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    legend = page.locator("#legend li").all_inner_texts()
    assert legend == ["attention", "feed-forward", "embeddings", "heads", "optimizer", "other"]
    labels = page.locator("#treemap .inner > .label").all_inner_texts()
    assert {"encoder", "embeddings", "layer_0", "layer_1"} <= set(labels)
    colours = page.locator("#legend .swatch").evaluate_all(
        "(all) => all.map((e) => getComputedStyle(e).backgroundColor)"
    )
    assert len(set(colours)) == 6
    for kind, parts in {
        "attention": "layer_0/attention/self/query/kernel",
        "feed-forward": "layer_0/intermediate/dense/kernel",
    }.items():
        page = look(bert_page)
        for part in ("bert", "encoder", *parts.split("/")):
            tile = page.locator(f".tile[aria-label^='{part}']").first
            if part == parts.split("/")[-1] or tile.count() == 0:
                break
            tile.click()
        assert page.locator(f"#treemap .kind-{kind}").count() > 0
        assert page.locator("#treemap .tile").count() == page.locator(f"#treemap .tile.kind-{kind}").count()


def test_the_heat_map_has_the_deviation_of_each_layer_and_kind(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    heads = page.locator("#heat-grid thead th").all_inner_texts()
    assert heads == ["layer", "attention", "feed-forward", "embeddings", "heads"]
    shown = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows(page, "heat-grid")}
    assert list(shown) == ["embeddings", "layer_0", "layer_1", "pooler", "predictions", "seq_relationship"]
    with tfckpt.open(bert_page.with_name("bert_model.ckpt")) as checkpoint:
        layer = "bert/encoder/layer_1"
        blocks = {
            "attention": [f"{layer}/attention/self/{part}" for part in ("query", "key", "value")],
            "feed-forward": [f"{layer}/intermediate/dense", f"{layer}/output/dense"],
        }
        blocks["attention"].append(f"{layer}/attention/output/dense")
        for kind, modules in blocks.items():
            values = np.concatenate([checkpoint[f"{module}/kernel"].ravel() for module in modules])
            assert float(shown["layer_1"][kind]) == pytest.approx(float(values.std()), rel=5e-3)
        tables = ("word_embeddings", "position_embeddings", "token_type_embeddings")
        values = np.concatenate([checkpoint[f"bert/embeddings/{table}"].ravel() for table in tables])
        assert float(shown["embeddings"]["embeddings"]) == pytest.approx(float(values.std()), rel=5e-3)
    steps = page.locator("#heat-grid td[class^=heat-]")
    assert steps.count() == 8
    assert page.locator("#heat-grid td.heat-5").first.inner_text() == max(steps.all_inner_texts(), key=float)


def test_equal_layers_are_one_line_and_a_click_copies_a_name(look: Look, bert_page: Path) -> None:
    page = look(bert_page, permissions=["clipboard-read", "clipboard-write"])
    names = page.locator("#names-tree")
    assert names.get_by_text("layer_[0-1]/", exact=True).count() == 1
    assert names.get_by_text("layer_0/", exact=True).count() == 0
    for module, said in {
        "word_embeddings": "bert/embeddings/word_embeddings",
        "kernel": "bert/encoder/layer_*/attention/output/dense/kernel",
    }.items():
        names.get_by_role("button", name=module, exact=True).first.click()
        page.get_by_role("status").filter(has_text=f"Copied: {said}").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == said
    with tfckpt.open(bert_page.with_name("bert_model.ckpt")) as checkpoint:
        assert len(checkpoint.entries(said)) == 2


def test_layers_that_differ_stay_apart_in_the_tree(look: Look, tmp_path: Path) -> None:
    shapes = [(2, 3), (2, 3), (2, 3), (4, 3), (2, 3), (4, 3)]
    tfckpt.save(tmp_path / "c", {f"net/layer_{n}/w": np.ones(shape, np.float32) for n, shape in enumerate(shapes)})
    tfckpt.report(tmp_path / "c", output=tmp_path / "r.html")
    lines = look(tmp_path / "r.html").locator("#names-tree summary .code").all_inner_texts()
    assert lines == ["net/", "layer_[0-2,4]/", "layer_[3,5]/"]


@pytest.fixture(scope="module")
def pair_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on two BERTs of one layout, of which the second has other values, another head and a NaN."""
    directory = tmp_path_factory.mktemp("pair")
    before = {name: value for name, value in make_bert().items() if "/adam_" not in name}
    after = {name: np.array(value) for name, value in before.items() if not name.startswith("cls/")}
    after["bert/encoder/layer_1/attention/self/query/kernel"][0, 0] += 0.5
    after["bert/encoder/layer_1/attention/self/key/bias"][0] += 0.25
    after["bert/pooler/dense/bias"][0] = np.nan
    after["output_weights"] = np.ones((2, 32), np.float32)
    tfckpt.save(directory / "a", before)
    tfckpt.save(directory / "b", after)
    assert main(["report", str(directory / "a"), str(directory / "b"), "-o", str(directory / "r.html")]) == 0
    return directory / "r.html"


def test_two_checkpoints_of_one_layout_are_compared_by_layer_and_kind(look: Look, pair_page: Path) -> None:
    page = look(pair_page)
    facts = facts_of(page)
    assert facts["Taken as"] == "a comparison: 39 of its 40 model tensors are named as in the source"
    assert facts["Differing"] == "11 of 48 tensors"
    assert page.locator("#mapping").is_hidden()
    heads = page.locator("#comparison-grid thead th").all_inner_texts()
    shown = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows(page, "comparison-grid")}
    assert shown["layer_1"]["attention"] == "2 of 10max 0.50"
    assert shown["layer_1"]["feed-forward"] == shown["layer_0"]["feed-forward"] == "0 of 6"
    assert shown["pooler"]["heads"] == "1 of 21 NaN or Inf"
    assert shown["(none)"]["heads"] == "1 of 11 in one only"
    page.get_by_label("Difference", exact=True).select_option("values")
    assert [row[0] for row in rows(page, "comparison-table")] == [
        "bert/encoder/layer_1/attention/self/key/bias",
        "bert/encoder/layer_1/attention/self/query/kernel",
        "bert/pooler/dense/bias",
    ]
    page.get_by_label("Difference", exact=True).select_option("only in A")
    assert len(rows(page, "comparison-table")) == 7


def test_without_statistics_the_page_claims_no_proof(look: Look, bert_page: Path, tmp_path: Path) -> None:
    directory = bert_page.parent
    for dest, said in {
        "tf2": "none: names, dtypes and shapes are right, values were not compared",
        "bert_model.ckpt": "0 of 51 tensors by name, dtype or shape; values were not compared",
    }.items():
        path = tmp_path / f"{dest}.html"
        argv = ["report", str(directory / "bert_model.ckpt"), str(directory / dest), "--no-stats"]
        assert main([*argv, "--num-heads", "4", "-o", str(path)]) == 0
        page = look(path)
        facts = facts_of(page)
        assert facts.get("Proof", facts.get("Differing")) == said
        assert "Values were not compared" in page.locator("#mapping-about, #comparison-about").all_inner_texts()[-1] + (
            page.locator("#comparison-about").inner_text()
        )
        text = page.locator("main").inner_text().lower()
        assert "proved" not in text
        assert "same values" not in text
        assert "all match" not in text
        assert page.locator("#heat").is_hidden()


def test_a_large_model_with_slots_opens_at_once(look: Look, tmp_path: Path) -> None:
    tensors: dict[str, Any] = {}
    for layer in range(24):
        for module in ("attention/self/query", "attention/self/key", "attention/self/value", "attention/output/dense"):
            for name in ("kernel", "bias"):
                for slot in ("", "/adam_m", "/adam_v"):
                    tensors[f"bert/encoder/layer_{layer}/{module}/{name}{slot}"] = np.ones((4, 4), np.float32)
    for n in range(208 * 3):  # more layers than a heat map has rows
        tensors[f"more/part_{n}/w"] = np.ones((2, n % 7 + 1), np.float32)
    tfckpt.save(tmp_path / "c", tensors)
    tfckpt.report(tmp_path / "c", output=tmp_path / "r.html")
    page = look(tmp_path / "r.html")
    assert _processor_seconds(page) < 5
    assert page.locator("*").count() < 20_000
    assert len(rows(page, "heat-grid")) == 200
    assert page.locator("#heat-grid > p").inner_text() == "and 448 layers more, which the tables have"
    assert len(tensors) == 1200


def test_areas_are_as_large_as_their_shares(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    page.get_by_role("button", name="bert, ").click()
    tiles = {}
    for tile in page.locator(".tile").all():
        box = tile.bounding_box()
        assert box is not None
        tiles[str(tile.get_attribute("aria-label")).split(",")[0]] = box["width"] * box["height"]
    assert list(tiles) == ["encoder", "embeddings", "pooler/dense"]
    with tfckpt.open(bert_page.with_name("bert_model.ckpt")) as checkpoint:
        nbytes = {name: sum(e.nbytes for e in checkpoint.entries(f"bert/{name}/*")) for name in tiles}
    for name, area in tiles.items():
        share = nbytes[name] / sum(nbytes.values())
        assert area / sum(tiles.values()) == pytest.approx(share, rel=0.02)


def test_tables_filter(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    tensors, search = page.locator("#tensors-table"), page.locator("#tensors-table-search")
    search.fill("DENSE pooler")
    assert [row[0].rpartition("dense/")[2] for row in rows(page, "tensors-table")] == [
        *("bias", "kernel", "kernel/adam_m", "kernel/adam_v")
    ]
    assert tensors.get_by_role("status").inner_text() == "4 of 51 tensors"
    page.get_by_label("Kind").select_option("heads")
    assert tensors.get_by_role("status").inner_text() == "2 of 51 tensors"
    page.get_by_label("Kind").select_option("")
    search.fill("*layer_?/*/kernel")
    assert {row[0].rpartition("/")[2] for row in rows(page, "tensors-table")} == {"kernel"}
    search.fill("[")
    assert rows(page, "tensors-table") == []
    page.get_by_label("What happens").select_option("left out")
    assert len(rows(page, "mapping-table")) == 5


def test_tables_sort(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    head = page.locator("#tensors-table th", has=page.get_by_role("button", name="Bytes", exact=True))

    def sizes() -> list[int]:
        return [int(row[3].replace(",", "")) for row in rows(page, "tensors-table")]

    before = sizes()
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    assert sizes() == sorted(before, reverse=True) != before
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").click()
    assert sizes() == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    page.locator("#tensors-table").get_by_role("button", name="Name").click()
    names = [row[0] for row in rows(page, "tensors-table")]
    assert names[0].startswith("bert/embeddings")
    assert names[-1] == "global_step"
    assert head.get_attribute("aria-sort") == "none"


def test_histograms_are_drawn_by_layer(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    layers = page.locator("#layers-list summary").all_inner_texts()
    assert [layer.partition(":")[0] for layer in layers] == [
        *("bert/embeddings", "bert/encoder/layer_0", "bert/encoder/layer_1", "bert/pooler"),
        *("cls/predictions", "cls/seq_relationship", "outside of any layer"),
    ]
    page.get_by_role("button", name="Open all layers").click()
    figures = page.locator("#layers-list figure")
    figures.nth(50).wait_for(state="attached")
    assert figures.count() == 51
    first = figures.filter(has_text="word_embeddings").first
    with tfckpt.open(bert_page.with_name("bert_model.ckpt")) as checkpoint:
        low = checkpoint["bert/embeddings/word_embeddings"].min()
    label = str(first.locator("svg").get_attribute("aria-label"))
    assert float(label.split()[1]) == pytest.approx(low, rel=1e-3)
    assert str(first.locator("path").get_attribute("d")).count("M") == 24


def test_a_keyboard_reaches_everything(look: Look, bert_page: Path) -> None:
    page = look(bert_page)

    def active(expression: str) -> Any:
        return page.evaluate(f"document.activeElement.{expression}")

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    press("Tab")
    assert active("textContent") == "Skip to the report"
    assert page.locator(".skip").bounding_box()["x"] >= 0  # type: ignore[index]  # it is there
    press("Enter", "Tab", "Tab")  # the way through the modules, then the map itself
    assert str(active("ariaLabel")).startswith("bert, ")
    press("ArrowRight")
    assert str(active("ariaLabel")).startswith("cls, ")
    press("Home", "Enter")
    assert str(active("ariaLabel")).startswith("encoder, ")
    assert active("matches(':focus-visible')")
    press("Escape")
    assert str(active("ariaLabel")).startswith("bert, ")
    press("Tab")
    assert active("ariaLabel") == "Standard deviation of kernels and tables, scrolls"  # the map is one stop
    press("Tab")
    assert active("id") == "dropped-table-search"
    page.locator("#tensors-table-search").focus()
    press(*"pooler", "Tab", "Tab")
    assert active("getAttribute('role')") == "region"  # scrolls by arrow keys
    press("Tab", "Enter", "Enter")
    assert active("parentElement.ariaSort") == "descending"
    assert rows(page, "tensors-table")[0][0] == "bert/pooler/dense/kernel/adam_v"
    page.locator("summary").last.focus()
    press("Enter")
    assert active("parentElement.open") is True


def test_a_tensor_in_the_map_leads_to_its_row(look: Look, bert_page: Path) -> None:
    page = look(bert_page)
    for name in ("bert, ", "embeddings, ", "word_embeddings, ", "word_embeddings itself, "):
        page.get_by_role("button", name=name, exact=False).first.press("Enter")
    assert rows(page, "tensors-table")[0][0] == "bert/embeddings/word_embeddings"
    assert page.evaluate("document.activeElement.closest('section').id") == "tensors"


@pytest.mark.parametrize(("scheme", "options"), [("light", {}), ("dark", {"runOnly": ["color-contrast"]})])
def test_axe_finds_nothing_to_complain_about(look: Look, bert_page: Path, scheme: Any, options: dict[str, Any]) -> None:
    page = look(bert_page, color_scheme=scheme)
    page.get_by_role("button", name="cls, ").click()
    for table in (
        "tensors-table",
        "mapping-table",
    ):  # one row of each kind: axe looks at every pair of things that overlap
        page.locator(f"#{table}-search").fill("pooler/dense/kernel")
    assert violations(page, **options) == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0] < 128")
    assert dark == (scheme == "dark")


@pytest.mark.parametrize("width", [360, 390])
def test_a_narrow_screen_scrolls_tables_and_not_the_page(
    look: Look, bert_page: Path, pair_page: Path, width: int
) -> None:
    for path in (bert_page, pair_page):
        page = look(path, viewport={"width": width, "height": 640})
        for details in page.locator("details").all():
            details.evaluate("(element) => (element.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = [tile.bounding_box() for tile in page.locator(".tile").all()]
        assert all(box is not None and box["x"] + box["width"] <= width for box in boxes)


def test_areas_fill_the_map_whatever_the_window_becomes(look: Look, bert_page: Path) -> None:
    page = look(bert_page, viewport={"width": 1200, "height": 800})
    page.set_viewport_size({"width": 390, "height": 800})
    deadline = time.monotonic() + PATIENCE  # it is drawn anew some time later, and lets nobody poll in it
    while (share := _share_of_map(page)) != pytest.approx(1, rel=0.02):
        assert time.monotonic() < deadline, share


def _processor_seconds(page: Page) -> float:
    """Return how much of the processor's time the page has taken, whatever else the machine does."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "ThreadTime"))


def _share_of_map(page: Page) -> float:
    """Return which part of the map its tiles fill."""
    whole = page.locator("#treemap").bounding_box()
    tiles = [tile.bounding_box() for tile in page.locator(".tile").all()]
    filled = sum(box["width"] * box["height"] for box in tiles if box)
    return filled / (whole["width"] * whole["height"]) if whole else 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_comparison(look: Look, pair_page: Path, scheme: Any) -> None:
    page = look(pair_page, color_scheme=scheme)
    for table in ("tensors-table", "comparison-table"):
        page.locator(f"#{table}-search").fill("pooler/dense/bias")
    assert violations(page) == []


def test_hostile_names_are_text(look: Look, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", HOSTILE)
    assert main(["report", str(tmp_path / "c"), "--to", "keras", "-o", str(tmp_path / "r.html")]) == 0
    page = look(tmp_path / "r.html")
    names = {row[0] for row in rows(page, "tensors-table")}
    assert names == {
        *(
            "a</script><script>window.pwned = 1</script>",
            "c/<b>bold</b>/&lt;",
            "{{ data }}",
            "__proto__/constructor",
            "//",
        ),
        'b"><img src="http://127.0.0.1/x" onerror="window.pwned = 1">',
        r"d\x00e\x1b[2J\u202egnp",
        r"f\udcff\udcfe",
    }
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img, main b, main script").count() == 0
    assert len(page.locator(".tile").all()) == 7  # one tensor has no bytes
    page.locator("#tensors-table-search").fill("*<script>*")
    assert len(rows(page, "tensors-table")) == 1


def test_the_policy_lets_no_other_script_run_and_nothing_be_loaded(look: Look, bert_page: Path) -> None:
    page = look(bert_page, asks=True)
    refused = page.evaluate(
        """async () => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.pwned = 1";
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(script, image);
            await fetch("http://127.0.0.1:9/").catch(() => null);
            await new Promise((resolve) => setTimeout(resolve, 50));
            return refused.sort();
        }"""
    )
    assert refused == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.pwned") is None


@pytest.mark.parametrize(("count", "last"), [(100, []), (101, ["and 1 more"]), (1102, ["and 1,002 more"])])
def test_what_is_wrong_beyond_a_hundred_is_counted(look: Look, tmp_path: Path, count: int, last: list[str]) -> None:
    tfckpt.save(tmp_path / "c", {f"w{n:04}": n for n in range(count)})
    (tmp_path / "c.data-00000-of-00001").write_bytes(b"!" * 8 * count)
    assert main(["report", str(tmp_path / "c"), "-o", str(tmp_path / "r.html")]) == 1
    said = look(tmp_path / "r.html").locator("#problems li").all_inner_texts()
    assert [f"'w{n:04}'" in text for n, text in enumerate(said[:100])] == [True] * 100
    assert said[100:] == last


def test_what_is_wrong_is_said_first(look: Look, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {"good": np.ones(4), "torn": np.arange(4.0), "zero": 0})
    with open(tmp_path / "c.data-00000-of-00001", "r+b") as file:
        file.seek(33)
        file.write(b"!")
    assert main(["report", str(tmp_path / "c"), "-o", str(tmp_path / "r.html")]) == 1
    page = look(tmp_path / "r.html")
    (problem,) = page.locator("#problems li").all_inner_texts()
    assert "'torn'" in problem
    assert "1 tensor cannot be read whole" in page.locator("#facts").inner_text()
    assert page.locator("#mapping").is_hidden()
    assert violations(page, runOnly=["color-contrast"]) == []


def test_a_table_of_many_rows_is_drawn_in_part_until_asked(look: Look, tmp_path: Path) -> None:
    tfckpt.save(tmp_path / "c", {f"list/{n}": n for n in range(250)})
    assert main(["report", str(tmp_path / "c"), "-o", str(tmp_path / "r.html")]) == 0
    page = look(tmp_path / "r.html")
    assert len(rows(page, "tensors-table")) == 200
    assert page.locator(".tile").count() == 200
    page.get_by_role("button", name="51 smaller ones").click()
    assert page.locator(".tile").count() == 51
    page.get_by_role("button", name="Show 250 rows").click()
    assert len(rows(page, "tensors-table")) == 250


def test_without_a_browser_ci_fails_and_others_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=MISSING.split(":")[0]):
        find_chromium("/nowhere")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        find_chromium("/nowhere")
