// A door with a token: the page asks for it, a wrong one is told, the right one opens it and stays in the tab.

"use strict";

const { ask, live, must, open, run } = require("./browser.js");

run(async ({ browser, base }) => {
  const { token } = await ask("token");
  const page = await open(browser, base, { allowed: ["401 (Unauthorized)"] });
  const dialog = page.getByRole("dialog", { name: "This house asks for a token" });
  await dialog.waitFor();
  must((await page.locator(".lamp").count()) === 0, "nothing of the house is told without the token");
  await page.getByLabel("Token", { exact: true }).fill("wrong-wrong-wrong-wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").filter({ hasText: "This is not the token." }).waitFor();
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.keyboard.press("Enter");
  await live(page);
  await dialog.waitFor({ state: "hidden" });
  await page.locator('.lamp[data-id="m1o0"]').waitFor();
  await page.getByRole("switch").first().click();
  await page.locator('.lamp[data-id="m1o0"][data-on="true"][data-freshness="fresh"]').waitFor();
  must(!page.url().includes(token), "the token is in no address");
  must(await page.evaluate((text) => !document.documentElement.outerHTML.includes(text), token), "nor in the page");
  await page.reload();
  await live(page);
  must(await page.getByRole("dialog").isHidden(), "the tab remembers it");
  page.wellBehaved();
});
