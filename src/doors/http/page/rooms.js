// The rooms: a row for each lamp, with what it shows, how old that is, and how far it is to be trusted.

import { Refused, get, put } from "/page/api.js";
import { ago, byId, el, icon, mark, note, say, span } from "/page/dom.js";

const NOWHERE = "Elsewhere";
const ICONS = new Set(["light", "outlet", "dimmer", "group", "scene"]);
const ORIGINS = {
  report: "its module reported it",
  poll: "its module was asked by the poller",
  read: "its module was asked",
  snapshot: "known from before a restart",
};

const ENDS = { confirmed: "", failed: ", without success", replaced: ", replaced by a newer wish", open: ", not confirmed yet" };
const HISTORY_OF_A_LAMP = 5;

const lamps = new Map();
let shape = "";
let isLive = false;

/** What of a list decides which rows there are. */
const shapeOf = (list) => JSON.stringify(list.map((lamp) => [lamp.id, lamp.name, lamp.room, lamp.kind, lamp.module, lamp.output]));

const dims = (object) => object.kind === "dimmer" || (object.brightness !== null && object.brightness !== undefined);

class Lamp {
  constructor(object) {
    this.object = object;
    this.wishes = 0;
    this.dragging = false;
    this.next = null;
    // When it was told of by itself last; a list that was asked for before knows less.
    this.toldAt = 0;
    this.row = this.build(object);
    this.take(object);
  }

  build(object) {
    const label = `lamp-${object.id}`;
    const isScene = object.kind === "scene";
    this.words = el("span", { class: "words" });
    this.sign = el("span", { class: "sign" });
    this.seen = el("summary", {}, this.sign, this.words);
    this.origin = el("p", { class: "origin" });
    this.who = el("ol", { class: "history", "aria-label": `What happened to ${object.name}, the latest first`, hidden: true });
    this.more = el("details", { class: "seen", ontoggle: () => this.remember() }, this.seen, this.origin, this.who);
    this.button = isScene
      ? el("button", { type: "button", class: "call", "aria-label": `Call ${object.name}`, onclick: () => this.wish({ on: true }) }, "Call")
      : el("button", { type: "button", class: "switch", role: "switch", "aria-labelledby": label, "aria-describedby": `${label}-seen`, onclick: () => this.wish({ on: this.object.on !== true }) });
    this.words.id = `${label}-seen`;
    const glyph = ICONS.has(object.kind) ? object.kind : "light";
    const row = el(
      "li",
      { class: "lamp", "data-id": object.id, "data-kind": object.kind },
      el("span", { class: "glyph" }, icon(glyph)),
      el("div", { class: "what" }, el("span", { class: "name", id: label }, object.name), this.more),
      el("span", { class: "value" }),
      this.button,
    );
    this.value = row.querySelector(".value");
    return row;
  }

  slider(object) {
    this.range = el("input", {
      type: "range", min: 0, max: 100, step: 1, disabled: !isLive, "aria-label": `Brightness of ${object.name}`,
      oninput: () => {
        this.dragging = true;
        this.showLevel(Number(this.range.value));
        this.dim(Number(this.range.value));
      },
      onchange: () => {
        this.dragging = false;
      },
      onblur: () => {
        this.dragging = false;
      },
    });
    return this.range;
  }

  /** What the daemon says of it. */
  take(object) {
    this.object = object;
    // A group has a brightness once one of its lamps has one.
    if (!this.range && dims(object)) this.row.append(this.slider(object));
    this.observed = object.age_ms === null || object.age_ms === undefined ? null : performance.now() - object.age_ms;
    this.show();
    this.remember();
  }

  /** Who did what to it, while somebody wants to know. */
  async remember() {
    if (!this.more.open || !isLive || this.remembering) return;
    this.remembering = true;
    try {
      const told = await get(`/api/history?accessory=${encodeURIComponent(this.object.id)}&limit=${HISTORY_OF_A_LAMP}`);
      this.who.replaceChildren(...told.map(happened));
      this.who.hidden = told.length === 0;
    } catch (fault) {
      // What is there stays; the stream says when the daemon is gone.
      if (fault instanceof Refused) this.who.hidden = true;
    } finally {
      this.remembering = false;
    }
  }

  show() {
    const { on, brightness, module, output, origin } = this.object;
    const freshness = this.wishes > 0 ? "pending" : this.object.freshness;
    mark(this.row, "data-on", on === null ? "unknown" : on);
    mark(this.row, "data-freshness", freshness);
    if (this.object.kind !== "scene") mark(this.button, "aria-checked", on === null ? "mixed" : on === true);
    mark(this.row, "aria-busy", freshness === "pending" ? true : null);
    // While somebody moves the slider it shows what they want, not what the lamp has come to.
    const moved = this.dragging || this.next !== null;
    if (this.range && !moved) {
      this.range.value = brightness ?? 0;
      this.showLevel(brightness);
    } else if (!this.range) {
      // A scene is called; it is neither on nor off.
      say(this.value, this.object.kind === "scene" ? "" : on === null ? "?" : on ? "on" : "off");
    }
    const place = module ? `Output ${output} of module ${module}` : "Made of other lamps";
    say(this.origin, origin ? `${place}; ${ORIGINS[origin] ?? origin}.` : `${place}.`);
    this.age();
  }

