/** The scenarios without a gateway: the same calls have the same results, else a comparison with the gateway would say nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Replica, startReplica } from "../../../envoy/replica/index.ts";
import { UPSTREAM_MODELS } from "./scenario.ts";
import { SCENARIOS, TWIN } from "./scenarios.ts";

let replica: Replica;
beforeAll(async () => {
  replica = await startReplica(TWIN);
});
afterAll(() => replica?.close());

test.each(SCENARIOS.map((one) => [one.name, one] as const))("%s", async (_, { run, shows }) => {
  const target = { url: replica.url, models: UPSTREAM_MODELS };
  const first = await run(target);
  for (const text of shows) expect(JSON.stringify(first)).toContain(text);
  expect(await run(target)).toEqual(first);
});

test("no two scenarios have the same name", () => {
  expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
});
