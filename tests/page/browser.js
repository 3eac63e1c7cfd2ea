// Debian's Chromium for the scripts beside this one: a page that is watched for errors, broken policies and foreign
// requests, and a line to the test that started it.

"use strict";

const { chromium } = require("playwright-core");
const path = require("node:path");
const readline = require("node:readline");

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// How long anything may take before it counts as never: a busy machine is slow, not wrong.
const NEVER_MS = 120000;

// What a daemon on a busy machine may answer to a look; the page asks again.
const BUSY = "429 (Too Many Requests)";

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Asks the test to do something or to tell the truth about the house; its answer is JSON. */
async function ask(what) {
  console.log(`ask ${what}`);
  const { value } = await answers.next();
  return JSON.parse(value);
}

function must(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** A new page at this address, in a profile of its own. */
async function open(browser, base, { width = 1440, height = 1000, scheme = "light", allowed = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce" });
  context.setDefaultTimeout(NEVER_MS);
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    const text = message.text();
    const counts = message.type() === "error" || message.type() === "warning";
    if (counts && ![...allowed, BUSY].some((word) => text.includes(word))) faults.push(`console: ${text}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error}`));
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(`${base}/`) && !url.startsWith("blob:")) faults.push(`foreign request: ${url}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy broken: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.goto(`${base}/`);
  page.wellBehaved = () => must(faults.length === 0, `no errors on the page, but ${faults.join("; ")}`);
  return page;
}

/** What the pages looked like when a claim failed: a picture of each, and a line of its state. */
async function witness(browser, pictures) {
  const pages = browser.contexts().flatMap((context) => context.pages());
  for (const [at, page] of pages.entries()) {
    const file = path.join(pictures, `failed-${path.basename(process.argv[1], ".js")}-${at}.png`);
    await page.screenshot({ path: file, timeout: 10000 });
    const state = await page.evaluate(() => `${document.body.dataset.live}: ${document.getElementById("notes").textContent}`);
    console.log(`see ${file} (${state})`);
  }
}

/** Runs a script with a browser and says `ok` at its end. */
function run(script) {
  const [, , base, pictures] = process.argv;
  (async () => {
    const browser = await chromium.launch({ executablePath: process.env.CONBUSD_CHROMIUM, args: FLAGS, timeout: NEVER_MS });
    try {
      await script({ browser, base, pictures });
    } catch (error) {
      await witness(browser, pictures).catch((fault) => console.log(`nothing to be seen: ${fault}`));
      throw error;
    } finally {
      await browser.close();
    }
  })().then(
    () => {
      console.log("ok");
      process.exit(0);
    },
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

const live = (page) => page.locator('body[data-live="live"]').waitFor();

/** Until the page has drawn what it was told so far. */
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

module.exports = { ask, drawn, live, must, open, run };
