import { describe, expect, it } from "vitest";
import { ProxyWasmHost } from "../host/index.ts";

/** What the filter says of a configuration that it refuses: where the fault is and what to write instead, all faults at once. */

const host = await ProxyWasmHost.load("build/filters/token-rate-limit.wasm", { workers: 1 });

function faultsOf(config: string | object): string[] {
  host.logs.length = 0;
  expect(() => host.plugin({ name: "token-rate-limit", rootId: "token-rate-limit", config })).toThrow();
  return host.logs
    .filter(({ level }) => level === "error")
    .map(({ message }) => message.replace("token-rate-limit: ", ""));
}

const tokens = { unit: "tokens", amount: 1000, per: "minute" };
const rule = (more: object) => ({ rules: [{ name: "r", limits: [tokens], ...more }] });
const limit = (more: object) => rule({ limits: [{ ...tokens, ...more }] });
const money = (more: object) => rule({ limits: [{ unit: "money", amount: 1, per: "day" }], ...more });
const price = { model: "*", input: 1, output: 1 };

const wrong: [name: string, config: string | object, complaint: RegExp][] = [
  ["no JSON", "{", /^configuration: is not JSON: .* at byte 1/],
  ["a list", [], /^configuration: must be an object/],
  ["no rules", {}, /^rules: missing; list at least one rule/],
  ["an unknown field", { ...rule({}), limit: 1 }, /^limit: unknown field; remove it/],
  ["too few keys", { ...rule({}), maxKeys: 1 }, /^maxKeys: must be a whole number from 1024 to 1048576/],
  ["a field of the traffic", { ...rule({}), maxBodyBytes: 0 }, /^maxBodyBytes: must be a whole number from 1/],
  ["a tenant header", { ...rule({}), tenantHeader: "x-llm-a" }, /^tenantHeader: is removed from every request/],
  ["a name that stands twice", { rules: [rule({}).rules[0], rule({}).rules[0]] }, /^rules\[1\]\.name: stands twice/],
  ["a rule without a name", { rules: [{ limits: [tokens] }] }, /^rules\[0\]\.name: missing/],
  ["a condition", rule({ match: { x: 1 } }), /^rules\[0\]\.match\.x: unknown field/],
  ["no limits", { rules: [{ name: "r" }] }, /^rules\[0\]\.limits: missing/],
  ["a word", rule({ missingKey: "x" }), /^rules\[0\]\.missingKey: must be one of shared, skip, reject/],
  ["a part of nothing", rule({ key: [{}] }), /^rules\[0\]\.key\[0\]: must have one of header, apiKey, .* or constant/],
  [
    "two things in one part",
    rule({ key: [{ apiKey: true, model: true }] }),
    /^rules\[0\]\.key\[0\]: must have one of header/,
  ],
  ["a part that is not there", rule({ key: [{ model: false }] }), /^rules\[0\]\.key\[0\]\.model: must be true, or not/],
  ["a tenant", rule({ key: [{ tenant: true }] }), /^rules\[0\]\.key\[0\]\.tenant: needs tenantHeader/],
  [
    "a header that is removed",
    rule({ key: [{ header: "x-llm-a" }] }),
    /^rules\[0\]\.key\[0\]\.header: is removed from every request/,
  ],
  [
    "a payload's name",
    rule({ key: [{ claim: "a", payloadKey: "" }] }),
    /^rules\[0\]\.key\[0\]\.payloadKey: must be a string of 1 to 256 bytes/,
  ],
  [
    "a payload of nothing",
    rule({ key: [{ header: "a", payloadKey: "b" }] }),
    /^rules\[0\]\.key\[0\]\.payloadKey: unknown field/,
  ],
  [
    "a path",
    rule({ key: [{ metadata: { namespace: "n", path: ["a", "\n"] } }] }),
    /^rules\[0\]\.key\[0\]\.metadata\.path\[1\]: must not have control/,
  ],
  [
    "metadata without a namespace",
    rule({ key: [{ metadata: { path: ["a"] } }] }),
    /^rules\[0\]\.key\[0\]\.metadata\.namespace: missing/,
  ],
  [
    "no unit",
    rule({ limits: [{ amount: 1, per: "day" }] }),
    /^rules\[0\]\.limits\[0\]\.unit: missing; write one of tok/,
  ],
  ["a unit", limit({ unit: "x" }), /^rules\[0\]\.limits\[0\]\.unit: must be one of tokens, .*, requests, money/],
  ["no period", rule({ limits: [{ unit: "tokens", amount: 1 }] }), /^rules\[0\]\.limits\[0\]\.per: missing; write one/],
  ["no amount", rule({ limits: [{ unit: "tokens", per: "day" }] }), /^rules\[0\]\.limits\[0\]\.amount: missing/],
  [
    "half a token",
    limit({ amount: 0.5 }),
    /^rules\[0\]\.limits\[0\]\.amount: must be a whole number from 1 to 1000000000000$/,
  ],
  [
    "a fraction of a weight",
    limit({ unit: "weightedTokens", amount: 0.0001 }),
    /amount: must be a number from 0\.001 to 1000000000000 with at most 3 decimals$/,
  ],
  [
    "too little money",
    money({ prices: [price], limits: [{ unit: "money", amount: 1e-10, per: "day" }] }),
    /amount: must be a number from 0\.000000001 to 1000000 with at most 9 decimals$/,
  ],
  [
    "a rolling month",
    limit({ per: "month", rolling: true }),
    /^rules\[0\]\.limits\[0\]\.rolling: must be false with per month/,
  ],
  [
    "a time zone of hours",
    limit({ per: "hour", timeZone: "Z" }),
    /^rules\[0\]\.limits\[0\]\.timeZone: needs per day or month/,
  ],
  [
    "a time zone that rolls",
    limit({ per: "day", rolling: true, timeZone: "Z" }),
    /timeZone: has no effect with rolling; remove one/,
  ],
  [
    "a time zone in hours",
    limit({ per: "day", timeZone: 2 }),
    /timeZone: must be Z, an offset .* such as \+02:00, or a POSIX time zone such as CET-1CEST,M3\.5\.0,M10\.5\.0\/3$/,
  ],
  [
    "an offset without minutes",
    limit({ per: "day", timeZone: "+02" }),
    /timeZone: must be Z, an offset .* such as \+02:00/,
  ],
  [
    "the name of a time zone",
    limit({ per: "day", timeZone: "Europe/Berlin" }),
    /timeZone: is a name, and this filter knows none; write what `tail -n1 \/usr\/share\/zoneinfo\/Europe\/Berlin` prints/,
  ],
  ["a short name of a time zone", limit({ per: "day", timeZone: "CET" }), /timeZone: is a name, .*zoneinfo\/CET`/],
  [
    "a time zone that says too little",
    limit({ per: "day", timeZone: "EST5EDT" }),
    /timeZone: has summer time, but not when it begins and ends, as EST5EDT,M3\.2\.0,M11\.1\.0 has$/,
  ],
  [
    "a time zone with a wrong date",
    limit({ per: "day", timeZone: "CET-1CEST,M3.5.0,M13.5.0/3" }),
    /timeZone: is no POSIX time zone: expected 1 to 12 at character 19$/,
  ],
  [
    "a name with a quote",
    limit({ per: "day", timeZone: "a`b/c" }),
    /timeZone: is no POSIX time zone: expected three letters at character 2$/,
  ],
  [
    "a time zone that is too long",
    limit({ per: "day", timeZone: "A".repeat(65) }),
    /timeZone: has more than 64 characters$/,
  ],
  ["weights of nothing", rule({ weights: {} }), /^rules\[0\]\.weights: needs a limit of weightedTokens/],
  [
    "a weight",
    rule({ limits: [{ ...tokens, unit: "weightedTokens" }], weights: { output: -1 } }),
    /^rules\[0\]\.weights\.output: must be a number from 0 to 1000 with at most 3 decimals/,
  ],
  [
    "weights of 0",
    rule({
      limits: [{ ...tokens, unit: "weightedTokens" }],
      weights: { input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 },
    }),
    /^rules\[0\]\.weights: must have a weight above 0/,
  ],
  ["prices of nothing", rule({ prices: [price] }), /^rules\[0\]\.prices: needs a limit of money/],
  ["money for nothing", money({}), /^rules\[0\]\.prices: missing; a limit of money needs them/],
  ["a price twice", money({ prices: [price, price] }), /^rules\[0\]\.prices\[1\]\.model: stands twice/],
  ["half a price", money({ prices: [{ model: "*", input: 1 }] }), /^rules\[0\]\.prices\[0\]\.output: missing/],
  [
    "a star inside",
    money({ prices: [{ ...price, model: "a*b" }] }),
    /prices\[0\]\.model: '\*' may stand only at the end/,
  ],
  [
    "free models only",
    money({ prices: [{ ...price, input: 0, output: 0 }] }),
    /^rules\[0\]\.prices: must have a price abo/,
  ],
];

