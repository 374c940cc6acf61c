import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { envoyAddress } from "../../xds-server/resources/picker-pools.ts";
import { ProxyWasmHost } from "../host/index.ts";

/** Which configurations the picker takes, and what it says of those that it refuses: every fault at once, with its place and what to write instead. */

const host = await ProxyWasmHost.load("build/filters/hash-ring.wasm", { workers: 1 });

/** Null for a configuration that is taken. */
function faultsOf(config: string | object): string[] | null {
  host.logs.length = 0;
  try {
    host.plugin({ name: "hash-ring", rootId: "hash-ring", config });
    return null;
  } catch {
    return host.logs.filter(({ level }) => level === "error").map(({ message }) => message.replace("hash-ring: ", ""));
  }
}

const one = { address: "10.0.0.1:80" };
const pool = (more: object): object => ({ pools: [{ name: "p", endpoints: [one], ...more }] });
const endpoint = (more: object): object => pool({ endpoints: [{ ...one, ...more }] });
const hashed = (more: object): object => pool({ policy: "consistent-hash", ...more });
const key = (...parts: unknown[]): object => hashed({ key: parts });
const affinity = (more: object): object => pool({ affinity: more });
const many = (count: number): object[] =>
  Array.from({ length: count }, (_, index) => ({ address: `10.0.${index >> 8}.${index & 255}:80` }));

const right: [name: string, config: object][] = [
  ["the least", { pools: [{ name: "p" }] }],
  ["no endpoints at the moment", pool({ endpoints: [] })],
  ["as many endpoints as there can be", pool({ endpoints: many(256) })],
  ["as many pools as there can be", { pools: Array.from({ length: 32 }, (_, index) => ({ name: `p${index}` })) }],
  ...[
    "prefix-affinity",
    "consistent-hash",
    "round-robin",
    "random",
    "least-request",
    "least-response-time",
    "weighted-round-robin",
  ].map((policy): [string, object] => [policy, pool({ policy })]),
  ["traffic", { ...pool({}), paths: ["/v1/chat/completions"], maxBodyBytes: 1000, tokensPerByte: 0.3 }],
  ["a tenant", { ...pool({ match: { tenants: ["a"] } }), tenantHeader: "x-tenant" }],
  ["a header of answers", { ...pool({}), servedHeader: "x-served" }],
  ["a feed", { ...pool({}), feed: { cluster: "loads", intervalMs: 50, maxAgeMs: 60_000 } }],
  ["a condition", pool({ match: { models: ["llama-*"], apis: ["openai.chat"] } })],
  ["all parts of a key", key({ header: "x-user" }, { cookie: "sid" }, { path: true }, { user: true })],
  ["the other parts of a key", key({ session: true }, { session: "x-session" }, { prefix: true })],
  ["a ring", hashed({ hash: { method: "ring", function: "sha1", points: 8192 } })],
  ["maglev", hashed({ hash: { method: "maglev", function: "murmur" } })],
  ["bounds", pool({ bound: 1.25, leastInflight: 1, maxInflight: 100_000, slowStartMs: 3_600_000 })],
  ["bounds of a hash", hashed({ bound: 10, leastInflight: 1000 })],
  ["affinity", affinity({ threshold: 0, slackTokens: 0, queueTokens: 100_000_000, requestTokens: 0, prefixTokens: 1 })],
  ["adapters and localities", pool({ loraAffinity: true, preferLocality: true, onNone: "refuse" })],
  ["loads in answers", pool({ orca: true })],
  ["shedding", pool({ shed: { header: "x-priority", values: ["batch", "-1"], waiting: 1, kvPercent: 100 } })],
  ["subsets", pool({ subset: { header: "x-subset", metadata: true } })],
  ["subsets of metadata only", pool({ subset: { metadata: true } })],
  [
    "an endpoint with everything",
    endpoint({
      weight: 1000,
      priority: 127,
      health: "degraded",
      locality: "eu/a/1",
      models: ["m"],
      adapters: ["a"],
      draining: true,
      labels: { gpu: "h100" },
    }),
  ],
  ...["10.0.0.1:1", "255.255.255.255:65535", "[::1]:80", "[fd00::1:2]:8000", "[::ffff:10.0.0.1]:80"].map(
    (address): [string, object] => [`address ${address}`, endpoint({ address })],
  ),
];

