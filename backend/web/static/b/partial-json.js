// Reads as much of a JSON text as has come: what is cut off is closed where it stands. Never throws.
const SPACE = /[\s]*/y;
const NUMBER = /-?\d+(\.\d+)?([eE][+-]?\d+)?/y;
const WORDS = { true: true, false: false, null: null };
const ESCAPES = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f" };

/** @returns {any} the value so far, or undefined while nothing of it can be told */
export const partialJson = (text) => {
  let at = 0;
  const skip = () => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const string = () => {
    let out = "";
    for (at++; at < text.length && text[at] !== '"'; at++) {
      if (text[at] !== "\\") {
        out += text[at];
      } else if (text[at + 1] === "u") {
        const code = text.slice(at + 2, at + 6);
        if (code.length === 4) out += String.fromCharCode(parseInt(code, 16));
        at += 5;
      } else {
        at++;
        out += ESCAPES[text[at]] ?? text[at] ?? "";
      }
    }
    at++;
    return out;
  };
  const list = () => {
    const out = [];
    for (at++; ; at++) {
      skip();
      if (at >= text.length || text[at] === "]") break;
      const item = value();
      if (item === undefined) break;
      out.push(item);
      skip();
      if (text[at] !== ",") break;
    }
    at++;
    return out;
  };
  const object = () => {
    const out = {};
    for (at++; ; at++) {
      skip();
      if (text[at] !== '"') break;
      const key = string();
      skip();
      if (text[at] !== ":") break;
      at++;
      const item = value();
      if (item === undefined) break;
      Object.defineProperty(out, key, { value: item, enumerable: true, configurable: true, writable: true });
      skip();
      if (text[at] !== ",") break;
    }
    at++;
    return out;
  };
  const value = () => {
    skip();
    const first = text[at];
    if (first === '"') return string();
    if (first === "{") return object();
    if (first === "[") return list();
    for (const [word, meaning] of Object.entries(WORDS)) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    NUMBER.lastIndex = at;
    const number = NUMBER.exec(text);
    if (!number || NUMBER.lastIndex >= text.length) return undefined; // a number may still go on
    at = NUMBER.lastIndex;
    return Number(number[0]);
  };
  return value();
};
