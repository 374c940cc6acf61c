/** Verdicts on `service`, on what rules do with it, on queues, overruns and amounts of requests that both the filter and the xDS server must give. */
import { type RateLimitRow, rule, rules, tokens } from "./rate-limit-config-rows-rules.ts";

/** Of a ServiceEntry that the server knows. */
export const SERVICE_HOST = "ledger.test";

const cluster = { cluster: SERVICE_HOST };
const strict = { mode: "strict" };
const leased = { mode: "leased" };
const remote = (more: object, service: object = {}): object => ({
  ...rule({ ...strict, ...more }),
  service: { ...cluster, ...service },
});
const service = (one: unknown): object => ({ ...rule(strict), service: one });
const limit = (more: object): object => ({ limits: [{ ...tokens, ...more }] });
const day = { unit: "tokens", amount: 1, per: "day" };
const requests = { unit: "requests", amount: 1, per: "day" };
const from = (one: unknown): object => rule(limit({ amountFrom: one }));
const metadata = { namespace: "n", path: ["a", "b"] };

const services: RateLimitRow[] = [
  ["a service", service(cluster), true],
  ["a service of no rule", { ...rule({}), service: cluster }, false],
  ["a service of a rule that says it is local", { ...rule({ mode: "local" }), service: cluster }, false],
  ["a service of one of two rules", { ...rules(...two({}, strict)), service: cluster }, true],
  ["a rule without its service", rule(strict), false],
  ["a leased rule without its service", rule(leased), false],
  ["a service that is a name", service(SERVICE_HOST), false],
  ["a service of nothing", service({}), false],
  ["an unknown field of a service", service({ ...cluster, address: "127.0.0.1" }), false],
  ["an empty cluster", service({ cluster: "" }), false],
  ["a cluster of 257 bytes", service({ cluster: "c".repeat(257) }), false],
  ["a cluster that is a number", service({ cluster: 1 }), false],
  ["a domain", remote({}, { domain: "a b" }), true],
  ["an empty domain", remote({}, { domain: "" }), false],
  ["a domain of 256 bytes", remote({}, { domain: "é".repeat(128) }), true],
  ["a domain of 257 bytes", remote({}, { domain: `${"é".repeat(128)}a` }), false],
  ["a domain with a control character", remote({}, { domain: "a\nb" }), false],
  ["the ledger", remote({}, { protocol: "ledger" }), true],
  ["any other service", remote({}, { protocol: "envoy" }), true],
  ["a protocol of others", remote({}, { protocol: "grpc" }), false],
  ...[1, 250, 10_000].map((ms): RateLimitRow => [`${ms} ms`, remote({}, { timeoutMs: ms }), true]),
  ...[0, -1, 10_001, 1.5, "250", "250ms"].map(
    (ms): RateLimitRow => [`a time of ${JSON.stringify(ms)}`, remote({}, { timeoutMs: ms }), false],
  ),
  ["an override", remote({}, { override: true }), true],
  ["no override", remote({}, { override: false }), true],
  ["an override in quotes", remote({}, { override: "true" }), false],
  ["refunds", remote({}, { protocol: "envoy", refunds: true }), true],
  ["no refunds", remote({}, { protocol: "envoy", refunds: false }), true],
  ["refunds by a word", remote({}, { protocol: "envoy", refunds: "yes" }), false],
  ["refunds of the ledger", remote({}, { refunds: true }), false],
  ["no refunds of the ledger", remote({}, { protocol: "ledger", refunds: false }), false],
];

const modes: RateLimitRow[] = [
  ["a local rule", rule({ mode: "local" }), true],
  ["a strict rule", remote(strict), true],
  ["a leased rule", remote(leased), true],
  ["a mode in upper case", remote({ mode: "Strict" }), false],
  ["a mode by true", remote({ mode: true }), false],
  ...["local", "open", "closed"].flatMap((word): RateLimitRow[] => [
    [`a strict rule that fails ${word}`, remote({ onFailure: word }), true],
    [`a leased rule that fails ${word}`, remote({ ...leased, onFailure: word }), true],
    [`a local rule that fails ${word}`, rule({ onFailure: word }), false],
  ]),
  ["a failure in another way", remote({ onFailure: "reject" }), false],
  ...[1, 5, 50].map((percent): RateLimitRow => [`${percent} %`, remote({ ...leased, leasePercent: percent }), true]),
  ...[0, 51, 2.5, "5", -5].map(
    (percent): RateLimitRow => [
      `a lease of ${JSON.stringify(percent)} %`,
      remote({ ...leased, leasePercent: percent }),
      false,
    ],
  ),
  ["a lease of a strict rule", remote({ leasePercent: 5 }), false],
  ["a lease of a local rule", rule({ leasePercent: 5 }), false],
  ["a shadow that is asked for", remote({ shadow: true }), true],
];

const queues: RateLimitRow[] = [
  ...[1, 500, 60_000].map((ms): RateLimitRow => [`a queue of ${ms} ms`, rule({ queueMs: ms }), true]),
  ...[0, 60_001, 0.5, "500", true].map(
    (ms): RateLimitRow => [`a queue of ${JSON.stringify(ms)}`, rule({ queueMs: ms }), false],
  ),
  ["a queue of a strict rule", remote({ queueMs: 500 }), false],
  ["a queue of a leased rule", remote({ ...leased, queueMs: 500 }), false],
];

