// The page of the shipped, emulated house: wall switches, keyboard, telegrams, widths, themes, and how it looks.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { live, must, open, run } = require("./browser.js");

const PROMISED_MS = 200;
const TRIES = 25;

/** Presses a key of the wall and waits in the page until the lamp shows another state; how long that took, in ms. */
const pressAndSee = (page, input, lamp) =>
  page.evaluate(
    ([key, id]) =>
      new Promise((done) => {
        const row = document.querySelector(`.lamp[data-id="${id}"]`);
        const before = row.dataset.on;
        const begun = performance.now();
        const seen = new MutationObserver(() => {
          if (row.dataset.on === before) return;
          seen.disconnect();
          done(performance.now() - begun);
        });
        seen.observe(row, { attributes: true });
        setTimeout(() => done(Infinity), 3000);
        document.querySelector(`.key[data-input="${key}"]`).click();
      }),
    [input, lamp],
  );

async function wallsMoveThePage(page) {
  let best = Infinity;
  for (let time = 0; time < TRIES && best > PROMISED_MS; time += 1) {
    best = Math.min(best, await pressAndSee(page, 1, "salon_ceiling"));
    await page.waitForTimeout(250);
  }
  must(best <= PROMISED_MS, `a wall switch moves the page within ${PROMISED_MS} ms; the best took ${best}`);
  console.log(`a wall switch moved the page within ${best.toFixed(0)} ms`);
}

async function keysAreEnough(page) {
  const lamp = page.locator('.lamp[data-id="porch_lantern"]');
  const control = lamp.getByRole("switch", { name: "Porch lantern" });
  await control.focus();
  await page.keyboard.press("Space");
  await page.locator('.lamp[data-id="porch_lantern"][data-on="true"][data-freshness="fresh"]').waitFor();
  must((await control.getAttribute("aria-checked")) === "true", "the switch is told as on");
  const focused = await page.evaluate(() => document.activeElement.closest(".lamp")?.dataset.id);
  must(focused === "porch_lantern", "the focus stays where it was");
  const outline = await control.evaluate((element) => getComputedStyle(element).outlineStyle);
  must(outline === "solid", "the focus is seen");
  const slider = page.getByRole("slider", { name: "Brightness of Wall washers" });
  await slider.focus();
  for (let step = 0; step < 3; step += 1) await page.keyboard.press("PageUp");
  await page.locator('.lamp[data-id="salon_wall"][data-on="true"][data-freshness="fresh"]').waitFor();
  await page.waitForFunction(() => document.querySelector('.lamp[data-id="salon_wall"] .value').textContent === "30 %");
}

async function everyLampKnowsWhoSwitchedIt(page) {
  const lamp = page.locator('.lamp[data-id="porch_lantern"]');
  await lamp.locator("summary").click();
  const lines = lamp.locator(".history li");
  await lines.first().waitFor();
  const text = await lines.first().textContent();
  must(/^on in \d+ ms – page 127\.0\.0\.1, /.test(text), `the page switched it, but it says ${text}`);
  must((await lines.first().getAttribute("title")).startsWith("sent <S"), "with its telegrams");
  await lamp.locator("summary").click();
  const pressed = page.locator('.lamp[data-id="salon_ceiling"]');
  await pressed.locator("summary").click();
  await pressed.locator('.history li[data-by="wall"]').first().waitFor();
  await pressAndSee(page, 1, "salon_ceiling");
  await page.waitForFunction(() => {
    const lamp = document.querySelector('.lamp[data-id="salon_ceiling"]');
    const line = lamp.querySelector(".history li").textContent;
    return /wall: XP20 \d{10} input 1/.test(line) && line.startsWith(lamp.dataset.on === "true" ? "on" : "off");
  });
  console.log(`the newest line: ${await pressed.locator(".history li").first().textContent()}`);
}