  showLevel(level) {
    say(this.value, level === null || level === undefined ? "?" : level === 0 ? "off" : `${level} %`);
    this.range.style.setProperty("--level", `${level ?? 0}%`);
  }

  /** The mark and the words of its freshness; called again as time passes. */
  age() {
    const past = this.observed === null ? null : performance.now() - this.observed;
    let freshness = this.row.dataset.freshness;
    let words = past === null ? (this.object.kind === "scene" ? "ready" : "not known") : ago(past);
    // Without the stream nobody vouches for anything.
    if (!isLive && freshness !== "unknown") freshness = "stale";
    if (freshness === "pending") words = "switching…";
    else if (freshness === "stale") words = past === null ? "unconfirmed" : `unconfirmed, ${span(past)} old`;
    else if (freshness === "unknown") words = "not known";
    if (this.sign.dataset.of !== freshness) {
      this.sign.dataset.of = freshness;
      this.sign.replaceChildren(icon(freshness));
    }
    mark(this.more, "data-of", freshness);
    say(this.words, words);
  }

  /** Wants something of it; what it shows is what the daemon says of that. */
  async wish(body) {
    if (!isLive) return;
    this.wishes += 1;
    this.show();
    try {
      const object = await put(`/api/accessories/${encodeURIComponent(this.object.id)}`, body);
      this.wishes -= 1;
      if (this.wishes > 0) return;
      this.toldAt = performance.now();
      this.take(object);
    } catch (fault) {
      this.wishes -= 1;
      this.show();
      const why = fault instanceof Refused ? fault.message : "the daemon did not answer";
      note(`${this.object.name}: ${why}.`);
    }
  }

  /** Wants this brightness; of many values while a slider moves only the newest waits. */
  async dim(level) {
    const waits = this.next !== null;
    this.next = level;
    if (waits) return;
    while (this.next !== null) {
      const wanted = this.next;
      await this.wish({ brightness: wanted });
      if (this.next === wanted) this.next = null;
    }
    this.show();
  }
}

/** A line of the history; its telegrams are there for who points at it. */
function happened(entry) {
  const level = entry.brightness === null ? "on" : `${entry.brightness} %`;
  const became = entry.on === null ? "not known" : entry.on ? level : "off";
  const took = entry.by.kind === "client" && entry.end === "confirmed" ? ` in ${entry.after_ms} ms` : "";
  const telegrams = [...entry.sent.map((text) => `sent ${text}`), ...entry.heard.map((text) => `heard ${text}`)].join("\n");
  return el(
    "li",
    { "data-by": entry.by.kind, "data-end": entry.end, title: telegrams || null },
    `${became}${took}${ENDS[entry.end] ?? ""} – ${entry.by.name}, ${ago(entry.age_ms)}`,
  );
}

function build(list) {
  const focused = document.activeElement?.closest?.(".lamp")?.dataset.id;
  const byRoom = new Map();
  lamps.clear();
  for (const object of list) {
    const lamp = new Lamp(object);
    lamps.set(object.id, lamp);
    const room = object.room || NOWHERE;
    if (!byRoom.has(room)) byRoom.set(room, []);
    byRoom.get(room).push(lamp);
  }
  const cards = [...byRoom].map(([name, inside], at) => {
    const room = byRoom.size === 1 && name === NOWHERE ? "Lamps" : name;
    const label = `room-${at}`;
    const rows = el("ul", {}, inside.map((lamp) => lamp.row));
    const count = el("small", {});
    return el("section", { class: "room panel", "aria-labelledby": label }, el("h2", { id: label }, room, " ", count), rows);
  });
  const empty = el("p", { class: "empty" }, "The config has no accessories yet.");
  byId("room-list").replaceChildren(...(cards.length ? cards : [empty]));
  if (focused) lamps.get(focused)?.button.focus();
}

function count() {
  for (const card of byId("room-list").querySelectorAll(".room")) {
    const rows = [...card.querySelectorAll('.lamp:not([data-kind="scene"], [data-kind="group"])')];
    const lit = rows.filter((row) => row.dataset.on === "true").length;
    say(card.querySelector("small"), lit === 0 ? "all off" : `${lit} of ${rows.length} on`);
  }
}

export const rooms = {
  /** The whole list, first and whenever the daemon tells it again; `asked` is when, if the page asked for it. */
  list(list, asked = Infinity) {
    const next = shapeOf(list);
    if (next !== shape) {
      shape = next;
      build(list);
    } else {
      for (const object of list) {
        const lamp = lamps.get(object.id);
        if (lamp && lamp.toldAt < asked) lamp.take(object);
      }
    }
    count();
  },

  /** One that changed; one that nobody knows comes with the next list. */
  one(object) {
    const lamp = lamps.get(object.id);
    if (!lamp) return;
    lamp.toldAt = performance.now();
    lamp.take(object);
    count();
  },

  /** Whether the stream is there. */
  live(now) {
    isLive = now;
    for (const lamp of lamps.values()) {
      for (const control of [lamp.button, lamp.range]) if (control) control.disabled = !now;
      lamp.age();
    }
  },

  /** Time has passed. */
  ages() {
    for (const lamp of lamps.values()) lamp.age();
  },

  /** What the daemon said of each last. */
  objects() {
    return [...lamps.values()].map((lamp) => lamp.object);
  },

  /** The name of each accessory by its id. */
  names() {
    return new Map([...lamps].map(([id, lamp]) => [id, lamp.object.name]));
  },
};
