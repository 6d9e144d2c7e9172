// Fails for a package that the page is made of, or built with, under a licence that nobody has looked at.
import { readFileSync } from "node:fs";

// What is shipped, and what only builds and tests it.
const shipped = new Set(["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "0BSD", "Unlicense"]);
const tools = new Set([...shipped, "MPL-2.0", "CC0-1.0", "CC-BY-4.0", "BlueOak-1.0.0", "Python-2.0"]);

const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
let bad = 0;
for (const [path, { license, dev, devOptional, optional }] of Object.entries(packages)) {
  if (path === "") continue;
  const allowed = dev || devOptional || optional ? tools : shipped;
  const words = String(license ?? "none").replace(/[()]/g, "").split(/ (?:OR|AND) /);
  if (words.some((word) => allowed.has(word))) continue;
  console.error(`licence of ${path}: ${license ?? "none named"}`);
  bad += 1;
}
process.exit(bad > 0 ? 1 : 0);
