// Fails when what a browser loads is over its budget: gzip, in kB of 1,000 bytes; or when the build lacks
// the list by which the server knows the queries of the UI.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const size = (name) => gzipSync(readFileSync(`dist/assets/${name}`), { level: 9 }).length / 1000;
const names = readdirSync("dist/assets").filter((name) => /\.(js|css)$/.test(name));
const page = readFileSync("dist/index.html", "utf8");
const first = names.filter((name) => page.includes(name));
const lazy = names.filter((name) => !page.includes(name));
// The editor comes with the console only; the charts, which most pages share, are mostly uPlot.
const limits = [["first load", first, 200], ...lazy.map((name) => [name, [name], name.startsWith("editor") ? 140 : name.startsWith("TimeChart") ? 35 : 25])];
let over = 0;
for (const [what, files, limit] of limits) {
  const total = files.reduce((sum, name) => sum + size(name), 0);
  const good = total <= limit;
  if (!good) over += 1;
  console.log(`${good ? "ok  " : "OVER"} ${total.toFixed(1).padStart(7)} kB of ${limit}  ${what}`);
}
if (first.length === 0) throw new Error("the page names no file of dist/assets");
const queries = JSON.parse(readFileSync("dist/queries.json", "utf8"));
const wanted = readdirSync("queries").filter((name) => name.endsWith(".sql")).length;
if (queries.length !== wanted || queries.some((text) => text === "" || /[{}]/.test(text.replaceAll("{n}", ""))))
  throw new Error(`dist/queries.json has ${queries.length} queries, some may be unfinished; ui/queries has ${wanted}`);
process.exit(over > 0 ? 1 : 0);
