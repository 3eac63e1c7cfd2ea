// A house of its own process behind the daemon: a click reaches the lamp, a hand at the wall reaches the page, and a
// daemon that is gone is not shown as if it were there.

"use strict";

const path = require("node:path");
const { ask, live, must, open, run } = require("./browser.js");

const lamp = (page, id, more) => page.locator(`.lamp[data-id="${id}"]${more}`).waitFor();

run(async ({ browser, base, pictures }) => {
  const page = await open(browser, base, { allowed: ["net::ERR_", "503 (Service Unavailable)"] });
  await live(page);
  await lamp(page, "m1o0", '[data-on="false"][data-freshness="fresh"]');
  await page.getByRole("switch").first().click();
  await lamp(page, "m1o0", '[data-on="true"][data-freshness="fresh"]');
  must(await ask("output 1 0"), "a click on the page switches the emulated lamp");
  must(!(await ask("output 1 1")), "and no other");
  must(await page.locator("#walls").isHidden(), "there are no wall switches where no house is emulated");

  await ask("turn 2 3 on");
  await lamp(page, "m2o3", '[data-on="true"][data-freshness="fresh"]');

  await ask("cable out");
  await lamp(page, "m1o0", '[data-freshness="stale"]');
  await page.locator('#links li[data-state="up"]').waitFor({ state: "detached" });
  await page.locator('.lamp[data-id="m1o0"] .seen[data-of="stale"]', { hasText: "unconfirmed, " }).waitFor();
  await page.screenshot({ path: path.join(pictures, "cable.png") });
  await ask("cable in");
  await lamp(page, "m1o0", '[data-on="true"][data-freshness="fresh"]');

  await ask("daemon stop");
  await page.locator('body[data-live="lost"]').waitFor();
  await page.getByRole("alert").filter({ hasText: "cannot be heard" }).waitFor();
  must(await page.getByRole("switch").first().isDisabled(), "nothing can be switched");
  must(/home: not known/.test(await page.locator("#links").textContent()), "nobody knows of the link");
  const shown = () => page.locator('.lamp[data-id="m1o0"] .words').textContent();
  const then = await shown();
  must(/unconfirmed, /.test(then), `without a daemon nothing is vouched for: ${then}`);
  await page.waitForFunction((text) => document.querySelector('.lamp[data-id="m1o0"] .words').textContent !== text, then);
  await page.screenshot({ path: path.join(pictures, "lost.png") });

  await ask("daemon start");
  await live(page);
  await lamp(page, "m1o0", '[data-on="true"][data-freshness="fresh"]');
  must(await page.locator("#lost").isHidden(), "the alarm is over");
  await page.getByRole("switch").first().click();
  await lamp(page, "m1o0", '[data-on="false"][data-freshness="fresh"]');
  must(!(await ask("output 1 0")), "and it works again");
  page.wellBehaved();
});
