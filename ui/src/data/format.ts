// Figures and times as people read them. Units are those of the catalogue.

const digits = (value: number, most = 3): string => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const places = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : Math.min(most + 1, 6);
  return new Intl.NumberFormat("en", { maximumFractionDigits: places, useGrouping: true }).format(value);
};

function scaled(value: number, base: number, names: string[]): string {
  let [at, rest] = [0, value];
  while (Math.abs(rest) >= base * 0.9995 && at < names.length - 1) {
    rest /= base;
    at += 1;
  }
  return `${digits(rest, 2)} ${names[at] ?? ""}`.trim();
}

const bytes = (value: number): string => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);

/** Seconds as the two largest units that say something. */
export function span(seconds: number): string {
  const size = Math.abs(seconds);
  if (size < 1e-3) return seconds === 0 ? "0 s" : `${digits(seconds * 1e6)} µs`;
  if (size < 1) return `${digits(seconds * 1e3)} ms`;
  if (size < 60) return `${digits(seconds)} s`;
  const sign = seconds < 0 ? "-" : "";
  const units: [number, string][] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([length]) => size >= length);
  const [length, name] = units[first] ?? [1, "s"];
  const next = units[first + 1];
  const whole = Math.floor(size / length);
  const rest = next ? Math.floor((size - whole * length) / next[0]) : 0;
  return `${sign}${whole} ${name}${next && rest > 0 ? ` ${rest} ${next[1]}` : ""}`;
}

/** A value in its unit; a dash where there is none. */
export function figure(value: unknown, unit = ""): string {
  if (value === null || value === undefined || value === "") return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return "–";
  switch (unit) {
    case "B":
    case "bytes":
      return bytes(value);
    case "B/s":
      return `${bytes(value)}/s`;
    case "s":
    case "seconds":
      return span(value);
    case "ms":
    case "milliseconds":
      return span(value / 1000);
    case "ratio":
      return `${digits(value * 100)} %`;
    case "%":
    case "percent":
      return `${digits(value)} %`;
    case "1/s":
      return `${scaled(value, 1000, ["", "k", "M", "G"])}/s`;
    default:
      return scaled(value, 1000, ["", "k", "M", "G", "T"]);
  }
}

/** The change from one figure to another in percent; null where that means nothing. */
export function change(before: unknown, after: unknown): number | null {
  if (typeof before !== "number" || typeof after !== "number" || before <= 0) return null;
  return ((after - before) / before) * 100;
}

export const percent = (value: number): string => `${value > 0 ? "+" : value < 0 ? "−" : ""}${digits(Math.abs(value))} %`;

export type Zone = "local" | "utc";

const zoneOf = (zone: Zone): { timeZone?: string } => (zone === "utc" ? { timeZone: "UTC" } : {});

export const clock = (at: number, zone: Zone, seconds = true): string =>
  new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", ...(seconds ? { second: "2-digit" } : {}), ...zoneOf(zone) }).format(at);

export const dateTime = (at: number, zone: Zone): string =>
  new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", ...zoneOf(zone) }).format(at);

export const dayAndTime = (at: number, zone: Zone): string =>
  new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", ...zoneOf(zone) }).format(at);

/** What a field for a date and a time takes. */
export function forField(at: number, zone: Zone): string {
  const moved = zone === "utc" ? at : at - new Date(at).getTimezoneOffset() * 60_000;
  return new Date(moved).toISOString().slice(0, 16);
}

export const readField = (text: string, zone: Zone): number => Date.parse(`${text}${zone === "utc" ? "Z" : ""}`);

/** `160004` is 16.4. */
export const version = (number: unknown): string =>
  typeof number === "number" ? `${Math.floor(number / 10_000)}.${number % 10_000}` : "–";

/** A text on one line, cut where it gets long. */
export function oneLine(text: unknown, most = 300): string {
  const line = String(text ?? "").slice(0, most * 4).replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
