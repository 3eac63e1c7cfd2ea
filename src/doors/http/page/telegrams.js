// The telegrams as they go by, the latest first.

import { byId, el, mark, say } from "/page/dom.js";

const KEPT = 500;
const SHOWN = 150;

const kept = [];
const places = new Map();
const outputs = new Map();
const byLink = new Map();
let missed = 0;
let held = 0;
let paused = false;
let waiting = false;

const list = byId("telegram-list");

const clock = (at) => `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;

/** Of whom it speaks: a lamp where that is sure, else a module. */
function where(telegram) {
  if (telegram.serial) return places.get(telegram.serial) ?? telegram.serial;
  if (telegram.link === undefined) return "";
  const near = byLink.get(telegram.link) ?? [];
  // Two modules of different types may have one link number.
  if (near.length !== 1) return `link ${telegram.link}`;
  return outputs.get(`${near[0].serial}/${telegram.input - 80}`) ?? `${near[0].type} ${telegram.link}`;
}

function passes(telegram) {
  const kind = byId("kind").value;
  if (kind && telegram.kind !== kind && !(kind === "event" && telegram.kind === "cp_event")) return false;
  const wanted = byId("filter").value.trim().toLowerCase();
  if (!wanted) return true;
  const text = `${telegram.telegram} ${telegram.meaning ?? ""} ${telegram.serial ?? ""} ${where(telegram)} ${telegram.gateway}`;
  return wanted.split(/\s+/).every((word) => text.toLowerCase().includes(word));
}

function row({ telegram, at }) {
  const sent = telegram.direction === "sent";
  return el(
    "li",
    { "data-direction": telegram.direction, "data-kind": telegram.kind },
    el("time", {}, clock(at)),
    el("span", { class: "way", role: "img", "aria-label": sent ? "sent" : "received" }, sent ? "→" : "←"),
    el("code", {}, telegram.telegram),
    el("span", { class: "means" }, el("span", { class: "where" }, where(telegram)), " ", telegram.meaning ?? telegram.why ?? ""),
  );
}

function tell() {
  const parts = [];
  if (paused) parts.push(held ? `Paused; ${held} more since.` : "Paused.");
  if (missed) parts.push(`${missed} were too fast for this page.`);
  if (!kept.length) parts.push("None has gone by yet.");
  say(byId("telegram-count"), parts.join(" "));
}

function draw() {
  waiting = false;
  list.replaceChildren(...kept.filter((one) => passes(one.telegram)).slice(0, SHOWN).map(row));
  tell();
}

/** Draws before the next picture, once, however many telegrams came. */
function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(draw);
}

byId("filter").addEventListener("input", soon);
byId("kind").addEventListener("change", soon);
byId("pause").addEventListener("click", () => {
  paused = !paused;
  mark(byId("pause"), "aria-pressed", paused);
  say(byId("pause"), paused ? "Go on" : "Pause");
  held = 0;
  if (paused) tell();
  else soon();
});
byId("save").addEventListener("click", () => {
  const lines = [...kept].reverse().map(({ telegram, at }) => JSON.stringify({ at: at.toISOString(), ...telegram }));
  const place = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "application/x-ndjson" }));
  const link = el("a", { href: place, download: "telegrams.ndjson" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(place), 1000);
});

export const telegrams = {
  hear(telegram) {
    kept.unshift({ telegram, at: new Date() });
    if (kept.length > KEPT) kept.length = KEPT;
    if (paused) {
      held += 1;
      tell();
    } else {
      soon();
    }
  },

  missed(count) {
    missed += count;
    tell();
  },

  /** Which modules and lamps there are, to name them beside what they say. */
  modules(modules, lamps) {
    for (const known of [places, outputs, byLink]) known.clear();
    for (const module of modules) {
      places.set(module.serial, `${module.type} ${module.link}`);
      byLink.set(module.link, [...(byLink.get(module.link) ?? []), module]);
    }
    for (const lamp of lamps) outputs.set(`${lamp.module}/${lamp.output}`, lamp.name);
  },
};
tell();
