import { defineConfig } from "vitest/config";

/**
 * unit: pure code and the Proxy-Wasm test host; no Envoy, no network beyond loopback.
 * integration: against real servers that take minutes to build (npm run test:integration).
 * envoy: everything that starts a real Envoy; two files at a time, which mostly wait: as many take half the time, and each as long as alone.
 */
export default defineConfig({
  test: {
    reporters: ["default", "./test/summary-reporter.ts"],
    projects: [
      {
        test: {
          name: "unit",
          setupFiles: ["./test/property-setup.ts"],
          include: ["{bench,envoy,filters,protos,test,xds-server}/**/*.test.ts"],
          exclude: ["**/*.envoy.test.ts", "**/*.integration.test.ts", "**/node_modules/**"],
          testTimeout: 20_000,
          maxWorkers: "100%",
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "integration",
          include: ["**/*.integration.test.ts"],
          exclude: ["**/node_modules/**", "build/**"],
          testTimeout: 120_000,
          hookTimeout: 300_000,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: "envoy",
          include: ["**/*.envoy.test.ts"],
          exclude: ["**/node_modules/**", "build/**"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
