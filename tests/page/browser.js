// Debian's Chromium for the scripts beside this one: a page that is watched for errors, broken policies and foreign
// requests, and a line to the test that started it.

"use strict";

const { chromium } = require("playwright-core");
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
  const page = await context.newPage();
  const faults = [];
  page.on("console", (message) => {
    const text = message.text();
    const counts = message.type() === "error" || message.type() === "warning";
    if (counts && !allowed.some((word) => text.includes(word))) faults.push(`console: ${text}`);
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

/** Runs a script with a browser and says `ok` at its end. */
function run(script) {
  const [, , base, pictures] = process.argv;
  (async () => {
    const browser = await chromium.launch({ executablePath: process.env.CONBUSD_CHROMIUM, args: FLAGS });
    try {
      await script({ browser, base, pictures });
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

module.exports = { ask, live, must, open, run };
