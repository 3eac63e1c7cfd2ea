// HomeKit: how to pair each bridge, and who is.

import { byId, el, replace, svg } from "/page/dom.js";

let before = "";

function picture(setup, name) {
  const quiet = 4;
  const side = setup.side + 2 * quiet;
  return svg(
    "svg",
    { class: "qr", viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": `Setup code of ${name} for a camera`, "shape-rendering": "crispEdges" },
    svg("rect", { width: side, height: side, class: "paper" }),
    svg("path", { d: setup.path, class: "ink", transform: `translate(${quiet} ${quiet})` }),
  );
}

function bridge(one) {
  const title = el("h3", {}, one.name, " ", el("small", {}, one.device_id));
  if (one.setup) {
    return el(
      "div",
      { class: "bridge" },
      picture(one.setup, one.name),
      el(
        "div",
        {},
        title,
        el("p", {}, "Nobody is paired yet. In the Home app choose “Add Accessory” and show the camera this picture, or type the code:"),
        el("p", { class: "code" }, el("code", {}, one.setup.code)),
      ),
    );
  }
  const paired = one.controllers.map((controller) => el("li", {}, el("code", {}, controller.name), " ", el("small", {}, controller.admin ? "may invite others" : "guest")));
  return el("div", { class: "bridge" }, el("div", {}, title, el("p", {}, "Paired with:"), el("ul", { class: "paired" }, paired)));
}

export function showPairings(told) {
  byId("homekit").hidden = byId("to-homekit").hidden = !told.open;
  const now = JSON.stringify(told);
  if (now === before) return;
  before = now;
  const sessions = told.sessions === 1 ? "1 controller is connected." : `${told.sessions ?? 0} controllers are connected.`;
  replace(byId("bridges"), told.bridges.map(bridge), el("p", { class: "small" }, sessions));
}
