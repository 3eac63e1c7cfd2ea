// How busy each bus is and how fast it answers: small drawings over the last minutes, made of differences between
// totals.

import { byId, el, mark, say, svg } from "/page/dom.js";

const POINTS = 90;
const WIDTH = 300;
const HEIGHT = 64;

const buses = new Map();

/** A line over the last minutes with the area below it; where nothing was measured it goes on to the next value. */
function draw(place, values, top) {
  const step = WIDTH / (POINTS - 1);
  const points = [];
  values.forEach((value, at) => {
    if (value === null) return;
    const x = (WIDTH - (values.length - 1 - at) * step).toFixed(1);
    const y = (HEIGHT - 2 - (Math.min(value, top) / top) * (HEIGHT - 6)).toFixed(1);
    points.push([x, y]);
  });
  const line = points.map(([x, y]) => `${x} ${y}`).join("L");
  mark(place.line, "d", line && `M${line}`);
  mark(place.area, "d", line && `M${points[0][0]} ${HEIGHT}L${line}L${points.at(-1)[0]} ${HEIGHT}Z`);
}

function chart(title, unit) {
  const area = svg("path", { class: "area" });
  const line = svg("path", { class: "line" });
  const grid = [0.25, 0.5, 0.75].map((part) => svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part }));
  const figure = el("strong", {}, "–");
  const top = el("span", { class: "peak" });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title }, grid, area, line);
  const card = el("figure", { class: "chart" }, el("figcaption", {}, el("span", {}, title), figure), el("div", { class: "plot" }, picture, top), el("p", { class: "small" }));
  return { card, area, line, figure, top, picture, words: card.querySelector("p"), unit, values: [] };
}

function push(place, value, top, text) {
  place.values.push(value);
  if (place.values.length > POINTS) place.values.shift();
  const most = Math.max(top, ...place.values.filter((one) => one !== null));
  draw(place, place.values, most);
  say(place.figure, text);
  say(place.top, `${Math.round(most)} ${place.unit}`);
  mark(place.picture, "aria-label", `${place.card.querySelector("span").textContent}: ${text}`);
}

/** The end of the class in which this part of all answers lies, ms. */
function part(waits, share) {
  let left = waits.answers * share;
  for (const [at, count] of waits.counts.entries()) {
    left -= count;
    if (left <= 0) return `${waits.classes_ms[at] ?? "∞"} ms`;
  }
  return "–";
}

function bus(id) {
  const load = chart("Bus time in use", "%");
  const speed = chart("Answer time", "ms");
  const traffic = chart("Telegrams", "/s");
  const title = el("h3", {}, id);
  return { load, speed, traffic, title, card: el("div", { class: "bus", "data-gateway": id }, title, el("div", { class: "charts" }, load.card, speed.card, traffic.card)), before: null };
}

export function showBus(gateways) {
  const now = performance.now();
  for (const gateway of gateways) {
    if (!buses.has(gateway.id)) buses.set(gateway.id, bus(gateway.id));
    const one = buses.get(gateway.id);
    one.title.hidden = gateways.length === 1;
    const { waits } = gateway;
    if (!waits) continue;
    const passed = (gateway.telegrams_sent_total ?? 0) + (gateway.telegrams_received_total ?? 0);
    const { before } = one;
    one.before = { now, waits, passed };
    // Totals that fell are those of another run.
    if (!before || waits.busy_ms < before.waits.busy_ms || waits.answers < before.waits.answers) continue;
    const time = now - before.now;
    const load = Math.min(100, ((waits.busy_ms - before.waits.busy_ms) / time) * 100);
    push(one.load, load, 40, `${load.toFixed(0)} %`);
    const answers = waits.answers - before.waits.answers;
    const mean = answers ? (waits.sum_ms - before.waits.sum_ms) / answers : null;
    push(one.speed, mean, 100, mean === null ? "quiet" : `${mean.toFixed(0)} ms`);
    const rate = ((passed - before.passed) / time) * 1000;
    push(one.traffic, rate, 10, `${rate.toFixed(1)} /s`);
    say(one.load.words, `${gateway.queue ?? 0} waiting to be said`);
    say(one.speed.words, waits.answers ? `half ≤ ${part(waits, 0.5)}, 95 % ≤ ${part(waits, 0.95)}` : "");
    say(one.traffic.words, `${gateway.telegrams_sent_total ?? 0} sent, ${gateway.telegrams_received_total ?? 0} heard`);
  }
  const known = gateways.map((gateway) => buses.get(gateway.id));
  const place = byId("charts");
  if (place.childElementCount !== known.length) place.replaceChildren(...known.map((one) => one.card));
}
