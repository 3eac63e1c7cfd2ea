// The "try it" corner: the keys of the emulated house's wall switches.

import { Refused, post } from "/page/api.js";
import { byId, el, note, replace } from "/page/dom.js";

const VERBS = { TOGGLE: "", ON: "on", OFF: "off", LEVELINC: "brighter", LEVELDEC: "darker", LEVELUP: "brighter", LEVELDOWN: "darker" };

function verbOf({ action, parameter }) {
  if (action === "LEVELSET") return `to ${parameter} %`;
  return VERBS[action] ?? action.toLowerCase();
}

/** What a key does, in words. */
function deeds(key, names) {
  if (key.does.length === 0) return "nothing here";
  const actions = new Set(key.does.map((deed) => deed.action));
  const verb = actions.size === 1 ? verbOf(key.does[0]) : "";
  if (key.does.length > 3) return `${key.does.length} lamps ${verb}`.trim();
  return `${key.does.map((deed) => names.get(deed.accessory) ?? deed.accessory).join(", ")} ${verb}`.trim();
}

let isLive = false;

/** Whether the stream is there: without it nobody would see what a key did. */
export function wallsLive(now) {
  isLive = now;
  for (const key of byId("wall-list").querySelectorAll(".key")) key.disabled = !now;
}

async function press(panel, input) {
  try {
    await post(`/api/emulator/${encodeURIComponent(panel.gateway)}/press`, { module: panel.module, input });
  } catch (fault) {
    note(`The key was not pressed: ${fault instanceof Refused ? fault.message : "the daemon did not answer"}.`);
  }
}

export function showWalls(panels, rooms) {
  const names = rooms.names();
  byId("walls").hidden = byId("to-walls").hidden = panels.length === 0;
  const shown = panels.map((panel) => {
    const keys = panel.keys.map((key) =>
      el(
        "button",
        { type: "button", class: "key", "data-module": panel.module, "data-input": key.input, onclick: () => press(panel, key.input) },
        el("b", {}, String(key.input + 1)),
        " ",
        el("span", {}, deeds(key, names)),
      ),
    );
    const title = `${panel.type}, link ${panel.link}`;
    return el("div", { class: "plate", role: "group", "aria-label": `Wall switch ${title}` }, keys, el("p", { class: "small" }, `${title} · ${panel.module}`));
  });
  replace(byId("wall-list"), shown);
  wallsLive(isLive);
}