const overruns: RateLimitRow[] = [
  ...["allow", "stop", "pace"].flatMap((word): RateLimitRow[] => [
    [`streams: ${word}`, rule({ overrun: word }), true],
    [`streams of requests and tokens: ${word}`, rule({ overrun: word, limits: [requests, tokens] }), true],
    [`requests: ${word}`, rule({ overrun: word, limits: [requests] }), word === "allow"],
    [`streams of a day: ${word}`, rule({ overrun: word, limits: [tokens, day] }), word !== "pace"],
    [`streams of a strict rule: ${word}`, remote({ overrun: word }), word !== "pace"],
    [`streams of a leased rule: ${word}`, remote({ ...leased, overrun: word }), word !== "pace"],
    [`streams of a shadow: ${word}`, rule({ overrun: word, shadow: true }), true],
  ]),
  ...["second", "minute", "hour", "day", "month"].map(
    (per): RateLimitRow => [
      `a pace per ${per}`,
      rule({ overrun: "pace", ...limit({ per }) }),
      per === "second" || per === "minute",
    ],
  ),
  ["a rolling pace", rule({ overrun: "pace", ...limit({ rolling: true }) }), true],
  ["streams in another way", rule({ overrun: "block" }), false],
  ["streams by true", rule({ overrun: true }), false],
];

const amounts: RateLimitRow[] = [
  ["an amount of metadata", from({ metadata }), true],
  ["an amount of a header", from({ header: "x-budget" }), true],
  ["an amount of nothing", from({}), false],
  ["an amount of two things", from({ metadata, header: "x-budget" }), false],
  ["an amount of a name", from("x-budget"), false],
  ["an amount of something else", from({ claim: "budget" }), false],
  ["an amount of metadata and something else", from({ metadata, claim: "budget" }), false],
  ["an amount of an upper-case header", from({ header: "X-Budget" }), false],
  ["an amount of a header that is removed", from({ header: "x-llm-budget" }), false],
  ["an amount of the header of the destination", from({ header: "x-gateway-destination-endpoint" }), false],
  ["an amount of metadata without a path", from({ metadata: { namespace: "n" } }), false],
  ["an amount of metadata 9 deep", from({ metadata: { namespace: "n", path: [..."abcdefghi"] } }), false],
  [
    "an amount of requests, and none",
    rule({ limits: [{ unit: "tokens", amountFrom: { metadata }, per: "day" }] }),
    false,
  ],
  ["an amount that a strict rule sends", remote(limit({ amountFrom: { metadata } })), true],
  ["an amount that a leased rule sends", remote({ ...leased, ...limit({ amountFrom: { metadata } }) }), true],
  ["an amount that nobody asks for", remote(limit({ amountFrom: { metadata } }), { override: false }), false],
  [
    "an amount of a local rule beside a service that has its own",
    { ...rules(...two(limit({ amountFrom: { metadata } }), strict)), service: { ...cluster, override: false } },
    true,
  ],
];

const windows: RateLimitRow[] = [strict, leased].flatMap((mode) => {
  const isStrict = mode === strict;
  const one = (more: object, override?: boolean) => remote({ ...mode, ...limit(more) }, { override });
  return [
    ["a rolling limit", one({ rolling: true }), false],
    ["a limit that does not roll", one({ rolling: false }), true],
    ["a rolling limit of the service", one({ rolling: true }, false), isStrict],
    ["a rolling month of the service", one({ rolling: true, per: "month" }, false), false],
    ["a time zone", one({ per: "day", timeZone: "+02:00" }), false],
    ["UTC", one({ per: "month", timeZone: "Z" }), false],
    ["a time zone of the service", one({ per: "day", timeZone: "+02:00" }, false), isStrict],
    ["a time zone of the service's minutes", one({ timeZone: "Z" }, false), false],
    ["a month", one({ per: "month" }), true],
    ["a limit twice", remote({ ...mode, limits: [tokens, { ...tokens, amount: 5 }] }), false],
    ["a limit twice, without override", remote({ ...mode, limits: [tokens, tokens] }, { override: false }), false],
    ["limits of two periods", remote({ ...mode, limits: [tokens, day] }), true],
    ["limits of two units", remote({ ...mode, limits: [day, requests] }), true],
  ].map(([name, spec, valid]) => [`${mode.mode}: ${name}`, spec, valid] as RateLimitRow);
});

const four = ["second", "minute", "hour", "day"].map((per) => ({ ...tokens, per }));
const many = (length: number, more: object[] = []): object => ({
  ...rules(
    ...Array.from({ length }, (_, i) => ({ name: `r${i}`, limits: four, mode: i % 2 ? "strict" : "leased" })),
    ...more,
  ),
  service: cluster,
});
const sums: RateLimitRow[] = [
  ["32 limits", many(8), true],
  ["33 limits", many(8, [{ name: "r", limits: [tokens], ...strict }]), false],
  ["32 limits, and local ones", many(8, [{ name: "r", limits: four }]), true],
];

function two(first: object, second: object): object[] {
  return [
    { name: "a", limits: [tokens], ...first },
    { name: "b", limits: [tokens], ...second },
  ];
}

export const rateLimitRemoteRows: readonly RateLimitRow[] = [
  ...services,
  ...modes,
  ...queues,
  ...overruns,
  ...amounts,
  ...windows,
  ...sums,
];
