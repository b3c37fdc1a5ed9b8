import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: { outDir: "../../.cache/pictures/page", emptyOutDir: true, chunkSizeWarningLimit: 1e5, minify: false, target: "es2022" },
  define: { "process.env": {} },
  esbuild: { jsx: "automatic" },
  logLevel: "warn",
});
