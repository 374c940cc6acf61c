import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { discovered } from "../../test/fixtures/discovery/endpoints.ts";
import { silentLogger } from "../log.ts";
import { MemoryStore } from "../state/records/memory-store.ts";
import { checkKey } from "../state/records/store.ts";
import { EndpointMemory, recordKey } from "./endpoint-memory.ts";
import { MAX_ANSWER_BYTES, MAX_ENDPOINTS } from "./limits.ts";
import type { DiscoveredEndpoint } from "./source.ts";

const rich: DiscoveredEndpoint = {
  id: "node-7/web:1",
  address: "2001:db8::7",
  port: 8080,
  ports: new Map([["grpc", 9090]]),
  weight: 250,
  health: "degraded",
  locality: { region: "eu", zone: "eu-1", subZone: "rack-3" },
  labels: new Map([
    ["accelerator", "gpu-a"],
    ["model.tokenmesh.io/m", "true"],
  ]),
};

function memoryOver(store = new MemoryStore(), log = silentLogger) {
  return { store, memory: new EndpointMemory({ store, now: () => 123, log }) };
}

describe("remembered endpoints", () => {
  it("come back as they were, with the time", async () => {
    const { memory } = memoryOver();
    memory.save("default/consul", "web", [rich, discovered(1)]);
    await memory.settled();
    expect(await memory.load("default/consul", "web")).toEqual(
      expect.objectContaining({ at: 123, endpoints: [discovered(1), rich] }),
    );
    expect(await memory.load("default/consul", "api")).toBeUndefined();
  });

  it("are the newest of several, written one after the other; the same again is not written", async () => {
    let puts = 0;
    const store = new MemoryStore();
    const counting = {
      get: (key: string) => store.get(key),
      delete: (key: string) => store.delete(key),
      put: (key: string, value: string) => {
        puts++;
        return store.put(key, value);
      },
    };
    const memory = new EndpointMemory({ store: counting, now: () => 123, log: silentLogger });
    for (let i = 1; i <= 20; i++) memory.save("default/s", "web", [discovered(i)]);
    await memory.settled();
    expect(puts).toBeLessThanOrEqual(2);
    expect((await memory.load("default/s", "web"))?.endpoints).toEqual([discovered(20)]);
    memory.save("default/s", "web", [discovered(20)]);
    await memory.settled();
    expect(puts).toBeLessThanOrEqual(2);
    memory.save("default/s", "web", []);
    memory.forget("default/s", "web");
    await memory.settled();
    expect(await memory.load("default/s", "web")).toBeUndefined();
  });

  it("fit in a record, however many there are", async () => {
    const many = Array.from({ length: MAX_ENDPOINTS }, (_, i) => ({
      ...rich,
      id: `instance-${(i * 2_654_435_761) % 2 ** 32}`,
      address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
    }));
    const { memory } = memoryOver();
    memory.save("default/s", "web", many);
    await memory.settled();
    expect((await memory.load("default/s", "web"))?.endpoints).toHaveLength(MAX_ENDPOINTS);
  });

  it("have keys that every store takes and no two services share", () => {
    const names = [
      ["default/s", "web"],
      ["default/s", "WEB"],
      ["default/s", "ns/web"],
      ["default/s/ns", "web"],
      ["default/s", "web_1"],
      ["default/s", "x".repeat(253)],
      ["default/s", "ü\n\0"],
      ["default/s", ""],
    ] as const;
    const keys = names.map(([source, service]) => recordKey(source, service));
    for (const key of keys) expect(() => checkKey(key)).not.toThrow();
    // The third and the fourth are the same text: a record says whose it is.
    expect(new Set(keys).size).toBe(names.length - 1);
  });

  it("are nothing when the record is another's, damaged or hostile", async () => {
    const lines: string[] = [];
    const { store, memory } = memoryOver(undefined, (_level, message) => lines.push(message));
    const key = recordKey("default/s", "web");
    const hostile = [
      "",
      "nonsense",
      "null",
      "[]",
      "{}",
      // More than anybody has written here, however small it is in the store.
      `gzip:${gzipSync(`{"source":"default/s","service":"web","at":1,"endpoints":[]}${" ".repeat(MAX_ANSWER_BYTES)}`).toString("base64")}`,
      '{"source":"default/s","service":"web","at":"x","endpoints":[]}',
      '{"source":"default/t","service":"web","at":1,"endpoints":[]}',
      '{"source":"default/s","service":"web","at":1,"endpoints":[{"id":"a","address":"evil.example","port":1,"weight":1,"health":"healthy","labels":[]}]}',
      '{"source":"default/s","service":"web","at":1,"endpoints":[{"id":"b","address":"10.0.0.1","port":8001,"weight":-5,"health":"odd","labels":{}}]}',
    ];
    for (const value of hostile) {
      await store.put(key, value);
      expect(await memory.load("default/s", "web"), value).toBeUndefined();
    }
  });

  it("take the place of a record that cannot be read", async () => {
    const { store, memory } = memoryOver();
    await store.put(recordKey("default/s", "web"), "nonsense");
    memory.save("default/s", "web", [rich]);
    await memory.settled();
    expect((await memory.load("default/s", "web"))?.endpoints).toEqual([rich]);
  });

  it("do without a store that is down", async () => {
    const lines: string[] = [];
    const { store, memory } = memoryOver(undefined, (_level, message) => lines.push(message));
    await store.close();
    memory.save("default/s", "web", [rich]);
    await memory.settled();
    expect(await memory.load("default/s", "web")).toBeUndefined();
    expect(lines).toEqual(["endpoints cannot be remembered", "remembered endpoints cannot be read"]);
  });
});
