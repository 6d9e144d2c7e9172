import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Relative everywhere: the UI works under any prefix.
export default defineConfig({
  base: "./",
  plugins: [react()],
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
