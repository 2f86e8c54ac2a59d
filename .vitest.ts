import { defineConfig } from "vitest/config";

/** The tests of every change: fast, and able to run beside other work on two cores. */
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/long/**", "node_modules/**"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Two files at once: those that wait for a socket or a child process leave the core to one that computes.
    maxWorkers: 2,
    // A worker loads the sources once and not for each file, so a test that changes its process must change it back.
    isolate: false,
  },
});
