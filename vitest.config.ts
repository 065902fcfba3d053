import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    globalSetup: ["test/servers.ts"],
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**", ".miette/**"],
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
