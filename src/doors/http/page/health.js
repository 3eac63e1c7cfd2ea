// Whether all is well: links, queues, storms, losses, and actors that do not answer.

import { byId, el, or, replace, span } from "/page/dom.js";

function row(name, value, verdict = "") {
  return el("div", { class: "vital" }, el("dt", {}, name), el("dd", { class: verdict }, value));
}

/** A total that should stay zero. */
function rare(name, count) {
  return row(name, String(or(count, 0)), count ? "warn" : "");
}

const links = {
  up: (gateway) => ["connected" + (gateway.up_ms === null || gateway.up_ms === undefined ? "" : ` for ${span(gateway.up_ms)}`), "good"],
  dialling: () => ["dialling", "warn"],
  down: () => ["not connected", "bad"],
};

function gateway(one) {
  const [word, verdict] = (links[one.link] ?? links.down)(one);
  return el(
    "section",
    { class: "vitals-of" },
    el("h3", {}, `Gateway ${one.id}`),
    el(
      "dl",
      {},
      row("Link", word, verdict),
      row("Address", or(one.address)),
      row("Connected", `${or(one.connects_total, 0)} of ${or(one.dials_total, 0)} dials`),
      row("Queue", `${or(one.queue, 0)} telegrams`),
      row("Sent, heard", `${or(one.telegrams_sent_total, 0)}, ${or(one.telegrams_received_total, 0)}`),
      row("Questions saved", String(or(one.exchanges_joined_total, 0))),
      rare("Without an answer", one.timeouts_total),
      rare("Noise", one.noise_total),
      rare("Storms", one.storms_total),
      rare("Telegrams of storms", one.storm_telegrams_dropped_total),
      rare("Telegrams not shown", one.telegrams_unshown_total),
      rare("News lost", (one.news_lost_total ?? 0) + (one.facts_lost_total ?? 0)),
    ),
  );
}

function cache(told) {
  if (!told || typeof told !== "object") return [row("State", or(told, "busy"), "warn")];
  const asked = (told.hits_total ?? 0) + (told.stale_total ?? 0) + (told.misses_total ?? 0);
  const share = asked ? `${Math.round((100 * (told.hits_total ?? 0)) / asked)} % of ${asked}` : "no read yet";
  return [
    row("Remembered outputs", String(or(told.entries, 0))),
    row("Reads answered fresh", share),
    row("Readers that wait", String(or(told.readers_waiting, 0))),
    row("Old answers refused", String(or(told.updates_refused_total, 0))),
  ];
}

export function showHealth(status) {
  const actors = Object.entries(status.actors ?? {});
  const ailing = actors.filter(([, word]) => word !== "ok").map(([name, word]) => `${name} is ${word}`);
  const door = status.http?.door ?? {};
  const hub = status.http?.hub ?? {};
  const whole = el(
    "section",
    { class: "vitals-of" },
    el("h3", {}, "Daemon"),
    el(
      "dl",
      {},
      row("Actors", ailing.length ? ailing.join(", ") : `all ${actors.length} answer`, ailing.length ? "warn" : "good"),
      cache(status.cache),
      row("Modules in use", String(or(status.poller?.active_modules, 0))),
      row("Clients", `${or(door.connections, 0)} open, ${or(hub.event_streams, 0)} follow`),
      row("Requests", String(or(door.requests_total, 0))),
      rare("Wrong tokens", door.wrong_tokens_total),
      rare("State not saved", status.state?.save_failures_total),
    ),
  );
  replace(byId("vitals"), status.gateways.map(gateway), whole);
}
