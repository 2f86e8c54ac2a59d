import { defineConfig } from "vitest/config";

/** Seeded campaigns and tests of many processes: minutes, one file at a time so that nothing is starved. */
export default defineConfig({
  test: {
    include: ["test/long/**/*.test.ts"],
    testTimeout: 1_200_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    passWithNoTests: true,
  },
});