const wrong: [name: string, config: string | object, complaint: RegExp][] = [
  ["no JSON", "{", /^configuration: is not JSON/],
  ["no pools", {}, /^pools: missing; list at least one pool/],
  ["an empty list of pools", { pools: [] }, /^pools: must be a list of 1 to 32 entries/],
  ["too many pools", { pools: Array.from({ length: 33 }, (_, i) => ({ name: `p${i}` })) }, /^pools: must be a list/],
  ["an unknown field", { ...pool({}), pool: 1 }, /^pool: unknown field; remove it/],
  ["an unknown field of a pool", pool({ size: 1 }), /^pools\[0\]\.size: unknown field/],
  ["a pool without a name", { pools: [{}] }, /^pools\[0\]\.name: missing/],
  ["two pools of one name", { pools: [{ name: "p" }, { name: "p" }] }, /^pools\[1\]\.name: stands twice/],
  ["a name that is no name", pool({ name: "a b" }), /^pools\[0\]\.name: must be letters, digits/],
  ["a policy", pool({ policy: "fastest" }), /^pools\[0\]\.policy: must be one of prefix-affinity, consistent-hash,/],
  ["targets without a router", pool({ targets: ["a"] }), /^pools\[0\]\.targets: needs the router of llm-gateway/],
  ["a key of nothing", key(), /^pools\[0\]\.key: must be a list of 1 to 4/],
  [
    "a key of five parts",
    key(...Array.from({ length: 5 }, () => ({ path: true }))),
    /^pools\[0\]\.key: must be a list/,
  ],
  ["a part of nothing", key({}), /^pools\[0\]\.key\[0\]: must have one of header, cookie, path/],
  ["two things in one part", key({ path: true, user: true }), /^pools\[0\]\.key\[0\]: must have one of header/],
  ["a part that is not there", key({ path: false }), /^pools\[0\]\.key\[0\]\.path: must be true, or not there/],
  ["an unknown part", key({ ip: true }), /^pools\[0\]\.key\[0\]\.ip: unknown field/],
  ["a header that is removed", key({ header: "x-llm-a" }), /^pools\[0\]\.key\[0\]\.header: is removed from every/],
  ["a key of another policy", pool({ key: [{ path: true }] }), /^pools\[0\]\.key: needs policy consistent-hash/],
  ["a hash of another policy", pool({ hash: {} }), /^pools\[0\]\.hash: needs policy consistent-hash/],
  ["a hash function", hashed({ hash: { function: "md5" } }), /^pools\[0\]\.hash\.function: must be one of xxhash64/],
  ["a hash method", hashed({ hash: { method: "jump" } }), /^pools\[0\]\.hash\.method: must be one of rendezvous/],
  ["points", hashed({ hash: { method: "ring", points: 65_537 } }), /^pools\[0\]\.hash\.points: must be a whole/],
  [
    "points of all endpoints",
    hashed({ hash: { method: "ring", points: 65_536 }, endpoints: many(17) }),
    /^pools\[0\]\.hash\.points: times the weights of the endpoints is over 262144/,
  ],
  ["a bound below the mean", pool({ bound: 0.9 }), /^pools\[0\]\.bound: must be a number from 1 to 10/],
  [
    "a bound without a use",
    pool({ policy: "random", bound: 2 }),
    /^pools\[0\]\.bound: needs policy prefix-affinity or/,
  ],
  ["a least without a use", pool({ policy: "random", leastInflight: 2 }), /^pools\[0\]\.leastInflight: needs policy/],
  ["affinity of a hash", hashed({ affinity: {} }), /^pools\[0\]\.affinity: needs policy prefix-affinity/],
  [
    "a threshold over 1",
    affinity({ threshold: 1.1 }),
    /^pools\[0\]\.affinity\.threshold: must be a number from 0 to 1/,
  ],
  ["an unknown constant", affinity({ alpha: 1 }), /^pools\[0\]\.affinity\.alpha: unknown field/],
  ["tokens below 0", affinity({ queueTokens: -1 }), /^pools\[0\]\.affinity\.queueTokens: must be a whole number/],
  ["no prefix", affinity({ prefixTokens: 0 }), /^pools\[0\]\.affinity\.prefixTokens: must be a whole number from 1/],
  ["nobody's room", pool({ maxInflight: 0 }), /^pools\[0\]\.maxInflight: must be a whole number from 1/],
  ["loads in a word", pool({ orca: "yes" }), /^pools\[0\]\.orca: must be true or false/],
  ["what to do without endpoints", pool({ onNone: "wait" }), /^pools\[0\]\.onNone: must be one of fallback, refuse/],
  ["shedding by nothing", pool({ shed: { values: ["a"] } }), /^pools\[0\]\.shed\.header: missing/],
  ["shedding of nobody", pool({ shed: { header: "a" } }), /^pools\[0\]\.shed\.values: missing/],
  ["a subset by nothing", pool({ subset: {} }), /^pools\[0\]\.subset: must have header, or metadata: true/],
  ["a subset that clients cannot send", pool({ subset: { header: "x-llm-s" } }), /^pools\[0\]\.subset\.header: is rem/],
  ["too many endpoints", pool({ endpoints: many(257) }), /^pools\[0\]\.endpoints: must be a list of 0 to 256/],
  ["an endpoint twice", pool({ endpoints: [one, one] }), /^pools\[0\]\.endpoints\[1\]\.address: stands twice/],
  ["an endpoint without an address", pool({ endpoints: [{}] }), /^pools\[0\]\.endpoints\[0\]\.address: missing/],
  [
    "a weight of nothing",
    endpoint({ weight: 0 }),
    /^pools\[0\]\.endpoints\[0\]\.weight: must be a whole number from 1/,
  ],
  ["a priority", endpoint({ priority: 128 }), /^pools\[0\]\.endpoints\[0\]\.priority: must be a whole number from 0/],
  ["too many models", endpoint({ models: Array(17).fill("m") }), /^pools\[0\]\.endpoints\[0\]\.models: must be a list/],
  ["an unknown field of an endpoint", endpoint({ port: 1 }), /^pools\[0\]\.endpoints\[0\]\.port: unknown field/],
  ["a label that is a number", endpoint({ labels: { a: 1 } }), /^pools\[0\]\.endpoints\[0\]\.labels\.a: must be a/],
  ["a feed from nowhere", { ...pool({}), feed: {} }, /^feed\.cluster: missing/],
  ["an unknown health", endpoint({ health: "dead" }), /^pools\[0\]\.endpoints\[0\]\.health: must be one of/],
  [
    "a feed that is asked all the time",
    { ...pool({}), feed: { cluster: "c", intervalMs: 49 } },
    /^feed\.intervalMs: must/,
  ],
  ...[
    "10.0.0.1",
    "10.0.0.1:0",
    "10.0.0.1:65536",
    "10.0.0.1:080",
    "10.0.0.01:80",
    "10.0.0.256:80",
    "10.0.0:80",
    "10.0.0.1.2:80",
    "host:80",
    "::1:80",
    "[::1]",
    "[::1]:",
    "[::G]:80",
    "[FD00::1]:80",
    " 10.0.0.1:80",
    "10.0.0.1:80 ",
    "10.0.0.1:8a",
  ].map((address): [string, object, RegExp] => [
    `address ${JSON.stringify(address)}`,
    endpoint({ address }),
    /^pools\[0\]\.endpoints\[0\]\.address: must be an IP address and a port/,
  ]),
];

describe("the picker takes", () => {
  it.each(right)("%s", (_name, config) => expect(faultsOf(config)).toBeNull());

  it("every address of version 6 as the xDS server writes it", () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65_535 }), (address, port) => {
        expect(faultsOf(endpoint({ address: envoyAddress(address, port) }))).toBeNull();
      }),
      { numRuns: 200 },
    );
  });
});

describe("the picker refuses", () => {
  it.each(wrong)("%s", (_name, config, complaint) => {
    const faults = faultsOf(config) ?? [];
    expect(faults.length).toBe(1);
    expect(faults[0]).toMatch(complaint);
  });

  it("with all faults at once", () => {
    expect(faultsOf({ pools: [{ policy: "x", endpoints: [{ address: "y", weight: 0 }] }], feed: 1 })?.length).toBe(5);
  });
});
