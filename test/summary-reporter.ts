import type { Reporter, TestModule } from "vitest/node";

/**
 * Prints why tests were skipped, and the closing line `N passed, N failed` that a machine can read; a file that fails to load counts as one
 * failure.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>): void {
    let passed = 0;
    let failed = unhandledErrors.length;
    const skipped: string[] = [];
    for (const module of modules) {
      failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") passed++;
        else if (result.state === "failed") failed++;
        else {
          const reason = result.state === "skipped" ? result.note : undefined;
          skipped.push(`skipped: ${test.fullName}: ${reason ?? "no reason given"}\n`);
        }
      }
    }
    process.on("exit", () => {
      process.stdout.write(`${skipped.join("")}${passed} passed, ${failed} failed\n`);
    });
  }
}
