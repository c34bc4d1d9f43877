"""The console in a real browser: Debian's Chromium, which is installed by apt and driven by playwright.

Without it these tests fail; STRANDLINE_TEST_BROWSER=off skips them. STRANDLINE_TEST_SCREENSHOTS names a folder for the
pictures in the documentation.
"""

import os
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Request, sync_playwright

from strandline.console import serving
from strandline.consumer.database.readers import embedded_reader_url
from strandline.consumer.verification.digest import store_digest
from strandline.ledger.ledger import Ledger
from strandline.ledger.redaction import redact_revision
from tests.console.samples import PROJECTIONS, Store, seen

AXE = Path(sys.prefix) / "emulators" / "node_modules" / "axe-core" / "axe.min.js"
VERIFY_PROOF = Path(__file__).parents[2] / "docs/verify_proof.py"
SHOWN = ("health", "redactions", "receipt", "waiting", "model", "block", "query", "audit")
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1200, "height": 900}
RUN_AXE = "() => axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(each => each.html)]))"
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = "() => { const e = document.activeElement; e.dataset.met = '1'; return e.tagName }"
NOT_MET = """() =>
    [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
    .filter(e => e.dataset.met !== '1' && e.checkVisibility() && !e.disabled).map(e => e.outerHTML)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if os.environ.get("STRANDLINE_TEST_BROWSER") == "off":
        pytest.skip("STRANDLINE_TEST_BROWSER=off")
    found = shutil.which("chromium")
    if found is None:
        pytest.fail("There is no chromium: `make browser` installs Debian's (STRANDLINE_TEST_BROWSER=off skips this).")
    with sync_playwright() as playwright:
        # Root has no sandbox; every page is our own.
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@dataclass
class Visit:
    """A page, and what it said and asked for."""

    page: Page
    url: str
    messages: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.url + path)

    def quiet(self) -> None:
        """Nothing was logged, and nothing was asked of anybody else."""
        assert self.messages == []
        assert [one.url for one in self.requests if not one.url.startswith((self.url, "data:"))] == []


@pytest.fixture
def served(store: Store) -> Iterator[str]:
    """URL of a console, for a user of this machine."""
    settings = store.settings(
        console_analyst_url=embedded_reader_url(store.url, "analysts"),
        console_cleared_url=embedded_reader_url(store.url, "cleared"),
    )
    server = serving.open_server(settings, store.url, PROJECTIONS, serving.Options(listen="127.0.0.1:0"))
    server.start()
    yield server.url
    server.stop()
    assert server.join(30)


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    context: BrowserContext = browser.new_context(**{"viewport": WIDE, **options})
    visit = Visit(context.new_page(), url)
    visit.page.on("console", lambda message: visit.messages.append(message.text))
    visit.page.on("pageerror", lambda error: visit.messages.append(str(error)))
    visit.page.on("request", lambda request: visit.requests.append(request))
    try:
        yield visit
    finally:
        context.close()


def pages(store: Store) -> dict[str, str]:
    """The path of one page of each kind, by a name."""
    document, version = store.changed_document()
    redacted, _ = store.document("r.state = 'redacted'")
    return {
        "health": "/",
        "documents": "/documents",
        "document": f"/documents/{document}",
        "redacted": f"/documents/{redacted}",
        "proof": f"/documents/{document}/{version}/proof",
        "receipts-of-document": f"/documents/{redacted}/receipts",
        "verify": "/verify",
        "redactions": "/redactions",
        "receipts": "/receipts",
        "receipt": "/receipts/1",
        "waiting": "/waiting",
        "models": "/models",
        "model": "/models/licence_register",
        "blocks": "/blocks",
        "block": "/blocks/100",
        "query": "/query?model=licence_register",
        "partiql": "/query/partiql?table=Licence",
        "sources": "/sources",
        "audit": "/seen",
    }


def reveal(visit: Visit, document: str) -> None:
    visit.go(f"/documents/{document}")
    visit.page.get_by_role("button", name="Reveal all values").click()
    visit.page.wait_for_selector("[data-revealed]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_quiet_accessible_and_fits(browser: Browser, served: str, store: Store, scheme: Any) -> None:
    axe = AXE.read_text()
    with visiting(browser, served, color_scheme=scheme) as visit:
        document, _ = store.changed_document()
        for name, path in {**pages(store), "revealed": "", "answer": "", "partiql answer": ""}.items():
            if name == "revealed":
                reveal(visit, document)
            elif name == "answer":
                visit.go(pages(store)["query"])
                visit.page.get_by_role("button", name="Run", exact=True).click()
                visit.page.wait_for_selector("text=/[0-9]+ rows?/")
            elif name == "partiql answer":
                visit.go(pages(store)["partiql"])
                visit.page.get_by_label("PartiQL").press("Control+Enter")
                visit.page.wait_for_selector("text=/[0-9]+ rows?/")
            else:
                visit.go(path)
            visit.page.evaluate(axe)
            assert visit.page.evaluate(RUN_AXE) == [], name
            visit.page.set_viewport_size(NARROW)
            assert visit.page.evaluate(OVERFLOW) <= 0, name
            visit.page.set_viewport_size(WIDE)
        visit.quiet()


def test_screenshots(browser: Browser, served: str, store: Store, tmp_path: Path) -> None:
    folder = Path(os.environ.get("STRANDLINE_TEST_SCREENSHOTS") or tmp_path)
    folder.mkdir(exist_ok=True)
    with visiting(browser, served) as visit:
        shown = {name: pages(store)[name] for name in SHOWN}
        for name, path in shown.items():
            visit.go(path)
            visit.page.screenshot(path=folder / f"{name}.png")
        visit.go(pages(store)["partiql"])
        visit.page.get_by_label("PartiQL").fill("SELECT status, county, id FROM Licence AS l BY id WHERE county > 'N'")
        visit.page.get_by_label("PartiQL").press("Control+Enter")
        visit.page.wait_for_selector("text=/[0-9]+ rows?/")
        visit.page.screenshot(path=folder / "partiql.png")
        reveal(visit, store.changed_document()[0])
        visit.page.screenshot(path=folder / "document.png")
        visit.go(pages(store)["proof"])
        visit.page.get_by_label("or its base64").fill(b64encode(store_digest(store.url).digest).decode())
        visit.page.get_by_role("button", name="Verify").click()
        visit.page.wait_for_selector("text=The revision leads to the digest given")
        visit.page.screenshot(path=folder / "proof.png")
        visit.quiet()
    taken = {*shown, "partiql", "document", "proof"}
    assert {path.stem for path in folder.iterdir()} >= taken


def test_what_is_redacted_goes_from_an_open_page(browser: Browser, served: str, store: Store) -> None:
    document, changed = store.changed_document()
    with visiting(browser, served) as visit:
        reveal(visit, document)
        old, new = (
            visit.page.locator("ol.timeline > li").filter(has=visit.page.locator(f"h2:text-matches('Version {one} ')"))
            for one in (changed - 1, changed)
        )
        assert old.locator("table").count() == 1
        assert new.locator("del").count() >= 1
        with Ledger(store.url) as ledger:
            redact_revision(ledger, document, changed - 1)
        old.get_by_text("The data are erased").wait_for(timeout=15_000)
        assert old.locator("table").count() == 0
        assert new.locator("del").count() == 0  # its values were those of the version before
        assert new.locator("table").count() == 1
        visit.quiet()


def test_an_answer_goes_from_an_open_page(browser: Browser, served: str, store: Store) -> None:
    document, changed = store.changed_document()
    with visiting(browser, served) as visit:
        visit.go("/query/partiql?table=Licence")
        visit.page.get_by_label("PartiQL").press("Control+Enter")
        visit.page.wait_for_selector("text=/[0-9]+ rows?/")
        assert seen(store.payload, visit.page.content())
        with visit.page.expect_response("**/query/still*") as told:
            pass
        assert told.value.status == 204
        assert seen(store.payload, visit.page.content())
        with Ledger(store.url) as ledger:
            redact_revision(ledger, document, changed - 1)
        visit.page.get_by_text("run the query again").wait_for(timeout=15_000)
        assert seen(store.payload, visit.page.content()) == []
        visit.quiet()


def test_a_refresh_leaves_open_what_is_open(browser: Browser, served: str, store: Store) -> None:
    document, changed = store.changed_document()
    with visiting(browser, served) as visit:
        reveal(visit, document)
        visit.page.locator("#live summary").first.click()
        with visit.page.expect_response("**/reveal"):
            pass
        with visit.page.expect_response("**/reveal"):  # the first one is swapped in, the next is the same
            pass
        assert visit.page.locator("#live details").first.get_attribute("open") is not None
        with Ledger(store.url) as ledger:
            redact_revision(ledger, document, changed - 1)
        visit.page.get_by_text("The data are erased").last.wait_for(timeout=15_000)
        visit.quiet()


def test_back_shows_no_value(browser: Browser, served: str, store: Store) -> None:
    document, _ = store.changed_document()
    with visiting(browser, served) as visit:
        reveal(visit, document)
        assert seen(store.payload, visit.page.content())
        visit.go("/")
        for _ in range(2):
            # The answer to a POST is not kept: Chromium asks whether to send the form again.
            with suppress(Error):
                visit.page.go_back()
            visit.page.wait_for_timeout(300)
            assert seen(store.payload, visit.page.content()) == []
        kept = "() => JSON.stringify([{...localStorage}, {...sessionStorage}])"
        visit.go("/")
        assert visit.page.evaluate(kept) == "[{},{}]"


def test_a_failed_refresh_clears_what_was_revealed(browser: Browser, served: str, store: Store) -> None:
    document, _ = store.changed_document()
    with visiting(browser, served) as visit:
        reveal(visit, document)
        visit.page.route("**/reveal", lambda route: route.abort())
        visit.page.wait_for_selector("text=Hidden. Reload the page", timeout=15_000)
        assert seen(store.payload, visit.page.content()) == []


def test_a_proof_is_downloaded_and_checked(browser: Browser, served: str, store: Store, tmp_path: Path) -> None:
    digest = b64encode(store_digest(store.url).digest).decode()
    document, version = store.changed_document()
    with visiting(browser, served) as visit:
        visit.go(f"/documents/{document}")
        visit.page.get_by_role("link", name=f"Prove version {version}", exact=True).click()
        visit.page.get_by_label("or its base64").fill(digest)
        visit.page.get_by_role("button", name="Verify").click()
        with visit.page.expect_download() as download:
            visit.page.get_by_role("link", name=f"proof-{document}").click()
        download.value.save_as(tmp_path / "bare.json")
        with visit.page.expect_download() as download:
            visit.page.get_by_role("button", name="Download it with the data").click()
        download.value.save_as(tmp_path / "full.json")
        visit.quiet()
    for name in ("bare.json", "full.json"):
        command = [sys.executable, str(VERIFY_PROOF), str(tmp_path / name), "--digest", digest]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_polling_stops_while_the_page_is_not_seen(browser: Browser, served: str) -> None:
    with visiting(browser, served) as visit:
        visit.page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.notSeen === true})")
        visit.go("/")

        def polls(seconds: float) -> int:
            before = len(visit.requests)
            visit.page.wait_for_timeout(seconds * 1000)
            return len(visit.requests) - before

        assert polls(4) >= 1
        visit.page.evaluate("() => { window.notSeen = true }")
        visit.page.wait_for_timeout(500)
        assert polls(4) == 0
        before = len(visit.requests)
        visit.page.evaluate("() => { window.notSeen = false; document.dispatchEvent(new Event('visibilitychange')) }")
        visit.page.wait_for_timeout(500)
        assert len(visit.requests) > before
        visit.go("/?every=0")
        assert polls(3) == 0
        visit.quiet()


def test_the_keyboard_reaches_everything(browser: Browser, served: str, store: Store) -> None:
    with visiting(browser, served) as visit:
        for name in ("document", "proof", "model", "verify"):
            visit.go(pages(store)[name] + "?every=0")
            for _ in range(120):
                visit.page.keyboard.press("Tab")
                if visit.page.evaluate(FOCUSED) == "BODY":
                    break
            assert visit.page.evaluate(NOT_MET) == [], name
        visit.go("/")
        visit.page.keyboard.press("/")
        visit.page.keyboard.type("12")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("**/blocks/12")


def test_it_works_without_javascript(browser: Browser, served: str, store: Store) -> None:
    document, version = store.changed_document()
    with visiting(browser, served, java_script_enabled=False) as visit:
        visit.go(f"/documents/{document}")
        assert seen(store.payload, visit.page.content()) == []
        visit.page.get_by_role("button", name="Reveal all values").click()
        visit.page.wait_for_load_state()
        assert seen(store.payload, visit.page.content())
        visit.page.get_by_role("link", name=f"Prove version {version}", exact=True).click()
        visit.page.get_by_role("button", name="Verify").click()
        visit.page.wait_for_selector("text=The revision leads to")
        visit.page.get_by_label("Block number or document id").fill("7")
        visit.page.get_by_role("button", name="Go").click()
        visit.page.wait_for_url("**/blocks/7")
        visit.page.get_by_role("button", name="Recompute its hashes").click()
        visit.page.wait_for_selector("text=it holds")
