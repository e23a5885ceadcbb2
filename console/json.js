// JSON as text. The service returns what callers sent exactly: 1.0, 1e400 and numbers of 40 digits, and the order of members.
// JSON.parse would change them, so what callers sent is shown, copied and sent again from the text itself.

/**
 * @typedef {{ kind: "object", members: [string, Node][] }
 *   | { kind: "array", items: Node[] }
 *   | { kind: "string", value: string }
 *   | { kind: "plain", text: string }} Node
 * A value. "plain" is a number, true, false or null, as it is written.
 */

/** The end of the string that begins at `at`: the index after its closing quote. @param {string} text @param {number} at */
function endOfString(text, at) {
  for (let end = text.indexOf('"', at + 1); ; end = text.indexOf('"', end + 1)) {
    if (end < 0) throw new SyntaxError("a string has no end");
    let slashes = 0;
    while (text[end - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
}

const PLAIN = /[-+.0-9A-Za-z]+/y;
const SPACE = /[ \t\n\r]*/y;

/** Reads one value after the other; the text is JSON already, because JSON.parse or the service has accepted it. */
class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** The next character that is no space. */
  peek() {
    SPACE.lastIndex = this.at;
    SPACE.test(this.text);
    this.at = SPACE.lastIndex;
    return this.text[this.at];
  }

  /** Passes a character if it comes next. @param {string} character */
  skip(character) {
    if (this.peek() !== character) return false;
    this.at += 1;
    return true;
  }

  /** @returns {string} */
  string() {
    const end = endOfString(this.text, this.at);
    const value = JSON.parse(this.text.slice(this.at, end));
    this.at = end;
    return value;
  }

  plain() {
    PLAIN.lastIndex = this.at;
    const text = PLAIN.exec(this.text)?.[0];
    if (!text) throw new SyntaxError(`no value at ${this.at}`);
    this.at += text.length;
    return text;
  }

  /**
   * Passes the rest of an object or array, whose opening bracket was read, with `each` for each element.
   * @param {string} close
   * @param {() => void} each
   */
  elements(close, each) {
    if (this.skip(close)) return;
    do {
      this.peek();
      each();
    } while (this.skip(","));
    if (!this.skip(close)) throw new SyntaxError(`no ${close} at ${this.at}`);
  }

  /** The name of a member and its colon. */
  name() {
    const name = this.string();
    if (!this.skip(":")) throw new SyntaxError(`no colon at ${this.at}`);
    return name;
  }

  /** @returns {Node} */
  value() {
    const first = this.peek();
    if (first === '"') return { kind: "string", value: this.string() };
    if (this.skip("{")) {
      /** @type {[string, Node][]} */
      const members = [];
      this.elements("}", () => members.push([this.name(), this.value()]));
      return { kind: "object", members };
    }
    if (this.skip("[")) {
      /** @type {Node[]} */
      const items = [];
      this.elements("]", () => items.push(this.value()));
      return { kind: "array", items };
    }
    return { kind: "plain", text: this.plain() };
  }

  /** Passes a value, and returns its text. */
  slice() {
    this.peek();
    const from = this.at;
    let depth = 0;
    do {
      const first = this.peek();
      if (first === '"') this.at = endOfString(this.text, this.at);
      else if (first === "{" || first === "[") [depth, this.at] = [depth + 1, this.at + 1];
      else if (first === "}" || first === "]") [depth, this.at] = [depth - 1, this.at + 1];
      else if (first === "," || first === ":") this.at += 1;
      else this.plain();
    } while (depth > 0);
    return this.text.slice(from, this.at);
  }
}

/** A JSON text as a tree. @param {string} text */
export const parse = (text) => new Reader(text).value();

/**
 * The members of an object, each with the text of its value.
 * @param {string} text
 * @returns {Map<string, string>}
 */
export function members(text) {
  const reader = new Reader(text);
  /** @type {Map<string, string>} */
  const found = new Map();
  if (reader.skip("{")) reader.elements("}", () => found.set(reader.name(), reader.slice()));
  return found;
}

/**
 * The texts of the items of an array; none where it is no array.
 * @param {string} text
 * @returns {string[]}
 */
export function items(text) {
  const reader = new Reader(text);
  /** @type {string[]} */
  const found = [];
  if (reader.skip("[")) reader.elements("]", () => found.push(reader.slice()));
  return found;
}

/** An object of members whose values are JSON texts. @param {Iterable<[string, string]>} entries */
export const object = (entries) =>
  `{${[...entries].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`;

/**
 * A JSON text with two spaces for each level, and the values as they are written.
 * @param {string} text
 */
export function pretty(text) {
  const reader = new Reader(text);
  /** @param {string} indent @returns {string} */
  const write = (indent) => {
    const [open, deeper] = [reader.peek(), `${indent}  `];
    if (open !== "{" && open !== "[") return reader.slice();
    reader.skip(open);
    /** @type {string[]} */
    const lines = [];
    const close = open === "{" ? "}" : "]";
    reader.elements(close, () => {
      const name = open === "{" ? `${JSON.stringify(reader.name())}: ` : "";
      lines.push(`${deeper}${name}${write(deeper)}`);
    });
    return lines.length === 0 ? open + close : `${open}\n${lines.join(",\n")}\n${indent}${close}`;
  };
  return write("");
}
