"""The status page in headless Chromium, before made-up figures and sessions.

The fixture's sessions hold markup, scripts, bidirectional controls, NUL and
8-bit bytes: all of it must be shown, and none of it may do anything. With
WEIR_SCREENSHOTS=DIRECTORY the page is also photographed there.
"""

import json
import os
import pathlib
import subprocess
import urllib.request

import pytest

pytest.importorskip("selenium")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("top_builddir", ROOT / "build"))
FIXTURE = BUILD / "tests/unit/service/status_fixture"
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
WAIT_S = 15

if not os.path.exists(DRIVER) or not os.path.exists(CHROMIUM):
    pytest.skip("apt-get install chromium chromium-driver",
                allow_module_level=True)
if not FIXTURE.exists():
    pytest.skip(f"{FIXTURE} is not built: make check builds it",
                allow_module_level=True)


class Fixture:
    def __init__(self, directory, how):
        self.process = subprocess.Popen(
            [FIXTURE, directory, how], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.url
        self.url = self.url.replace("//0.0.0.0:", "//127.0.0.1:")

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def weir(tmp_path_factory):
    fixture = Fixture(tmp_path_factory.mktemp("status"), "live")
    yield fixture
    fixture.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ["--headless=new", "--disable-gpu", "--disable-quic",
                     "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync",
                     "--hide-scrollbars",
                     f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def wait(browser, script):
    """Until the script, an expression, is true; returns its value."""
    return WebDriverWait(browser, WAIT_S, 0.1).until(
        lambda b: b.execute_script(f"return {script}"), script)


def look(browser, width=1440, height=1000, scheme="light"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": 1,
        "mobile": width < 600})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": scheme}]})


def photograph(browser, name):
    directory = os.environ.get("WEIR_SCREENSHOTS")
    if directory:
        os.makedirs(directory, exist_ok=True)
        assert browser.save_screenshot(f"{directory}/{name}.png")


def open_page(browser, url):
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(url)
    wait(browser, "document.querySelector('#health').classList"
         ".contains('good') || document.querySelector('#health')"
         ".classList.contains('warn')")


def open_session(browser, weir, text):
    """The transcript of the first session that the search finds."""
    sessions = weir.get(f"api/v1/sessions?q={text}")
    assert sessions
    browser.execute_script(f"location.hash = 'session={sessions[0]['id']}'")
    wait(browser, "document.querySelectorAll('.line-list li').length > 5")


def assert_quiet(browser):
    """Nothing on the console (CSP reports there), and nothing ran."""
    assert [entry for entry in browser.get_log("browser")
            if entry["source"] != "recommendation"] == []
    assert browser.execute_script("return window.owned") is None
    assert "owned" not in browser.title
    assert browser.execute_script(
        "return document.querySelectorAll('main img, dialog img, "
        "main script, dialog script').length") == 0


def test_overview(browser, weir):
    look(browser)
    open_page(browser, weir.url)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " === 50")
    text = browser.find_element(By.TAG_NAME, "body").text
    for part in ["mail-out-1.example.net", "Ready", "Open sessions",
                 "Delivered", "Deferred", "Rejected", "reputation",
                 "unix:/run/weir/reputation.sock", "circuit open",
                 "Policy archive is down", "203.0.113.10", "out.example.net",
                 "big-provider.example", "throttled", "25 %",
                 "Source address 203.0.113.11 of pool clean is out: "
                 "interface eth1 is down.", "timeout 62", "127.0.0.1:10025",
                 "fixed to 192.0.2.25:25", "anna.lindqvist@example.com",
                 "delivered", "Times are in "]:
        assert part in text, part
    assert browser.title == "weir on mail-out-1.example.net"
    assert_quiet(browser)


def test_rates_come_from_polls(browser, weir):
    look(browser)
    open_page(browser, weir.url)
    rate = "document.querySelector('.tile.delivered .rate').textContent"
    assert wait(browser, f"/^[0-9.,]+\\/s now$/.test({rate}) && {rate}")
    wait(browser, "document.querySelector('.tile.delivered .spark .line')"
         " !== null")
    assert_quiet(browser)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width,height", [(360, 780), (1440, 1000),
                                          (2560, 1300)])
