/** Runs the table on a driver as vitest tests, minding the deviations that are known. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { processFacts } from "./process-facts.ts";
import { type Driver, narrow, type Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios.ts";

export interface Deviation {
  /** Name of the scenario, or `about` of a process fact. */
  scenario: string;
  /** "host", "envoy", or "envoy <version>". */
  on: string[];
  reason: string;
}

const deviations = JSON.parse(readFileSync(new URL("./known-deviations.json", import.meta.url), "utf8")) as Deviation[];

/** The deviation that covers a scenario on a target such as "host" or "envoy 1.40.0". */
export function deviationOf(
  scenario: string,
  target: string,
  list: readonly Deviation[] = deviations,
): Deviation | undefined {
  return list.find(
    (one) => one.scenario === scenario && one.on.some((on) => on === target || target.startsWith(`${on} `)),
  );
}

/** Passes when `check` passes, or when it fails as a known deviation says it does; a deviation that is gone fails. */
export async function checkWithDeviation(known: Deviation | undefined, check: () => Promise<void>): Promise<void> {
  if (!known) return check();
  const failure = await check().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure === undefined)
    throw new Error(`no longer deviates, take it out of known-deviations.json: ${known.reason}`);
}

async function runScenario(driver: Driver, { name, steps }: Scenario): Promise<void> {
  const seen = [];
  for (const step of steps) seen.push(narrow(await driver.run(name, step), step.expect, step));
  expect(seen).toEqual(steps.map(({ expect: wanted }) => wanted));
}

export function conformanceSuite(target: string, start: () => Promise<Driver>): void {
  describe(`conformance of ${target}`, () => {
    let driver: Driver;
    beforeAll(async () => {
      driver = await start();
    });
    afterAll(async () => {
      await driver?.stop();
    });

    test.each(processFacts)("process: $about", ({ about, measure, expect: wanted }) =>
      checkWithDeviation(deviationOf(about, target), () =>
        vi.waitFor(async () => expect(await measure(driver)).toEqual(wanted), { timeout: 3000, interval: 20 }),
      ),
    );
    test.each(scenarios)("$name: $about", (scenario) =>
      checkWithDeviation(deviationOf(scenario.name, target), () => runScenario(driver, scenario)),
    );
    test("the reload was counted", async () => {
      expect(await driver.stat("wasm.probe-reload.vm_reload_success")).toBe(1);
    });
  });
}

export function deviationsAreReal(): void {
  test("known deviations name scenarios of the table", () => {
    const names = new Set([...scenarios.map(({ name }) => name), ...processFacts.map(({ about }) => about)]);
    for (const { scenario, reason } of deviations) {
      expect(names).toContain(scenario);
      expect(reason.length).toBeGreaterThan(20);
    }
  });
}
