import fc from "fast-check";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import { chat, type Headers, RouterHost, sent } from "./router-driver.ts";

/** The weighted choice among the targets of a rule: shares, and keys that stay where they are. */

const names = Array.from({ length: 16 }, (_, i) => `t${i}`);
const targets = Object.fromEntries(names.map((name) => [name, { route: name }]));

const configFor = (weights: readonly number[], more: object = {}) => ({
  tenantHeader: "x-tenant",
  targets,
  rules: [{ name: "r", targets: weights.map((weight, i) => ({ target: `t${i}`, weight })), ...more }],
});

/** Which target a request goes to. */
function indexOf(gateway: RouterHost, body: object = {}, headers: Headers = [], worker = 0): number {
  const stream = gateway.send(JSON.stringify({ model: "m", ...body }), [...chat(), ...headers], worker);
  return Number(sent(stream).route?.slice(1));
}

function shares(gateway: RouterHost, weights: readonly number[], requests: number): number[] {
  const counts = weights.map(() => 0);
  for (let i = 0; i < requests; i++) {
    const index = indexOf(gateway);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts;
}

describe("by weight alone", () => {
  it.each([
    [[1, 1]],
    [[9, 1]],
    [[0, 1, 0, 3, 0]],
    [[1_000_000, 1_000_000]],
    [Array.from({ length: 16 }, () => 1_000_000)],
    [Array.from({ length: 16 }, (_, i) => i)],
  ])("%j gets its shares", async (weights) => {
    const gateway = await RouterHost.start(configFor(weights));
    const requests = 2000;
    const counts = shares(gateway, weights, requests);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // Chi-squared with at most 15 degrees of freedom stays below 38 in 999 of 1,000 runs, and this run is always the same one.
    let deviation = 0;
    for (const [i, weight] of weights.entries()) {
      const expected = (requests * weight) / total;
      if (weight === 0) expect(counts[i]).toBe(0);
      else deviation += ((counts[i] ?? 0) - expected) ** 2 / expected;
    }
    expect(deviation).toBeLessThan(38);
  });

  it("takes 1 for a weight that is not given, and a single target always", async () => {
    const gateway = await RouterHost.start({
      targets,
      rules: [{ name: "r", targets: [{ target: "t0", weight: 0 }, { target: "t1" }] }],
    });
    for (let i = 0; i < 50; i++) expect(indexOf(gateway)).toBe(1);
  });

  it("is the same sequence for the same clock, another one at another time", async () => {
    const sequence = async (epochMs: number) => {
      const gateway = await RouterHost.start(configFor([1, 1, 1, 1]), { epochMs });
      return Array.from({ length: 40 }, () => indexOf(gateway)).join("");
    };
    expect(await sequence(1e12)).toBe(await sequence(1e12));
    expect(await sequence(1e12)).not.toBe(await sequence(1e12 + 1));
  });
});

const { h64Raw } = await xxhash();

/** The definition: a hash of 32 bits, scaled to the sum of the weights. */
function targetOf(key: string, weights: readonly number[]): number {
  const total = BigInt(weights.reduce((sum, weight) => sum + weight, 0));
  const point = ((h64Raw(Buffer.from(key).subarray(0, 256)) >> 32n) * total) >> 32n;
  let end = 0;
  return weights.findIndex((weight) => {
    end += weight;
    return point < BigInt(end);
  });
}

describe("by key", () => {
  const weights = [3, 1, 0, 4];
  const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`);
  const sources: [name: string, stickyBy: string, place: (key: string) => [object, Headers]][] = [
    ["session_id", "session", (key) => [{ session_id: key }, []]],
    ["prompt_cache_key", "session", (key) => [{ prompt_cache_key: key }, []]],
    ["metadata.user_id", "session", (key) => [{ metadata: { user_id: key } }, []]],
    ["safety_identifier", "session", (key) => [{ safety_identifier: key }, []]],
    ["user", "session", (key) => [{ user: key }, []]],
    ["the tenant", "tenant", (key) => [{}, [["x-tenant", key]]]],
    ["a header", "header:x-user", (key) => [{}, [["x-user", key]]]],
  ];

  it.each(sources)(
    "%s: the same target for ever, on every worker and after every update",
    async (_name, stickyBy, place) => {
      const gateway = await RouterHost.start(configFor(weights, { stickyBy }), { workers: 2 });
      const ask = (worker: number) => keys.map((key) => indexOf(gateway, ...place(key), worker));
      const expected = keys.map((key) => targetOf(key, weights));
      expect(ask(0)).toEqual(expected);
      expect(ask(1)).toEqual(expected);
      expect(gateway.router.update(configFor(weights, { stickyBy, match: { models: ["*"] } })).accepted).toBe(true);
      expect(ask(0)).toEqual(expected);
      expect(new Set(expected)).toEqual(new Set([0, 1, 3]));
    },
  );

  it("asks what names a conversation before what names a user", async () => {
    const gateway = await RouterHost.start(configFor(weights, { stickyBy: "session" }));
    const order = ["session_id", "prompt_cache_key", "metadata", "safety_identifier", "user"];
    for (let first = 0; first < order.length; first++) {
      const members = order.slice(first).map((name, i) => [name, i === 0 ? "key-3" : "key-0"] as const);
      const body = Object.fromEntries(members.map(([n, v]) => [n, n === "metadata" ? { user_id: v } : v]));
      expect(indexOf(gateway, body)).toBe(targetOf("key-3", weights));
    }
    expect(targetOf("key-3", weights)).not.toBe(targetOf("key-0", weights));
  });

  it.each([
    ["session", {}, []],
    ["session", { user: "" }, []],
    ["session", { user: 7 }, []],
    ["tenant", {}, []],
    ["tenant", {}, [["x-tenant", ""]]],
    ["header:x-user", {}, []],
  ] as [string, object, Headers][])(
    "%s without a key goes by weight alone (%j, %j)",
    async (stickyBy, body, headers) => {
      const gateway = await RouterHost.start(configFor([1, 1], { stickyBy }));
      const seen = new Set(Array.from({ length: 40 }, () => indexOf(gateway, body, headers)));
      expect(seen.size).toBe(2);
    },
  );

  it("cuts long keys of a body at 256 bytes, and takes joined headers as one key", async () => {
    const gateway = await RouterHost.start(configFor(weights, { stickyBy: "session" }));
    for (const key of ["x".repeat(256), "y".repeat(300), "é".repeat(200)])
      expect(indexOf(gateway, { user: key })).toBe(targetOf(key, weights));
    gateway.router.update(configFor(weights, { stickyBy: "header:x-user" }));
    for (const [a, b] of [
      ["key-0", "key-3"],
      ["key-1", "key-2"],
    ] as const) {
      expect(
        indexOf(gateway, {}, [
          ["x-user", a],
          ["x-user", b],
        ]),
      ).toBe(targetOf(`${a},${b}`, weights));
    }
  });

  it("moves only the keys whose share moved", async () => {
    const gateway = await RouterHost.start(configFor([1]));
    const weightsOf = (length: number) =>
      fc
        .array(fc.integer({ min: 0, max: 10 }), { minLength: length, maxLength: length })
        .map(([first = 0, ...rest]) => [first + 1, ...rest]);
    const pair = fc.integer({ min: 1, max: 6 }).chain((length) => fc.tuple(weightsOf(length), weightsOf(length)));
    fc.assert(
      fc.property(pair, ([before, after]) => {
        const ask = (weights: number[]) => {
          gateway.router.update(configFor(weights, { stickyBy: "tenant" }));
          return keys.map((key) => indexOf(gateway, {}, [["x-tenant", key]]));
        };
        const [old, now] = [ask(before), ask(after)];
        // Part of each target on a line from 0 to 1: a key may move only where the two lines differ.
        const ends = (weights: number[]) => {
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          let end = 0;
          return weights.map((weight) => {
            end += weight;
            return end / total;
          });
        };
        const [oldEnds, newEnds] = [ends(before), ends(after)];
        for (const [i, key] of keys.entries()) {
          const point = Number(h64Raw(Buffer.from(key)) >> 32n) / 2 ** 32;
          const moved = oldEnds.findIndex((end) => point < end) !== newEnds.findIndex((end) => point < end);
          expect(old[i] !== now[i]).toBe(moved);
        }
      }),
      { numRuns: 100 },
    );
  });
});
