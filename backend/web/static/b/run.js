// A run as it comes: events of the run draw its parts as text; when it ends the server's own rendering takes their place.
import { partialJson } from "./partial-json.js";

const POLL_MS = 2000; // when the line of events is refused, look at the run itself

const element = (tag, text) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
};

// Whatever a model wrote is put on the page as text nodes alone.
const draw = (value, words) => {
  if (value === null) return [];
  if (typeof value === "string") return value.split("\n\n").map((part) => Object.assign(element("p", part), { className: "b-paragraph" }));
  if (typeof value !== "object") return [Object.assign(element("strong", typeof value === "boolean" ? (value ? words.bYes : words.bNo) : String(value)), { className: "b-plain" })];
  const list = element(Array.isArray(value) ? "ol" : "dl");
  list.className = Array.isArray(value) ? "b-list" : "b-object";
  for (const [key, part] of Object.entries(value)) {
    if (Array.isArray(value)) list.append(element("li"));
    else list.append(element("dt", key), element("dd"));
    list.lastElementChild.append(...draw(part, words));
  }
  return [list];
};

const unescape = (pointer) => pointer.slice(1).replaceAll("~1", "/").replaceAll("~0", "~");

class Output {
  constructor(section) {
    this.section = section;
    this.text = "";
    this.drawn = new Map();
    this.places = [...section.querySelectorAll("[data-b-pointer]")].map((node) => ({
      key: unescape(node.dataset.bPointer),
      kind: node.dataset.bKind,
      place: node.querySelector(".b-node-value"),
      bars: [...node.querySelector(".b-node-value").childNodes],
    }));
  }

  say(words, aloud = false) {
    const progress = this.section.querySelector("[data-b-progress]");
    if (progress) progress.textContent = words;
    if (aloud) this.section.querySelector("[data-b-say]").textContent = words;
  }

  add(text) {
    if (!this.text) this.say(this.section.dataset.bWriting, true);
    this.text += text;
    this.frame ??= requestAnimationFrame(() => this.show());
  }

  // The answer starts anew: a repair, or another worker after the first one died.
  again(words) {
    if (!this.text) return;
    this.text = "";
    this.drawn.clear();
    for (const { place, bars } of this.places) place.replaceChildren(...bars);
    this.section.querySelector(".b-caret")?.classList.remove("b-caret");
    this.say(words, true);
  }

  show() {
    this.frame = undefined;
    const value = partialJson(this.text);
    if (typeof value !== "object" || value === null) return;
    const keys = Object.keys(value);
    for (const { key, kind, place } of this.places) {
      if (!(key in value)) continue;
      const now = JSON.stringify(value[key]);
      if (this.drawn.get(key) === now) continue;
      this.drawn.set(key, now);
      const parts = kind === "choice" ? [Object.assign(element("span", value[key]), { className: "b-choice" })] : draw(value[key], this.section.dataset);
      place.replaceChildren(...parts);
    }
    this.caret(keys.at(-1));
    const words = Object.values(value).join(" ").split(/\s+/).filter(Boolean).length;
    this.say(`${this.section.dataset.bWriting}, ${words} ${this.section.dataset.bWords}`);
  }

  caret(key) {
    this.section.querySelector(".b-caret")?.classList.remove("b-caret");
    const last = this.places.find((part) => part.key === key)?.place;
    (last?.querySelector("p:last-of-type, li:last-of-type") ?? last)?.classList.add("b-caret");
  }
}

const follow = (section) => {
  if (section.dataset.followed) return;
  section.dataset.followed = "yes";
  const output = new Output(section);
  // EventSource comes back by itself after a lost line, naming the last event it saw (Last-Event-ID).
  const source = new EventSource(section.dataset.bEvents);
  // What comes takes the section's place; while it stands, there was no answer.
  const ask = () => {
    const again = () => section.isConnected && setTimeout(ask, POLL_MS);
    window.htmx.ajax("GET", section.dataset.bFinal, { source: section, target: section, swap: "outerHTML", select: "#output" }).then(again, again);
  };
  const finish = (words) => {
    source.close();
    output.say(words, true);
    ask();
  };
  const on = (name, act) => source.addEventListener(name, (event) => act(event.data ? JSON.parse(event.data) : {}));
  on("delta", ({ text = "" }) => output.add(text));
  on("started", () => output.again(section.dataset.bWriting));
  on("repair", () => output.again(section.dataset.bRepairing));
  on("done", () => finish(section.dataset.bDone));
  on("failed", () => finish(section.dataset.bFailed));
  on("cancelled", () => finish(section.dataset.bDone));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED && section.isConnected) setTimeout(() => finish(section.dataset.bWriting), POLL_MS);
  });
  document.addEventListener("htmx:load", () => section.isConnected || source.close());
};

const dress = () => document.querySelectorAll("[data-b-run]").forEach(follow);
document.addEventListener("htmx:load", dress);
dress();