async function telegramsAreReadable(page) {
  const rows = page.locator("#telegram-list li");
  await page.fill("#filter", "salon ceiling");
  await page.locator("#telegram-list li").first().waitFor();
  for (const text of await rows.allTextContents()) must(text.includes("Salon ceiling"), `${text} was filtered`);
  await page.fill("#filter", "");
  await page.selectOption("#kind", "event");
  await page.waitForFunction(() => !document.querySelector('#telegram-list li:not([data-kind="event"])'));
  await page.selectOption("#kind", "");
  await page.click("#pause");
  const before = await rows.count();
  await pressAndSee(page, 0, "entrance_ceiling");
  await page.waitForFunction(() => /more since/.test(document.getElementById("telegram-count").textContent));
  must((await rows.count()) === before, "a paused list stays");
  await page.click("#pause");
  await page.waitForFunction((count) => document.querySelectorAll("#telegram-list li").length > count, before);
}

async function everythingIsThere(page) {
  must((await page.locator(".lamp").count()) === 26, "24 lamps, a group and a scene");
  must((await page.locator("#module-rows tr").count()) === 9, "9 modules");
  must(await page.locator("#bridges .qr").isVisible(), "the code for a camera");
  must((await page.locator("#vitals .good").count()) > 0, "vitals");
  await page.waitForFunction(() => document.querySelectorAll("#charts .line[d]").length > 0);
}

/** What a tool finds that knows the rules of accessibility: roles, names, contrast. */
async function everybodyCanUseIt(page, where) {
  await page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const words = violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target} (${node.failureSummary})`).slice(0, 3).join(", ")}`);
  must(words.length === 0, `no barriers (${where}), but ${words.join("; ")}`);
}

async function fitsThePhone(browser, base, scheme, pictures) {
  const page = await open(browser, base, { width: 390, height: 844, scheme });
  await live(page);
  await page.locator(".key").first().waitFor();
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  must(over <= 0, `nothing stands out of a phone, but ${over} pixels do`);
  const small = await page.evaluate(() =>
    [...document.querySelectorAll(".switch, .key, nav a:not([hidden])")].filter((one) => one.getBoundingClientRect().height < 24).length,
  );
  must(small === 0, "everything is large enough for a finger");
  await page.waitForTimeout(2500);
  await everybodyCanUseIt(page, `phone, ${scheme}`);
  await page.screenshot({ path: path.join(pictures, `phone-${scheme}.png`) });
  page.wellBehaved();
  await page.context().close();
}

run(async ({ browser, base, pictures }) => {
  const page = await open(browser, base, { width: 1280, height: 900 });
  await live(page);
  await page.locator('.lamp[data-id="study_desk"][data-freshness="fresh"]').waitFor();
  await page.locator(".key").first().waitFor();
  await page.keyboard.press("Tab");
  must(await page.evaluate(() => document.activeElement.className === "skip"), "the first stop leads past the head");
  await wallsMoveThePage(page);
  await keysAreEnough(page);
  await everyLampKnowsWhoSwitchedIt(page);
  await telegramsAreReadable(page);
  for (const key of [2, 3, 5]) await page.click(`.key[data-input="${key}"]`);
  await page.locator('.lamp[data-id="bedroom_bedside_left"][data-on="true"][data-freshness="fresh"]').waitFor();
  await page.waitForTimeout(1000 * Number(process.env.CONBUSD_PAGE_LINGER ?? 4));
  await everythingIsThere(page);
  await everybodyCanUseIt(page, "desktop, light");
  await page.evaluate(() => document.activeElement.blur());
  await page.mouse.move(0, 0);
  await page.screenshot({ path: path.join(pictures, "desktop-light.png") });
  await page.screenshot({ path: path.join(pictures, "whole-light.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await everybodyCanUseIt(page, "desktop, dark");
  await page.screenshot({ path: path.join(pictures, "desktop-dark.png") });
  page.wellBehaved();
  await page.context().close();
  await fitsThePhone(browser, base, "light", pictures);
  await fitsThePhone(browser, base, "dark", pictures);
});
