// The page of the shipped, emulated house: wall switches, keyboard, telegrams, widths, themes, and how it looks.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { drawn, live, must, open, run } = require("./browser.js");

const PROMISED_MS = 200;
// Half of a series must keep the promise; on a busy machine a series is repeated, at most so often.
const PRESSES = 15;
const SERIES_MAX = 8;
const BUSY_MS = 20;

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

/** How long an answer that needs nobody takes: next to nothing where the machine is free. */
const answerTakes = (page) =>
  page.evaluate(async () => {
    const begun = performance.now();
    await fetch("/livez", { cache: "no-store" });
    return performance.now() - begun;
  });

const median = (values) => [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)];

async function wallsMoveThePage(page) {
  const told = [];
  let isKept = false;
  for (let series = 0; !isKept && series < SERIES_MAX; series += 1) {
    const [took, answers] = [[], []];
    while (took.length < PRESSES) {
      answers.push(await answerTakes(page));
      took.push(await pressAndSee(page, 1, "salon_ceiling"));
      await page.waitForTimeout(250);
    }
    told.push(`${median(took).toFixed(0)} ms, ${median(answers).toFixed(0)} ms an answer`);
    // The way from key to page is two of those: a machine that is too busy for them is not held against the daemon.
    const late = series + 1 < SERIES_MAX || median(answers) < BUSY_MS ? 0 : 2 * median(answers);
    isKept = median(took) <= PROMISED_MS + late;
  }
  must(isKept, `half of the presses move the page within ${PROMISED_MS} ms; the medians were ${told.join("; ")}`);
  console.log(`half of ${PRESSES} presses moved the page within ${told.at(-1)} (series ${told.length})`);
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
  for (const level of ["10 %", "20 %", "30 %"]) {
    await page.keyboard.press("PageUp");
    const there = page.locator('.lamp[data-id="salon_wall"][data-on="true"][data-freshness="fresh"] .value');
    await there.filter({ hasText: level }).waitFor();
  }
}

async function everyLampKnowsWhoSwitchedIt(page) {
  const lamp = page.locator('.lamp[data-id="porch_lantern"]');
  await lamp.locator("summary").click();
  // The wish itself closes a moment after the lamp is seen to be on.
  const told = lamp.locator(".history li").first().filter({ hasText: /^on in \d+ ms – page 127\.0\.0\.1, / });
  await told.waitFor();
  must((await told.getAttribute("title")).startsWith("sent <S"), "with its telegrams");
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
  await pressed.locator("summary").click();
  const scene = page.locator('.lamp[data-kind="scene"]');
  must((await scene.locator(".words").textContent()) === "ready", "a scene is no lamp of which something is not known");
}

async function telegramsAreReadable(page) {
  const rows = page.locator("#telegram-list li");
  await page.fill("#filter", "salon ceiling");
  await drawn(page);
  await rows.first().waitFor();
  for (const text of await rows.allTextContents()) must(text.includes("Salon ceiling"), `${text} was filtered`);
  await page.fill("#filter", "");
  await page.selectOption("#kind", "event");
  await drawn(page);
  await rows.first().waitFor();
  must((await page.locator('#telegram-list li:not([data-kind="event"])').count()) === 0, "events only");
  await page.selectOption("#kind", "");
  await page.click("#pause");
  await drawn(page);
  const before = await rows.allTextContents();
  await pressAndSee(page, 0, "entrance_ceiling");
  await page.waitForFunction(() => /more since/.test(document.getElementById("telegram-count").textContent));
  await drawn(page);
  must((await rows.allTextContents()).join() === before.join(), "a paused list stays");
  await page.click("#pause");
  // The list is full some time; its newest line is another one whenever it goes on.
  await page.waitForFunction((line) => document.querySelector("#telegram-list li").textContent !== line, before[0]);
}

async function everythingIsThere(page) {
  must((await page.locator(".lamp").count()) === 26, "24 lamps, a group and a scene");
  await page.waitForFunction(() => document.querySelectorAll("#module-rows tr").length === 9);
  await page.locator("#bridges .qr").waitFor();
  await page.locator("#vitals .good").first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll('#charts .line[d^="M"]').length === 3);
}

/** What a tool finds that knows the rules of accessibility: roles, names, contrast. It looks at a page that is live all
 * the time: a lost one is grey, and a busy machine loses one for a moment. */
async function everybodyCanUseIt(page, where) {
  await page.evaluate(fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  let found = null;
  while (!found) {
    await live(page);
    await page.waitForFunction(() => document.getElementById("notes").childElementCount === 0);
    found = await page.evaluate(async () => {
      let stays = true;
      const watch = new MutationObserver(() => {
        stays = false;
      });
      watch.observe(document.body, { attributes: true, attributeFilter: ["data-live"] });
      const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
      watch.disconnect();
      return stays ? violations : null;
    });
  }
  const violations = found;
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
  await page.locator("#module-rows tr th").first().waitFor();
  await page.locator("#vitals .good").first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll('#charts .line[d^="M"]').length > 0);
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