def test_sizes_and_schemes(browser, weir, scheme, width, height):
    look(browser, width, height, scheme)
    open_page(browser, weir.url)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " > 0")
    wait(browser, "document.querySelector('.spark .line') !== null")
    background = browser.execute_script(
        "return getComputedStyle(document.body).backgroundColor")
    light = sum(int(n) for n in background[4:-1].split(",")) > 384
    assert light == (scheme == "light")
    # No sideways scrolling.
    assert browser.execute_script(
        "return document.documentElement.scrollWidth") <= width
    # Beside the reason why an address is out, its badge keeps its height.
    assert all(height < 40 for height in browser.execute_script(
        "return [...document.querySelectorAll('.badge')]"
        ".map(e => e.getBoundingClientRect().height)"))
    photograph(browser, f"page-{scheme}-{width}")
    browser.execute_script(
        "document.getElementById('sessions-title').scrollIntoView()")
    photograph(browser, f"sessions-{scheme}-{width}")
    open_session(browser, weir, "anna")
    assert browser.execute_script(
        "return document.getElementById('session').scrollWidth") <= width
    photograph(browser, f"session-{scheme}-{width}")
    browser.execute_script("const d = document.getElementById('session');"
                           "d.scrollTop = d.scrollHeight")
    photograph(browser, f"transcript-{scheme}-{width}")
    assert_quiet(browser)


def test_hostile_text_is_text(browser, weir):
    look(browser)
    open_page(browser, weir.url)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " > 0")
    table = browser.find_element(By.ID, "sessions").text
    assert "<img src=x onerror=" in table
    assert "<script>window.owned=1</script>@x.example" in table
    # A policy server's own words, too.
    assert "<script>window.owned=1</script>" in browser.find_element(
        By.ID, "policies").text
    open_session(browser, weir, "evil.example")
    dialog = browser.find_element(By.ID, "session").text
    assert "MAIL FROM:<<img src=x onerror=\"document.title='owned'\">" \
        in dialog
    assert "uid 1001, pid 4711, php-fpm: pool" in dialog
    assert "/system.slice/<img src=x onerror=" in dialog
    assert "the operator blocked <img src=x" in dialog
    assert "blocklist/<script>window.owned=1</script>" in dialog
    assert "for <img src=x" in dialog
    assert "it refused EHLO: 550 <img src=x" in dialog
    assert "rule pool/<script>window.owned=1</script>" in dialog
    photograph(browser, "hostile")
    browser.find_element(By.ID, "session-close").click()
    open_session(browser, weir, "anna")
    dialog = browser.find_element(By.ID, "session").text
    subject = next(line for line in dialog.splitlines()
                   if line.startswith("Subject: "))
    assert subject.startswith("Subject: <script>window.owned=1</script> a")
    assert "café" in subject and "\\xff" in subject
    for control in "\x00\x1b\u202e\u202c":
        assert control not in dialog
    assert_quiet(browser)


def test_session(browser, weir):
    look(browser)
    open_page(browser, weir.url)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " > 0")
    row = browser.find_element(By.CSS_SELECTOR, "#sessions tbody button")
    row.send_keys(Keys.ENTER)		# by keyboard
    wait(browser, "document.querySelectorAll('.line-list li').length > 5")
    dialog = browser.find_element(By.ID, "session").text
    for part in ["ended by QUIT", "192.0.2.10:52114", "TLS1.3, AES-256-GCM",
                 "verified chain", "for customer.example: success (tlsa)",
                 "client → MX", "weir → MX", "weir ← MX",
                 "client ← weir", "reputation at rcpt: relay",
                 "footer at rcpt: timeout, so relay", "no answer in 2 s",
                 "DATA", "QUIT", "49.1 kB from the client",
                 "queued as 4XkQ2f1Zz9",
                 "from 192.0.2.11 to 198.51.100.10:2525",
                 "moved from any address to 198.51.100.9 port 25 as client."
                 "example.com, to 192.0.2.11 to 198.51.100.10 port 2525 as "
                 "out2.example.com, rule pool/", "took 123 ms, 6 round trips"
                 ]:
        assert part in dialog, part
    # Not in the middle of the reply that was read meanwhile.
    rows = browser.execute_script("return [...document.querySelectorAll("
                                  "'.line-list li')].map(e => e.innerText)")
    moved = next(i for i, row in enumerate(rows) if "moved from" in row)
    assert "250 HELP" in rows[moved - 1], rows
    # Escape closes it, and the keyboard is where it was.
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    wait(browser, "!document.getElementById('session').open")
    assert browser.switch_to.active_element.get_attribute("data-id")
    assert browser.execute_script("return location.hash") == ""
    assert_quiet(browser)


