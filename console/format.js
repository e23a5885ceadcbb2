// Numbers, durations and times as text. Short forms for tables; the exact value belongs beside them, in a title.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const WHOLE = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** 1234567 -> "1,234,567". @param {number} value */
export const integer = (value) => WHOLE.format(value);

/** 1234567 -> "1.23M". @param {number} value */
export const compact = (value) => (value < 10_000 ? WHOLE.format(value) : COMPACT.format(value));

/** "1 execution", "2 executions". @param {number} count @param {string} noun */
export const counted = (count, noun) => `${integer(count)} ${noun}${count === 1 ? "" : "s"}`;

/**
 * US dollars, with four decimals, or as many more as a small amount needs.
 * @param {number} value
 */
export function dollars(value) {
  // A number that is valid JSON and larger than any that JavaScript has.
  if (!Number.isFinite(value)) return "over $1e308";
  if (value === 0) return "$0";
  if (value >= 1e15 || value < 1e-6) return `$${value.toPrecision(3)}`;
  if (value >= 0.01) return `$${value.toFixed(value >= 100 ? 2 : 4)}`;
  return `$${value.toFixed(6).replace(/00$|0$/, "")}`;
}

/**
 * The exact sum of amounts as JavaScript writes them: 0.1 and 0.2 are 0.3.
 * @param {number[]} amounts
 * @returns {string}
 */
export function exactSum(amounts) {
  const parts = amounts.filter(Number.isFinite).map((amount) => {
    const [mantissa = "0", exponent = "0"] = String(amount).split("e");
    const [whole = "0", decimals = ""] = mantissa.split(".");
    return { digits: BigInt(whole + decimals), scale: decimals.length - Number(exponent) };
  });
  const scale = Math.max(0, ...parts.map((part) => part.scale));
  const sum = parts.reduce((total, part) => total + part.digits * 10n ** BigInt(scale - part.scale), 0n);
  const text = String(sum).padStart(scale + 1, "0");
  const decimals = scale === 0 ? "" : text.slice(-scale).replace(/0+$/, "");
  return text.slice(0, text.length - scale) + (decimals && `.${decimals}`);
}

/** @param {number} value @param {string} unit */
const padded = (value, unit) => `${String(value).padStart(2, "0")} ${unit}`;

/**
 * A duration: "38 ms", "4.2 s", "4 min 05 s", "3 h 12 min", "2 d 4 h".
 * @param {number} ms
 */
export function duration(ms) {
  // Rounded down throughout: a duration that counts must not show a minute before it is one.
  if (ms < SECOND) return `${Math.floor(Math.max(0, ms))} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${padded(Math.floor((ms % MINUTE) / SECOND), "s")}`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${padded(Math.floor((ms % HOUR) / MINUTE), "min")}`;
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

/** The largest unit alone: "12 s", "4 min", "3 h", "2 d". @param {number} ms */
export function rough(ms) {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/**
 * A moment, as seen from now: "12 s ago", "in 4 min".
 * @param {number} at
 * @param {number} now
 */
export function relative(at, now) {
  const ms = now - at;
  if (Math.abs(ms) < 2 * SECOND) return "now";
  return ms > 0 ? `${rough(ms)} ago` : `in ${rough(-ms)}`;
}

/**
 * A moment to the millisecond, in UTC or in the browser's time zone, with the zone said.
 * @param {number} at milliseconds since 1970
 * @param {boolean} utc
 */
export function exact(at, utc) {
  const offset = utc ? 0 : -new Date(at).getTimezoneOffset();
  const shifted = new Date(at + offset * MINUTE);
  if (Number.isNaN(shifted.getTime())) return "an unknown time";
  const [date, time = ""] = shifted.toISOString().split("T");
  const hours = String(Math.floor(Math.abs(offset) / 60)).padStart(2, "0");
  const minutes = String(Math.abs(offset) % 60).padStart(2, "0");
  const zone = utc ? "UTC" : `${offset < 0 ? "-" : "+"}${hours}:${minutes}`;
  return `${date} ${time.slice(0, -1)} ${zone}`;
}

/** A size of text: "812 bytes", "1.4 MB". @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return counted(bytes, "byte");
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A word for a POSIX shell, quoted. @param {string} word */
export const shellQuote = (word) => `'${word.replaceAll("'", `'\\''`)}'`;
