import { readFileSync, readdirSync } from "node:fs";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";
import { parseQuery, written } from "./src/data/queryText";

/** Gives the server the texts that the pages send, so that it knows its own queries from people's. */
function queries(): Plugin {
  const folder = new URL("queries/", import.meta.url);
  return {
    name: "queries",
    generateBundle() {
      const files = readdirSync(folder).filter((file) => file.endsWith(".sql")).sort();
      const texts = files.map((file) => written(parseQuery(file, readFileSync(new URL(file, folder), "utf8")), "{n}"));
      this.emitFile({ type: "asset", fileName: "queries.json", source: JSON.stringify(texts) });
    },
  };
}

// Relative everywhere: the UI works under any prefix.
export default defineConfig({
  base: "./",
  plugins: [react(), queries()],
  publicDir: "public",
  build: {
    outDir: "dist",
    // scripts/clean.mjs does it: the folder itself is in the repository.
    emptyOutDir: false,
    sourcemap: false,
    minify: "terser",
    target: "es2022",
    modulePreload: { polyfill: false },
    // Every file is a file: nothing is put into the page or the styles.
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/api": process.env["PGANALYTICS_BACKEND"] ?? "http://127.0.0.1:8080" } },
  test: { include: ["src/**/*.test.{ts,tsx}"] },
});
