// What one takes along of a panel: a picture, a table for a chat.
import { dateTime, figure } from "../data/format";
import type { Rows } from "../data/batch";
import { timeOf } from "../data/rows";

const MOST_ROWS = 50;

/** A cell of a Markdown table: nothing in it ends the cell or the table, or is taken for markup. */
export const cell = (text: string): string => text.replace(/\s+/g, " ").trim().slice(0, 200).replace(/[\\|`*_[\]<>]/g, (letter) => `\\${letter}`);

/** Rows as a Markdown table, with where they are from. */
export function markdown(title: string, address: string, answer: Rows, units: Record<string, string>): string {
  const names = answer.columns.map((column) => column.name);
  const text = (value: unknown, at: number): string => {
    const [name, type] = [names[at] ?? "", answer.columns[at]?.type ?? ""];
    if (value !== null && type.startsWith("timestamp")) return new Date(timeOf(String(value))).toISOString().replace(".000Z", "Z");
    return typeof value === "number" && units[name] ? figure(value, units[name]) : value === null ? "–" : String(value);
  };
  const line = (cells: string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  const rows = answer.rows.slice(0, MOST_ROWS).map((row) => line(row.map(text)));
  const more = answer.rows.length > MOST_ROWS ? `\n${answer.rows.length - MOST_ROWS} more rows` : "";
  return [`**${cell(title)}**`, "", line(names), `|${names.map(() => "---").join("|")}|`, ...rows].join("\n") + `${more}\n\n${address}\n`;
}

interface Picture {
  title: string;
  about: string;
  address: string;
  at: number;
}

/** The chart of a panel with its title, legend and address, twice as fine as on the screen; null: there is none. */
export async function picture(panel: Element, { title, about, address, at }: Picture): Promise<Blob | null> {
  const chart = panel.querySelector("canvas");
  if (!chart || chart.width === 0) return null;
  const style = getComputedStyle(panel);
  const [scale, width] = [2, chart.getBoundingClientRect().width];
  const height = chart.getBoundingClientRect().height;
  const legend = [...panel.querySelectorAll<HTMLElement>(".legend li")].map((item) => ({
    color: getComputedStyle(item.querySelector(".swatch") ?? item).backgroundColor,
    text: item.textContent ?? "",
  }));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [(width + 32) * scale, (height + 110) * scale];
  const pen = canvas.getContext("2d");
  if (!pen) return null;
  pen.scale(scale, scale);
  pen.fillStyle = style.backgroundColor;
  pen.fillRect(0, 0, width + 32, height + 110);
  pen.fillStyle = style.color;
  pen.font = "600 16px system-ui, sans-serif";
  pen.fillText(title, 16, 28, width);
  pen.font = "12px system-ui, sans-serif";
  pen.fillText(about, 16, 46, width);
  pen.drawImage(chart, 16, 54, width, height);
  let x = 16;
  for (const { color, text } of legend) {
    const long = pen.measureText(text).width + 30;
    if (x + long > width + 16) break;
    pen.fillStyle = color;
    pen.fillRect(x, height + 64, 10, 10);
    pen.fillStyle = style.color;
    pen.fillText(text, x + 14, height + 73);
    x += long;
  }
  pen.fillText(`${address}   ${dateTime(at, "utc")} UTC`, 16, height + 97, width);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
