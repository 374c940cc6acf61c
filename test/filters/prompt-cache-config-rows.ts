/** Verdicts on configurations of the prompt cache that both the filter and the xDS server must give. */

/** A configuration: accepted or not. */
export type CacheRow = readonly [name: string, spec: object, valid: boolean];

const MIB = 1_048_576;
const MONTH = 2_592_000_000;

const rules = (...list: unknown[]): object => ({ tenantHeader: "x-tenant", rules: list });
const rule = (more: object): object => rules({ name: "r", ...more });
const field = (more: object): object => ({ ...rule({}), ...more });
const without = (spec: object): object => ({ ...spec, tenantHeader: undefined });
const list = <T>(length: number, make: (index: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const named = (index: number): object => ({ name: `r${index}`, match: { models: [`m${index}`] } });
const price = { model: "m", input: 1, output: 2 };

const general: CacheRow[] = [
  ["a rule", rule({}), true],
  ["no rule", rules(), false],
  ["rules that are missing", {}, false],
  ["rules that are an object", { rules: { name: "r" } }, false],
  ["64 rules", rules(...list(64, named)), true],
  ["65 rules", rules(...list(65, named)), false],
  ["a rule that is a name", rules("r"), false],
  ["a rule without a name", rules({}), false],
  ["a rule with an empty name", rule({ name: "" }), false],
  ["a name of 65 bytes", rule({ name: "n".repeat(65) }), false],
  ["a name with a space", rule({ name: "a b" }), false],
  ["two rules of one name", rules({ name: "r", match: {} }, { name: "r" }), false],
  ["an unknown field", field({ ttlMs: 1000 }), false],
  ["an unknown field of a rule", rule({ ttl: 1000 }), false],
  ["a field of the traffic", field({ maxBodyBytes: 1000 }), true],
  ["a field of the traffic that is wrong", field({ maxBodyBytes: 0 }), false],
  ["a match", rule({ match: { models: ["gpt-*"], tools: false, tenants: ["a"] } }), true],
  ["an unknown condition", rule({ match: { model: "a" } }), false],
  ["tenants without their header", without(rule({ match: { tenants: ["a"] } })), false],
];

const bytes = (name: string, least: number, most: number): CacheRow[] => [
  [`${name} at least`, field({ maxBytes: 4096 * MIB, [name]: least }), true],
  [`${name} below the least`, field({ maxBytes: 4096 * MIB, [name]: least - 1 }), false],
  [`${name} at most`, field({ maxBytes: 4096 * MIB, [name]: most }), true],
  [`${name} above the most`, field({ maxBytes: 4096 * MIB, [name]: most + 1 }), false],
  [`${name} with a fraction`, field({ maxBytes: 4096 * MIB, [name]: least + 0.5 }), false],
  [`${name} in quotes`, field({ maxBytes: 4096 * MIB, [name]: String(least) }), false],
];

const sizes: CacheRow[] = [
  ...bytes("maxBytes", MIB, 4096 * MIB),
  ...bytes("maxEntryBytes", 4096, 4 * MIB),
  ...bytes("maxRecordingBytes", MIB, 32 * MIB),
  ["an entry as large as its set", field({ maxBytes: MIB, maxEntryBytes: MIB / 64 }), true],
  ["an entry larger than its set", field({ maxBytes: MIB, maxEntryBytes: MIB / 64 + 1 }), false],
  [
    "an entry larger than its set, of a size that does not divide",
    field({ maxBytes: MIB + 63, maxEntryBytes: MIB / 64 + 1 }),
    false,
  ],
  ["an entry that is too large by default", field({ maxBytes: MIB }), true],
  ["a larger entry than the default allows", field({ maxEntryBytes: MIB + 1 }), false],
];

const secrets: CacheRow[] = [
  ["a secret", field({ secret: "0123456789abcdef0123456789ABCDEF" }), true],
  ["a secret of 31 digits", field({ secret: "0".repeat(31) }), false],
  ["a secret of 33 digits", field({ secret: "0".repeat(33) }), false],
  ["a secret with another letter", field({ secret: `${"0".repeat(31)}g` }), false],
  ["a secret with a sign", field({ secret: `-${"0".repeat(31)}` }), false],
  ["a secret that is a number", field({ secret: 12345678 }), false],
  ["an empty secret", field({ secret: "" }), false],
];

const ignore = (...names: unknown[]): object => field({ ignore: names });
const ignored: CacheRow[] = [
  ["nothing ignored", ignore(), true],
  ["16 members ignored", ignore(...list(16, (i) => `m${i}`)), true],
  ["17 members ignored", ignore(...list(17, (i) => `m${i}`)), false],
  ["a member with a space", ignore("a b"), true],
  ["a member twice", ignore("user", "user"), false],
  ["a member without a name", ignore(""), false],
  ["a member that is a number", ignore(1), false],
  ["members in one text", field({ ignore: "user" }), false],
  ["a member of 257 bytes", ignore(`${"é".repeat(128)}a`), false],
  ...[
    "model",
    "messages",
    "prompt",
    "input",
    "system",
    "instructions",
    "contents",
    "systemInstruction",
    "tools",
    "stream",
  ].map((name): CacheRow => [`the member ${name}, without which nothing is asked`, ignore("user", name), false]),
];

const durations = (name: string, least: number): CacheRow[] => [
  [`${name} at least`, rule({ [name]: least }), true],
  [`${name} below the least`, rule({ [name]: least - 1 }), false],
  [`${name} of 30 days`, rule({ [name]: MONTH }), true],
  [`${name} of more than 30 days`, rule({ [name]: MONTH + 1 }), false],
  [`${name} with a fraction`, rule({ [name]: 1500.5 }), false],
  [`${name} as a text`, rule({ [name]: "1h" }), false],
];

const flags = (name: string): CacheRow[] => [
  [`${name}: true`, rule({ [name]: true }), true],
  [`${name}: false`, rule({ [name]: false }), true],
  [`${name} in quotes`, rule({ [name]: "true" }), false],
];

const key = (...parts: unknown[]): object => rule({ key: parts });
const cache = (one: unknown): object => rule({ cache: one });
const flight = (one: unknown): object => rule({ singleFlight: one });

const answers: CacheRow[] = [
  ...durations("ttlMs", 1000),
  ...durations("staleWhileRevalidateMs", 0),
  ...durations("staleIfErrorMs", 0),
  ...["transcode", "clientControl", "showKey"].flatMap(flags),
  ["hits that count nothing", rule({ hitTokens: 0 }), true],
  ["hits that count all", rule({ hitTokens: 100 }), true],
  ["hits that count more than all", rule({ hitTokens: 101 }), false],
  ["hits that count a half of a percent", rule({ hitTokens: 0.5 }), false],
  ["prices", rule({ prices: [price, { model: "*", input: 0.000001, output: 1_000_000 }] }), true],
  ["no prices", rule({ prices: [] }), false],
  ["prices of nothing", rule({ prices: [{ model: "m", input: 0, output: 0 }] }), false],
  ["a price twice", rule({ prices: [price, price] }), false],
  ["requests of all kinds", cache({ temperature: "any", tools: true, choices: true }), true],
  ["requests of no said kind", cache({}), true],
  ["requests of an unknown kind", cache({ images: true }), false],
  ["requests in a word", cache("any"), false],
  ...["zero", "unset", "any"].map((word): CacheRow => [`temperature ${word}`, cache({ temperature: word }), true]),
  ["temperature 0", cache({ temperature: 0 }), false],
  ["tools in a word", cache({ tools: "yes" }), false],
  ["no similar questions", rule({ semantic: false }), true],
  ["streams that are not read along", flight({ live: false }), true],
  ["streams that are read along without a service", flight({ live: true }), false],
  ["streams that are read along, in a number", flight({ live: 1 }), false],
  ["streams that are not given as they came", rule({ paced: false }), true],
  ["streams that are given as they came without a service", rule({ paced: true }), false],
  ["similar questions without a service", rule({ semantic: true }), false],
  ["similar questions that are not", rule({ semantic: { threshold: 0.499 } }), false],
  ["more than equal questions", rule({ semantic: { threshold: 1.001 } }), false],
  ["similarity to a hair", rule({ semantic: { threshold: 0.9531 } }), false],
  ["an unknown field of similar questions", rule({ semantic: { limit: 0.9 } }), false],
  ["similar questions in a number", rule({ semantic: 0.9 }), false],
  ["shared calls", flight(true), true],
  ["no shared calls", flight(false), true],
  ["shared calls with all defaults", flight({}), true],
  ["a wait of a millisecond", flight({ waitMs: 1 }), true],
  ["no wait", flight({ waitMs: 0 }), false],
  ["a wait of 10 minutes", flight({ waitMs: 600_000 }), true],
  ["a longer wait", flight({ waitMs: 600_001 }), false],
  ["an unknown field of shared calls", flight({ wait: 1 }), false],
  ["shared calls in a word", flight("yes"), false],
  ["shared calls in a number", flight(1), false],
];

const keys: CacheRow[] = [
  ["no key", key(), true],
  ["4 parts", key({ header: "x-a" }, { apiKey: true }, { claim: "sub" }, { session: true }), true],
  ["5 parts", key(...list(5, (i) => ({ header: `x-${i}` }))), false],
  ["a part of nothing", key({}), false],
  ["an unknown part", key({ cookie: "a" }), false],
  ["the tenant", key({ tenant: true }), true],
  ["the tenant without its header", without(key({ tenant: true })), false],
  ["a key header that clients cannot send", key({ header: "x-llm-model" }), false],
  ["a missing key that bypasses", rule({ missingKey: "bypass" }), true],
  ["a missing key that shares", rule({ missingKey: "shared" }), true],
  ["a missing key in the limiter's way", rule({ missingKey: "skip" }), false],
  ["no headers", rule({ headers: [] }), true],
  ["8 headers", rule({ headers: list(8, (i) => `x-${i}`) }), true],
  ["9 headers", rule({ headers: list(9, (i) => `x-${i}`) }), false],
  ["a header that clients cannot send", rule({ headers: ["x-llm-route"] }), false],
  ["an upper-case header", rule({ headers: ["Accept"] }), false],
  ["headers in one text", rule({ headers: "accept" }), false],
];

export const cacheRows: readonly CacheRow[] = [...general, ...sizes, ...secrets, ...ignored, ...answers, ...keys];