const strict = (more: object, service: object = {}) => ({
  ...rule({ mode: "strict", ...more }),
  service: { cluster: "ledger", ...service },
});
const leased = (more: object, service: object = {}) => strict({ mode: "leased", ...more }, service);
const ofLimit = (more: object) => ({ limits: [{ ...tokens, ...more }] });
const day = { unit: "tokens", amount: 1, per: "day" };

const wrongRemote: typeof wrong = [
  ["a service of nothing", strict({}, { cluster: undefined }), /^service\.cluster: missing$/],
  ["a service that is a name", { ...strict({}), service: "a" }, /^service: must be an object$/],
  ["a field of a service", strict({}, { address: 1 }), /^service\.address: unknown field; remove it/],
  [
    "a long cluster",
    strict({}, { cluster: "c".repeat(257) }),
    /^service\.cluster: must be a string of 1 to 256 bytes$/,
  ],
  ["a domain", strict({}, { domain: "\n" }), /^service\.domain: must not have control characters$/],
  ["a protocol", strict({}, { protocol: "x" }), /^service\.protocol: must be one of ledger, envoy$/],
  ["a time", strict({}, { timeoutMs: 0 }), /^service\.timeoutMs: must be a whole number from 1 to 10000$/],
  ["an override", strict({}, { override: 1 }), /^service\.override: must be true or false$/],
  ["refunds of the ledger", strict({}, { refunds: false }), /^service\.refunds: needs protocol envoy$/],
  [
    "a service of nobody",
    { ...rule({}), service: { cluster: "a" } },
    /^service: needs a rule with mode strict or leased; remove it$/,
  ],
  [
    "a rule without its service",
    rule({ mode: "leased" }),
    /^service: missing; a rule with mode strict or leased needs/,
  ],
  [
    "a mode, and a service that may be for it",
    strict({ mode: "x" }),
    /^rules\[0\]\.mode: must be one of local, strict, le/,
  ],
  ["a failure", strict({ onFailure: "x" }), /^rules\[0\]\.onFailure: must be one of local, open, closed$/],
  ["a failure of nobody else", rule({ onFailure: "local" }), /^rules\[0\]\.onFailure: needs mode strict or leased$/],
  ["a lease", leased({ leasePercent: 51 }), /^rules\[0\]\.leasePercent: must be a whole number from 1 to 50$/],
  ["a lease of a question", strict({ leasePercent: 5 }), /^rules\[0\]\.leasePercent: needs mode leased$/],
  ["a queue", rule({ queueMs: 0 }), /^rules\[0\]\.queueMs: must be a whole number from 1 to 60000$/],
  ["a queue elsewhere", strict({ queueMs: 5 }), /^rules\[0\]\.queueMs: needs mode local$/],
  ["an overrun", rule({ overrun: "x" }), /^rules\[0\]\.overrun: must be one of allow, stop, pace$/],
  [
    "an overrun of requests",
    rule({ overrun: "stop", ...ofLimit({ unit: "requests" }) }),
    /^rules\[0\]\.overrun: needs a limit that is not of requests$/,
  ],
  ["a pace elsewhere", leased({ overrun: "pace" }), /^rules\[0\]\.overrun: pace needs mode local$/],
  [
    "the pace of a day",
    rule({ overrun: "pace", limits: [day, { ...day, unit: "requests" }] }),
    /^rules\[0\]\.overrun: pace needs limits per second or minute; only requests may have others$/,
  ],
  [
    "an amount of nothing",
    limit({ amountFrom: {} }),
    /^rules\[0\]\.limits\[0\]\.amountFrom: must have one of header or metadata$/,
  ],
  [
    "an amount of a claim",
    limit({ amountFrom: { header: "a", claim: "b" } }),
    /^rules\[0\]\.limits\[0\]\.amountFrom\.claim: unknown field/,
  ],
  [
    "an amount of a header that is removed",
    limit({ amountFrom: { header: "x-llm-a" } }),
    /^rules\[0\]\.limits\[0\]\.amountFrom\.header: is removed from every request/,
  ],
  [
    "an amount of metadata",
    limit({ amountFrom: { metadata: { namespace: "a", path: [] } } }),
    /^rules\[0\]\.limits\[0\]\.amountFrom\.metadata\.path: must be a list of 1 to 8 entries$/,
  ],
  [
    "an amount that nobody asks for",
    strict(ofLimit({ amountFrom: { header: "a" } }), { override: false }),
    /^rules\[0\]\.limits\[0\]\.amountFrom: needs service\.override true, or mode local$/,
  ],
  [
    "a rolling question",
    strict(ofLimit({ rolling: true })),
    /^rules\[0\]\.limits\[0\]\.rolling: needs mode local, or service\.override false$/,
  ],
  [
    "a rolling lease",
    leased(ofLimit({ per: "month", rolling: true }), { override: false }),
    /^rules\[0\]\.limits\[0\]\.rolling: needs mode local, or mode strict with service\.override false$/,
  ],
  [
    "a time zone elsewhere",
    strict(ofLimit({ per: "day", timeZone: "Z" })),
    /^rules\[0\]\.limits\[0\]\.timeZone: needs mode local, or service\.override false$/,
  ],
  [
    "a limit that stands twice",
    strict({ limits: [tokens, day, { ...day, amount: 2 }] }),
    /^rules\[0\]\.limits\[2\]: has the unit and period of another limit; with mode strict or leased they must differ$/,
  ],
  [
    "too many limits",
    {
      service: { cluster: "ledger" },
      rules: Array.from({ length: 33 }, (_, i) => ({ name: `r${i}`, mode: "strict", limits: [tokens] })),
    },
    /^rules: have 33 limits with mode strict or leased; at most 32 are allowed$/,
  ],
];

