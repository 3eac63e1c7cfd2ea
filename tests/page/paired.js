// A bridge that two controllers are paired with: the page says who they are, and shows no code any more.

"use strict";

const { live, must, open, run } = require("./browser.js");

run(async ({ browser, base }) => {
  const page = await open(browser, base);
  await live(page);
  await page.locator("#bridges .paired li", { hasText: "kitchen-phone may invite others" }).waitFor();
  await page.locator("#bridges .paired li", { hasText: "tablet guest" }).waitFor();
  must((await page.locator("#bridges .paired li").count()) === 2, "nobody else");
  must((await page.locator("#bridges .qr, #bridges .code").count()) === 0, "no code is shown any more");
  await page.locator("#bridges", { hasText: "0 controllers are connected." }).waitFor();
  page.wellBehaved();
});
