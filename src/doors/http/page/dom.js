// Elements, icons and words that every part of the page uses. Texts become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An element with these attributes (`onclick` and the like are listeners) and children. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same in a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** One of the symbols of the page; it says nothing to who does not see it. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true", focusable: "false" }, svg("use", { href: `#i-${name}` }));
}

/** Sets the text of an element, if it is another one: a screen reader hears of changes only. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute, if it is another one; `null` takes it away. */
export function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** So long, for people: "4 s", "3 min", "2 h". */
export function span(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  const days = Math.floor(seconds / 86400);
  return days === 1 ? "1 day" : `${days} days`;
}

/** So long ago, for people. */
export function ago(ms) {
  return ms < 1500 ? "just now" : `${span(ms)} ago`;
}

/** A word that may be missing. */
export const or = (value, instead = "–") => (value === null || value === undefined || value === "" ? instead : value);

/** Tells what went wrong for a while. */
export function note(text) {
  const line = el("p", {}, text);
  byId("notes").append(line);
  setTimeout(() => line.remove(), 8000);
}

/** Replaces the children of an element, unless somebody is using one of them. */
export function replace(element, ...children) {
  if (!element.contains(document.activeElement)) element.replaceChildren(...children.flat());
}
