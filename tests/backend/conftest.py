"""How long browsers are waited for: on a busy machine the five seconds that Playwright gives a page are not enough."""

from playwright.sync_api import expect

expect.set_options(timeout=20_000)  # ms
