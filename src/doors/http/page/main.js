// Puts the parts together: the stream feeds them, a few questions are asked again and again while somebody looks.

import { Refused, Stream, get, onTokenWanted, useToken } from "/page/api.js";
import { byId, el, mark, or, say, span } from "/page/dom.js";
import { showBus } from "/page/charts.js";
import { showHealth } from "/page/health.js";
import { showPairings } from "/page/homekit.js";
import { moduleAges, showModules } from "/page/modules.js";
import { rooms } from "/page/rooms.js";
import { telegrams } from "/page/telegrams.js";
import { showWalls, wallsLive } from "/page/walls.js";

// A look at the lamps also tells the daemon that somebody looks, so that it keeps them fresh.
const LAMPS_EVERY = 5000;
const STATUS_EVERY = 2000;
const MODULES_EVERY = 5000;
const PAIRINGS_EVERY = 10000;
// So long nobody looks before the stream is given back: a browser has six for each host.
const HIDDEN_FOR = 30000;

const links = new Map();
let live = "connecting";
// Whether anything of the house was ever told to this page.
let told = false;
let since = performance.now();
let version = null;

function showLive() {
  const for_ = performance.now() - since;
  mark(document.body, "data-live", live);
  const lost = byId("lost");
  if (live === "live") {
    say(byId("live"), "Live");
    lost.hidden = true;
    return;
  }
  if (live === "connecting" || live === "token") {
    say(byId("live"), live === "token" ? "A token is needed" : "Connecting…");
    lost.hidden = true;
    return;
  }
  say(byId("live"), "Connection lost");
  say(lost, "The daemon cannot be heard. What is shown here was true then, and may not be now. Trying again…");
  lost.hidden = for_ < 300;
  mark(lost, "data-since", span(for_));
}

const BECOMES = { open: "live", token: "token", resting: "connecting" };

function become(state) {
  let next = BECOMES[state] ?? "lost";
  told ||= next === "live";
  // Before anything was told, nothing is lost.
  if (next === "lost" && !told) next = "connecting";
  if (next !== live) since = performance.now();
  live = next;
  rooms.live(live === "live");
  wallsLive(live === "live");
  showLinks();
  showLive();
}

const LINK_WORDS = { up: "connected", dialling: "dialling", down: "not connected", unknown: "not known" };

function showLinks() {
  const list = byId("links");
  const known = new Map([...list.children].map((item) => [item.dataset.gateway, item]));
  for (const [gateway, state] of links) {
    let item = known.get(gateway);
    if (!item) {
      item = el("li", { "data-gateway": gateway }, el("span", { class: "dot", "aria-hidden": "true" }), el("span", { class: "word" }));
      list.append(item);
    }
    known.delete(gateway);
    const shown = live === "live" ? state : "unknown";
    mark(item, "data-state", shown);
    say(item.lastElementChild, `${gateway}: ${LINK_WORDS[shown] ?? shown}`);
  }
  for (const item of known.values()) item.remove();
}

function hear(name, value) {
  if (name === "accessories") {
    rooms.list(value);
  } else if (name === "accessory") {
    rooms.one(value);
  } else if (name === "link") {
    links.set(value.gateway, value.state);
    showLinks();
  } else if (name === "telegram") {
    telegrams.hear(value);
  } else if (name === "lost") {
    telegrams.missed(value.telegrams);
  }
}

const stream = new Stream("/api/events?telegrams=1", hear, (state) => {
  become(state);
  if (state === "open") askAll();
});

/** Asks again and again while the stream is there and somebody looks; a daemon that does not answer is lost. */
function repeatedly(path, every, show) {
  let asking = false;
  const look = async () => {
    if (asking || document.hidden || live !== "live") return;
    asking = true;
    const asked = performance.now();
    try {
      show(await get(path), asked);
    } catch (fault) {
      if (!(fault instanceof Refused)) stream.again();
    } finally {
      asking = false;
    }
  };
  setInterval(look, every);
  return look;
}

function showStatus(status) {
  if (version !== null && status.version !== version) {
    // Another daemon than the one this page came from.
    location.reload();
    return;
  }
  version = status.version;
  say(byId("version"), or(version));
  document.title = status.name;
  say(byId("name"), status.name);
  const there = new Set();
  for (const gateway of status.gateways) {
    links.set(gateway.id, gateway.link);
    there.add(gateway.id);
  }
  for (const gateway of [...links.keys()].filter((id) => !there.has(id))) links.delete(gateway);
  showLinks();
  showBus(status.gateways);
  showHealth(status);
}

const looks = [
  repeatedly("/api/status", STATUS_EVERY, showStatus),
  repeatedly("/api/accessories", LAMPS_EVERY, (list, asked) => rooms.list(list, asked)),
  repeatedly("/api/modules", MODULES_EVERY, (modules) => {
    showModules(modules, rooms.names());
    telegrams.modules(modules, rooms.objects());
  }),
  repeatedly("/api/homekit", PAIRINGS_EVERY, showPairings),
];

function askAll() {
  for (const look of looks) look();
  get("/api/emulator").then((panels) => showWalls(panels, rooms), () => {});
}

// --- the token ---------------------------------------------------------------------------------------------

onTokenWanted((fault) => {
  const dialog = byId("ask-token");
  say(byId("token-fault"), fault.code === "wrong_token" ? "This is not the token." : "");
  if (!dialog.open) dialog.showModal();
  byId("token").focus();
});
byId("ask-token").addEventListener("cancel", (event) => event.preventDefault());
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token").value);
  byId("token").value = "";
  byId("ask-token").close();
  live = "connecting";
  stream.again();
});

// --- time and attention ------------------------------------------------------------------------------------

setInterval(() => {
  rooms.ages();
  moduleAges();
  showLive();
}, 1000);

let hiding = null;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => stream.rest(), HIDDEN_FOR);
  } else if (stream.stopped && live !== "token") {
    stream.again();
  } else {
    askAll();
  }
});
window.addEventListener("online", () => stream.again());
showLive();
