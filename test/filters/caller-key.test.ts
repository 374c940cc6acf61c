import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProxyWasmHost } from "../host/index.ts";
import { hasTrapped } from "./host-view.ts";
import { chat, type Headers } from "./router-driver.ts";

/** Whose request it is: which requests have one key, and which never do. */

const WASM = "build/test-wasm/caller-key-stage.wasm";

interface Key {
  /** By `writeKey` and by `hashKey`. */
  readonly complete: string;
  readonly hash: string;
  /** What `writeKey` has written: of each value whether it is there, its length, and itself. */
  readonly values: string;
}

async function keyed(key: readonly object[]): Promise<(headers: Headers, body?: object) => Key> {
  const host = await ProxyWasmHost.load(WASM, { workers: 1 });
  const plugin = host.plugin({
    name: "k",
    rootId: "caller-key-stage",
    config: { key },
    allowOnHeadersStopIteration: true,
  });
  return (headers, body = { model: "m", messages: [] }) => {
    host.logs.length = 0;
    const stream = plugin.stream().requestHeaders([...chat(), ...headers]);
    stream.requestBody(JSON.stringify(body), { endOfStream: true });
    expect(hasTrapped(host)).toBe(false);
    const line = host.logs.find(({ message }) => message.startsWith("key "))?.message ?? "";
    stream.end();
    const [, complete = "", hash = "", values = ""] = line.split(" ");
    return { complete, hash, values: Buffer.from(values, "hex").toString("latin1") };
  };
}

const there = (value: string) => `\x01${value.length}\0${value}`;
const missing = "\x000\0";

describe("the values of a key", () => {
  it("stand in the order of its parts, each behind its length", async () => {
    const of = await keyed([{ header: "x-user" }, { model: true }, { tenant: true }, { constant: "c" }]);
    const { complete, values } = of([
      ["x-user", "ann"],
      ["x-tenant", "t"],
    ]);
    expect([complete, values]).toEqual(["11", there("ann") + there("m") + there("t") + there("c")]);
  });

  it("say which are missing, and an empty one is none", async () => {
    const of = await keyed([{ header: "x-user" }, { constant: "c" }]);
    for (const headers of [[], [["x-user", ""]]] as Headers[])
      expect(of(headers)).toMatchObject({ complete: "00", values: missing + there("c") });
  });

  it("have all credentials, not the first alone: nobody knows here by which of them the upstream goes", async () => {
    const of = await keyed([{ apiKey: true }]);
    const none = missing.repeat(3);
    expect(of([["authorization", "Bearer a"]])).toMatchObject({ complete: "11", values: there("Bearer a") + none });
    expect(of([["x-goog-api-key", "g"]])).toMatchObject({ complete: "11", values: none + there("g") });
    expect(of([])).toMatchObject({ complete: "00", values: none + missing });
    // Two callers with the same placeholder in the header that comes first have one budget, and never one answer.
    const both = ["1", "2"].map((key) =>
      of([
        ["authorization", "Bearer dummy"],
        ["x-api-key", key],
      ]),
    );
    expect(both[0]?.hash).toBe(both[1]?.hash);
    expect(both[0]?.values).not.toBe(both[1]?.values);
  });
});

it("two requests have the same text only if they have the same values", async () => {
  const of = await keyed([{ header: "x-a" }, { header: "x-b" }, { apiKey: true }]);
  // Of the bytes that the text is made of, so that one value may look like the end of another and the beginning of the next.
  const value = fc.option(fc.stringMatching(/^[01a]{1,4}$/), { nil: undefined, freq: 3 });
  const request = fc.record({ "x-a": value, "x-b": value, authorization: value, "x-api-key": value, "api-key": value });
  const headers = (of: Record<string, string | undefined>): Headers =>
    Object.entries(of).flatMap(([name, text]) => (text === undefined ? [] : [[name, text] as const]));
  fc.assert(
    fc.property(request, request, (one, two) => {
      const same = JSON.stringify(headers(one)) === JSON.stringify(headers(two));
      expect(of(headers(one)).values === of(headers(two)).values).toBe(same);
    }),
    { numRuns: 300 },
  );
});
