// Numbers, sizes and times as text.

/** A number of the API: numbers that are not finite come as strings, and none as null. */
export function numeric(value) {
  return value === null || value === undefined ? null : Number(value);
}

export function number(value, digits = 6) {
  const x = numeric(value);
  if (x === null) return "–";
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1e-3 && size < 1e6
    ? String(Number(x.toPrecision(digits)))
    : x.toExponential(Math.max(0, digits - 3)).replace(/\.?0*e\+?/, "e");
  return text.replaceAll("-", "−");
}

export function whole(value) {
  return value === null || value === undefined ? "–"
    : Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let index = 0;
  let x = value;
  while (Math.abs(x) >= 1000 && index < units.length - 1) {
    x /= 1000;
    index += 1;
  }
  return `${index === 0 ? x : x.toPrecision(3)} ${units[index]}`;
}

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 1e-3) return `${number(seconds * 1e6, 3)} µs`;
  if (seconds < 1) return `${number(seconds * 1e3, 3)} ms`;
  if (seconds < 60) return `${number(seconds, 3)} s`;
  const parts = (size, large, part, small) =>
    `${Math.floor(seconds / size)} ${large} ${Math.floor((seconds % size) / part)} ${small}`;
  if (seconds < 3600) return parts(60, "min", 1, "s");
  return seconds < 86400 ? parts(3600, "h", 60, "min") : parts(86400, "d", 3600, "h");
}

export function age(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  if (!(seconds >= 1)) return "now";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, unit] = units.find(([length]) => seconds >= length);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export function clock(time) {
  return time ? new Date(time).toLocaleString() : "–";
}

const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** 10 to a power, as axes have it. */
export function powerOfTen(value) {
  const power = Math.round(Math.log10(Math.abs(value)));
  if (Math.abs(10 ** power / Math.abs(value) - 1) > 1e-6) return number(value, 3);
  if (power >= -2 && power <= 3) return String(Number(value.toPrecision(3))).replace("-", "−");
  const exponent = [...String(power)].map((digit) => digits[digit] ?? "⁻").join("");
  return `${value < 0 ? "−" : ""}10${exponent}`;
}

export function plural(count, one, many = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

export const states = {
  idle: "idle", evaluating: "waits for an evaluation", awaiting_hook: "waits for a hook",
};
