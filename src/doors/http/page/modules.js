// The modules as configured, and what they said of themselves.

import { ago, byId, el, or, replace, say } from "/page/dom.js";

const heard = new Map();

/** What is configured, and what the module says instead if it says something else. */
function both(configured, reported) {
  if (reported === null || reported === undefined || reported === configured) return [String(configured)];
  return [`${configured} `, el("strong", { class: "bad" }, `says ${reported}`)];
}

/** A fault code as the bus, MQTT and the figures write it. */
const hex = (code) => code.toString(16).toUpperCase().padStart(2, "0");

function fault(module) {
  if (module.storming) return el("strong", { class: "bad" }, "storm");
  if (module.error_code === null || module.error_code === undefined) return "–";
  return module.error_code === 0 ? el("span", { class: "good" }, "none") : el("strong", { class: "bad" }, `code ${hex(module.error_code)}`);
}

function reporting(module) {
  if (module.outputs === 0) return "–";
  if (module.auto_report === null || module.auto_report === undefined) return "not known";
  return module.auto_report ? el("span", { class: "good" }, "yes") : el("strong", { class: "warn" }, "no, polled");
}

export function showModules(modules, names) {
  heard.clear();
  const rows = modules.map((module) => {
    const last = el("td", { class: "number" });
    heard.set(module.serial, { cell: last, at: module.last_heard_ms === null ? null : performance.now() - module.last_heard_ms });
    const drives = (module.accessories ?? []).map((id) => names.get(id) ?? id).join(", ");
    return el(
      "tr",
      { "data-serial": module.serial },
      el("th", { scope: "row" }, both(module.type, module.reported_type)),
      el("td", { class: "number" }, both(module.link, module.reported_link)),
      el("td", {}, el("code", {}, module.serial)),
      el("td", {}, or(module.software_version)),
      el("td", {}, fault(module)),
      el("td", {}, reporting(module)),
      last,
      el("td", { class: "drives" }, or(drives)),
    );
  });
  if (rows.length === 0) rows.push(el("tr", {}, el("td", { colspan: 8, class: "empty" }, "The config has no modules yet.")));
  replace(byId("module-rows"), rows);
  moduleAges();
}

/** Time has passed. */
export function moduleAges() {
  for (const { cell, at } of heard.values()) say(cell, at === null ? "never" : ago(performance.now() - at));
}