describe("a configuration with one fault", () => {
  it.each([...wrong, ...wrongRemote])("says what is wrong with %s", (_name, config, complaint) => {
    const faults = faultsOf(config);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(complaint);
  });
});

it("says where a fault of a stage is", async () => {
  const gateway = await ProxyWasmHost.load("build/filters/llm-gateway.wasm", { workers: 1 });
  const router = { models: [{ model: "*", route: "r" }] };
  const config = { router, rateLimit: strict({ overrun: "pace" }, { timeoutMs: 0 }) };
  expect(() => gateway.plugin({ name: "llm-gateway", rootId: "llm-gateway", config })).toThrow();
  expect(gateway.logs.filter(({ level }) => level === "error").map(({ message }) => message)).toEqual([
    expect.stringContaining("rateLimit.service.timeoutMs: must be a whole number"),
    expect.stringContaining("rateLimit.rules[0].overrun: pace needs mode local"),
  ]);
});

it("tells all faults at once", () => {
  const faults = faultsOf({
    maxKeys: 0,
    rules: [
      { name: "", key: [{ header: "A" }, { cookie: 1 }], limits: [{ unit: "x", rolling: 1 }], weights: { a: 1 } },
      { shadow: 1, match: { stream: 1 }, limits: [] },
      { name: "r", mode: "strict", queueMs: "5", overrun: 1, limits: [{ ...day, rolling: true, timeZone: "Z" }] },
    ],
    service: { timeoutMs: 0 },
  });
  expect(faults.map((fault) => fault.slice(0, fault.indexOf(": ")))).toEqual(
    expect.arrayContaining([
      "maxKeys",
      "rules[0].name",
      "rules[0].key[0].header",
      "rules[0].key[1].cookie",
      "rules[0].limits[0].unit",
      "rules[0].limits[0].per",
      "rules[0].limits[0].amount",
      "rules[0].limits[0].rolling",
      "rules[0].weights.a",
      "rules[1].name",
      "rules[1].shadow",
      "rules[1].match.stream",
      "rules[1].limits",
      "service.timeoutMs",
      "service.cluster",
      "rules[2].queueMs",
      "rules[2].overrun",
      "rules[2].limits[0].rolling",
      "rules[2].limits[0].timeZone",
    ]),
  );
});
