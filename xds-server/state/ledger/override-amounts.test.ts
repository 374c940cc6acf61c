import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../../../envoy/harness/index.ts";
import { Model, requestsOf, type Script, scriptAndShadow, withoutReset } from "../../../test/fixtures/ledger-model.ts";
import { RedisServer, storeBinaries } from "../../../test/fixtures/redis-server.ts";
import { MemoryStore } from "./memory-store.ts";
import { RedisStore } from "./redis-store.ts";
import { type ChargeAnswer, type ChargeRequest, type KeptMeter, type LedgerStore, Mode } from "./store.ts";

/** Which amounts of overrides stores remember: against a model that has one map, and that decisions do not depend on them. */

/** The scripts of the other store tests, with amounts that come with most calls and change. */
function overridden(script: Script, shadow: boolean): readonly ChargeRequest[] {
  return requestsOf(script, shadow).map((request) => ({
    ...request,
    charges: request.charges.map((charge) => ({
      ...charge,
      meters: charge.meters.map((spec, index) => ({
        ...spec,
        amount: spec.amount + (charge.hits % 5),
        override: (charge.hits + index) % 4 !== 0,
      })),
    })),
  }));
}

/** By budget and meter; a meter that was never written has no entry. */
class Amounts {
  readonly #kept = new Map<string, Map<string, number | undefined>>();

  step({ charges }: ChargeRequest, { admitted, replayed }: ChargeAnswer): void {
    const made = charges.filter((_, index) => replayed[index] === false);
    const newest = new Map<string, number | undefined>();
    const all = made.flatMap((charge) => charge.meters.map((spec) => ({ charge, spec })));
    for (const { charge, spec } of all) {
      const name = `${charge.key} ${spec.field}`;
      const known = newest.get(name) ?? this.#kept.get(charge.key)?.get(spec.field);
      const asks = charge.mode === Mode.reserve || charge.mode === Mode.record;
      newest.set(name, spec.override === true && (asks || known === undefined) ? spec.amount : known);
    }
    const written = (charge: ChargeRequest["charges"][number], field: string) =>
      charge.mode !== Mode.reserve || (admitted && charge.hits > 0) || this.#kept.get(charge.key)?.has(field) === true;
    for (const { charge, spec } of all.filter(({ charge, spec }) => written(charge, spec.field))) {
      const meters = this.#kept.get(charge.key) ?? new Map<string, number | undefined>();
      this.#kept.set(charge.key, meters.set(spec.field, newest.get(`${charge.key} ${spec.field}`)));
    }
  }

  of(key: string): readonly KeptMeter[] {
    return sorted([...(this.#kept.get(key) ?? [])].map(([field, amount]) => ({ field, amount })));
  }
}

const sorted = (meters: readonly KeptMeter[]) => [...meters].sort((a, b) => (a.field < b.field ? -1 : 1));
const KEYS = [0, 1, 2, 3].map((budget) => `{d}:b:${budget}`);

async function follow(store: LedgerStore, script: Script, shadow: boolean): Promise<void> {
  const amounts = new Amounts();
  const model = new Model();
  for (const request of overridden(script, shadow)) {
    const answer = await store.charge(request);
    expect(withoutReset(answer)).toEqual(model.charge(request));
    amounts.step(request, answer);
    for (const key of KEYS) expect(sorted(await store.meters(key))).toEqual(amounts.of(key));
  }
}

describe("amounts of overrides", () => {
  it("are remembered in memory as the model has them", async () => {
    const run = (script: Script, shadow: boolean) => follow(new MemoryStore(), script, shadow);
    await fc.assert(fc.asyncProperty(...scriptAndShadow, run), { numRuns: 200 });
  });

  describe.each(storeBinaries())("on $name", ({ binary }) => {
    if ("reason" in binary) {
      it("are remembered", ({ skip }) => skip(binary.reason));
      return;
    }
    let server: RedisServer;
    let store: RedisStore;
    let direct: Redis;
    beforeAll(async () => {
      server = await RedisServer.startBinary(binary);
      direct = new Redis(server.url);
      store = new RedisStore({ url: server.url, timeoutMs: 5_000 });
      await waitFor(() => store.up(), { what: "Redis" });
    });
    afterAll(async () => {
      await store?.close();
      direct?.disconnect();
      await server?.stop();
    });

    it("are remembered as the model has them", async () => {
      const run = async (script: Script, shadow: boolean) => {
        await direct.flushall();
        await follow(store, script, shadow);
      };
      await fc.assert(fc.asyncProperty(...scriptAndShadow, run), { numRuns: 60 });
    }, 60_000);
  });
});