def test_search_and_pages(browser, weir):
    look(browser)
    open_page(browser, weir.url)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " === 50")
    search = browser.find_element(By.ID, "search")
    search.send_keys("evil.example")
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " === 15")
    search.send_keys("<no such>")
    wait(browser, "document.getElementById('sessions-note').textContent"
         ".startsWith('No session matches')")
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys(Keys.DELETE)
    wait(browser, "!document.getElementById('older').hidden")
    first = browser.find_element(By.CSS_SELECTOR,
                                 "#sessions tbody tr").text
    browser.find_element(By.ID, "older").click()
    wait(browser, "!document.getElementById('newest').hidden")
    assert browser.find_element(By.CSS_SELECTOR,
                                "#sessions tbody tr").text != first
    browser.find_element(By.ID, "newest").click()
    wait(browser, "document.getElementById('newest').hidden")
    assert_quiet(browser)


def test_labels(browser, weir):
    look(browser)
    open_page(browser, weir.url)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " > 0")
    nameless = browser.execute_script("""
        return [...document.querySelectorAll('input, button, a')].filter(
            (e) => !(e.getAttribute('aria-label') || e.textContent.trim() ||
                document.querySelector(`label[for="${e.id}"]`)))
            .map((e) => e.outerHTML)""")
    assert nameless == []
    assert browser.execute_script(
        "return document.documentElement.lang") == "en"
    assert_quiet(browser)


def test_empty(browser, tmp_path):
    weir = Fixture(tmp_path, "empty")
    look(browser)
    open_page(browser, weir.url)
    wait(browser, "document.getElementById('sessions-note').textContent"
         ".startsWith('No session yet')")
    assert "No policy is configured" in browser.find_element(
        By.ID, "policies").text
    for card in ("sources-card", "treatment-card"):
        assert not browser.find_element(By.ID, card).is_displayed()
    photograph(browser, "empty")
    assert_quiet(browser)
    # And when weir goes away, the page says so.
    weir.stop()
    wait(browser, "document.getElementById('health').textContent"
         " === 'No answer'")
    assert "weir does not answer" in browser.find_element(
        By.ID, "alerts").text
    photograph(browser, "gone")


def test_token(browser, tmp_path):
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "token").chmod(0o600)
    weir = Fixture(tmp_path, "token")
    look(browser, 360, 780)
    browser.get(weir.url)
    wait(browser, "!document.getElementById('token').hidden")
    assert "Token needed" in browser.find_element(By.ID, "health").text
    field = browser.find_element(By.ID, "token-value")
    field.send_keys("wrong", Keys.ENTER)
    wait(browser, "document.getElementById('alerts').textContent"
         ".includes('not the one in status.token_file')")
    photograph(browser, "token")
    assert not browser.find_element(By.ID, "policies-title").is_displayed()
    field.send_keys("s3cret", Keys.ENTER)
    wait(browser, "document.querySelectorAll('#sessions tbody tr').length"
         " > 0 && document.getElementById('token').hidden")
    assert "s3cret" not in browser.find_element(By.TAG_NAME, "body").text
    weir.stop()


def test_size(weir):
    total = 0
    for path in ["", "page.css", "page.js"]:
        with urllib.request.urlopen(weir.url + path, timeout=10) as answer:
            total += len(answer.read())
    assert total < 300 * 1024
