// A house of its own process behind the daemon: a click reaches the lamp, a hand at the wall reaches the page, and a
// daemon that is gone, or stands still, is not shown as if it were there.

"use strict";

const path = require("node:path");
const { ask, live, must, open, run } = require("./browser.js");

const lamp = (page, id, more) => page.locator(`.lamp[data-id="${id}"]${more}`).waitFor();

/** The sign and the words of a lamp's freshness: they have to do without any colour. */
const look = (page, id) =>
  page.evaluate((lamp) => {
    const row = document.querySelector(`.lamp[data-id="${lamp}"]`);
    const sign = row.querySelector(".sign use").getAttribute("href");
    return { sign, words: row.querySelector(".words").textContent, line: getComputedStyle(row).borderTopStyle };
  }, id);

/** A page that a person leaves, and comes back to; of the half minute before it rests nothing is waited for. */
async function leave(browser, base) {
  const page = await open(browser, base, { allowed: ["net::ERR_", "503 (Service Unavailable)"] });
  await live(page);
  await page.evaluate(() => {
    const later = window.setTimeout;
    window.setTimeout = (then, ms, ...more) => later(then, ms === 30000 ? 0 : ms, ...more);
  });
  const look = (hidden) =>
    page.evaluate((is) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await look(true);
  await page.locator('body[data-live="connecting"]').waitFor();
  return { page, comeBack: () => look(false) };
}

const greyed = (page) =>
  page.evaluate(() => {
    const { filter, opacity } = getComputedStyle(document.querySelector("main"));
    return filter.includes("grayscale(1)") && Number(opacity) < 1;
  });

run(async ({ browser, base, pictures }) => {
  const page = await open(browser, base, { allowed: ["net::ERR_", "503 (Service Unavailable)", "504 (Gateway Timeout)"] });
  await live(page);
  await lamp(page, "m1o0", '[data-on="false"][data-freshness="fresh"]');
  await page.getByRole("switch").first().click();
  await lamp(page, "m1o0", '[data-on="true"][data-freshness="fresh"]');
  must(await ask("output 1 0"), "a click on the page switches the emulated lamp");
  must(!(await ask("output 1 1")), "and no other");
  must(await page.locator("#walls").isHidden(), "there are no wall switches where no house is emulated");

  await ask("turn 2 3 on");
  await lamp(page, "m2o3", '[data-on="true"][data-freshness="fresh"]');

  must(!(await greyed(page)), "a page that is live has its colours");
  const fresh = await look(page, "m1o0");
  await ask("cable out");
  await lamp(page, "m1o0", '[data-freshness="stale"]');
  await page.locator('#links li[data-state="up"]').waitFor({ state: "detached" });
  await page.locator('.lamp[data-id="m1o0"] .seen[data-of="stale"]', { hasText: "unconfirmed, " }).waitFor();
  await page.screenshot({ path: path.join(pictures, "cable.png") });
  const stale = await look(page, "m1o0");
  await ask("cable in");
  await lamp(page, "m1o0", '[data-on="true"][data-freshness="fresh"]');

  await ask("daemon freeze");
  await page.locator('body[data-live="lost"]').waitFor();
  must(await greyed(page), "a daemon that stands still is shown as lost");
  await ask("daemon thaw");
  await live(page);

  const left = await leave(browser, base);
  await ask("daemon stop");
  await left.comeBack();
  await left.page.locator('body[data-live="lost"]').waitFor();
  await left.page.context().close();
  await page.locator('body[data-live="lost"]').waitFor();
  await page.getByRole("alert").filter({ hasText: "cannot be heard" }).waitFor();
  must(await page.getByRole("switch").first().isDisabled(), "nothing can be switched");
  must(await greyed(page), "and it is grey");
  must(/home: not known/.test(await page.locator("#links").textContent()), "nobody knows of the link");
  const shown = () => page.locator('.lamp[data-id="m1o0"] .words').textContent();
  const then = await shown();
  must(/unconfirmed, /.test(then), `without a daemon nothing is vouched for: ${then}`);
  await page.waitForFunction((text) => document.querySelector('.lamp[data-id="m1o0"] .words').textContent !== text, then);
  await page.screenshot({ path: path.join(pictures, "lost.png") });

  await ask("module silent");
  await ask("module faulty");
  await ask("daemon start");
  await live(page);
  await page.locator('#module-rows tr[data-serial="0012345001"]', { hasText: "code 0A" }).waitFor();
  await lamp(page, "m2o0", '[data-on="unknown"][data-freshness="unknown"]');
  const unknown = await look(page, "m2o0");
  must(unknown.words === "not known" && /\?/.test(await page.locator('.lamp[data-id="m2o0"] .value').textContent()), "nobody knows");
  await page.locator('.lamp[data-id="m2o0"] .switch').click();
  await lamp(page, "m2o0", '[data-freshness="pending"]');
  const pending = await look(page, "m2o0");
  must(pending.words === "switching…", `a lamp that is waited for says so: ${pending.words}`);
  const looks = [fresh, stale, unknown, pending];
  must(new Set(looks.map((one) => one.sign)).size === 4, "each freshness has a sign of its own");
  must(looks.slice(1).every((one) => one.line !== fresh.line || one.words !== fresh.words), "and another line or other words");
  await page.locator("#notes p").first().waitFor();
  await ask("module speaks");
  await lamp(page, "m1o0", '[data-on="true"][data-freshness="fresh"]');
  must(await page.locator("#lost").isHidden(), "the alarm is over");
  await page.getByRole("switch").first().click();
  await lamp(page, "m1o0", '[data-on="false"][data-freshness="fresh"]');
  must(!(await ask("output 1 0")), "and it works again");
  page.wellBehaved();
});
