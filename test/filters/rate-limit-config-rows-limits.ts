/** Verdicts on the fields of the whole, `limits`, `weights` and `prices` that both the filter and the xDS server must give. */
import { type RateLimitRow, rule, rules, tokens } from "./rate-limit-config-rows-rules.ts";

const list = <T>(length: number, make: (index: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const base = (more: object): object => ({ rules: [{ name: "r", limits: [tokens] }], ...more });
const limit = (more: object): object => rule({ limits: [{ ...tokens, ...more }] });
const weighted = { unit: "weightedTokens", amount: 1000, per: "hour" };
const money = { unit: "money", amount: 10, per: "month" };
const weights = (one: unknown): object => rule({ limits: [weighted], weights: one });
const price = { model: "*", input: 2.5, output: 10 };
const prices = (...all: unknown[]): object => rule({ limits: [money], prices: all });
const priced = (more: object): object => prices({ ...price, ...more });
/** Numbers the way a file has them. */
const show = (value: unknown) => JSON.stringify(value);

const general: RateLimitRow[] = [
  ["the least", base({}), true],
  ["nothing", {}, false],
  ["only the number of keys", { maxKeys: 1024 }, false],
  ["an unknown field", base({ limits: [] }), false],
  ["a field of the router", base({ models: [] }), false],
  [
    "every field of the traffic",
    base({
      paths: ["/chat/completions", ":generateContent"],
      maxBodyBytes: 1,
      tenantHeader: "x-tenant",
      tokensPerByte: 4,
      duplicateModel: "lastWins",
      accessLog: true,
      metrics: { enabled: false, models: ["a"] },
    }),
    true,
  ],
  ["no paths", base({ paths: [] }), false],
  ["a body limit of nothing", base({ maxBodyBytes: 0 }), false],
  ["an upper-case tenant header", base({ tenantHeader: "X-Tenant" }), false],
  ["a tenant header that clients cannot send", base({ tenantHeader: "x-llm-tenant" }), false],
  ["no tokens a byte", base({ tokensPerByte: 0 }), false],
  ["duplicates in another way", base({ duplicateModel: "firstWins" }), false],
  ["an access log in quotes", base({ accessLog: "true" }), false],
  ["metrics by a word", base({ metrics: true }), false],
  ["usage as it comes", base({ includeUsage: false }), true],
  ["usage that is asked for", base({ includeUsage: true }), true],
  ["usage by a word", base({ includeUsage: "true" }), false],
  ...[1024, 65_536, 1_048_576].map((keys): RateLimitRow => [`${keys} keys`, base({ maxKeys: keys }), true]),
  ...[0, 1023, 1_048_577, 2000.5, "2000", -1].map(
    (keys): RateLimitRow => [`keys: ${show(keys)}`, base({ maxKeys: keys }), false],
  ),
];

const shape: RateLimitRow[] = [
  ["no limits", rule({ limits: [] }), false],
  ["limits that are an object", rule({ limits: tokens }), false],
  ["4 limits", rule({ limits: list(4, () => tokens) }), true],
  ["5 limits", rule({ limits: list(5, () => tokens) }), false],
  ["a limit that is a number", rule({ limits: [1000] }), false],
  ["an unknown field of a limit", limit({ window: 60 }), false],
  ["a limit without a unit", rule({ limits: [{ amount: 1, per: "minute" }] }), false],
  ["a limit without an amount", rule({ limits: [{ unit: "tokens", per: "minute" }] }), false],
  ["a limit without a period", rule({ limits: [{ unit: "tokens", amount: 1 }] }), false],
  ["another unit", limit({ unit: "characters" }), false],
  ["a unit in upper case", limit({ unit: "Tokens" }), false],
  ["a unit in a list", limit({ unit: ["tokens"] }), false],
  ...["second", "minute", "hour", "day", "month"].map((per): RateLimitRow => [`per ${per}`, limit({ per }), true]),
  ["per week", limit({ per: "week" }), false],
  ["per 60", limit({ per: 60 }), false],
  ...["second", "minute", "hour", "day"].map(
    (per): RateLimitRow => [`a rolling ${per}`, limit({ per, rolling: true }), true],
  ),
  ["a rolling month", limit({ per: "month", rolling: true }), false],
  ["a month that does not roll", limit({ per: "month", rolling: false }), true],
  ["rolling in quotes", limit({ rolling: "true" }), false],
];

const zones: RateLimitRow[] = [
  ...[
    "Z",
    "+00:00",
    "-00:00",
    "+02:00",
    "-03:30",
    "+05:45",
    "+14:00",
    "-14:00",
    "+13:59",
    "<-03>3",
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "AAA12BBB,J60/-167,300/167:59:59",
  ].map((timeZone): RateLimitRow => [`days in ${timeZone}`, limit({ per: "day", timeZone }), true]),
  ...[
    "z",
    "",
    "UTC+15",
    "Mars/Olympus",
    "CET-1CEST",
    "CET-1CEST,M3.5.0",
    "CET-1CEST,M3.5.0,M3.4.0",
    "CET-1CEST,M13.5.0,M10.5.0",
    "CET-1CEST,M3.5.0,M10.5.0/168",
    `A${"B".repeat(63)}0`,
    "02:00",
    "+2:00",
    "+02",
    "+0200",
    "+14:01",
    "-14:01",
    "+15:00",
    "+02:60",
    "+02:0",
    "+02:000",
    " +02:00",
    "+0a:00",
    "+02;00",
    "\u221202:00",
    "+٠٢:00",
    2,
    true,
  ].map((timeZone): RateLimitRow => [`days in ${show(timeZone)}`, limit({ per: "day", timeZone }), false]),
  ["months in a time zone", limit({ per: "month", timeZone: "-08:00" }), true],
  ["months in a time zone with summer time", limit({ per: "month", timeZone: "EST5EDT,M3.2.0,M11.1.0" }), true],
  ["hours in a time zone", limit({ per: "hour", timeZone: "+02:00" }), false],
  ["minutes in UTC", limit({ per: "minute", timeZone: "Z" }), false],
  ["seconds in a time zone", limit({ per: "second", timeZone: "Z" }), false],
  ["a rolling day in a time zone", limit({ per: "day", rolling: true, timeZone: "Z" }), false],
  ["a day that does not roll in a time zone", limit({ per: "day", rolling: false, timeZone: "Z" }), true],
];

const amounts = (unit: string, good: readonly number[], bad: readonly unknown[]): RateLimitRow[] => {
  const one = (amount: unknown) =>
    rules({ name: "r", limits: [{ unit, amount, per: "hour" }], prices: unit === "money" ? [price] : undefined });
  return [
    ...good.map((amount): RateLimitRow => [`${show(amount)} ${unit}`, one(amount), true]),
    ...bad.map((amount): RateLimitRow => [`${show(amount)} ${unit}`, one(amount), false]),
  ];
};
const whole = [
  [1, 1_000_000_000_000],
  [0, -1, 0.5, 1.000001, 1_000_000_000_001, 1e300, "1000", true, [], {}],
] as const;

const sizes: RateLimitRow[] = [
  ...["tokens", "promptTokens", "completionTokens", "requests"].flatMap((unit) => amounts(unit, ...whole)),
  ...amounts(
    "weightedTokens",
    [0.001, 0.1, 1.005, 999_999_999_999.999, 1_000_000_000_000],
    [0, -0.001, 0.0001, 1.0005, 0.0015, 1_000_000_000_000.001, 1e13, "1"],
  ),
  ...amounts(
    "money",
    [0.000_000_001, 0.1, 0.3, 12.34, 999_999.999999999, 1_000_000],
    [0, -1, 0.000_000_000_1, 0.123_456_789_1, 1_000_000.000000001, 1e7, "$10"],
  ),
];

const weightRows: RateLimitRow[] = [
  ["a weighted limit without weights", rule({ limits: [weighted] }), true],
  ["no weight", weights({}), true],
  ["every weight", weights({ input: 1, cachedInput: 0.1, cacheWrite: 1.25, output: 4, reasoning: 4 }), true],
  ["a weight of 0", weights({ cachedInput: 0 }), true],
  ["a weight of 1000", weights({ output: 1000 }), true],
  ["a weight of more", weights({ output: 1000.001 }), false],
  ["a weight below 0", weights({ output: -0.001 }), false],
  ["a weight of three decimals", weights({ output: 0.001 }), true],
  ["a weight of four decimals", weights({ output: 0.0001 }), false],
  ["a weight in quotes", weights({ output: "4" }), false],
  ["an unknown weight", weights({ images: 1 }), false],
  ["weights in a list", weights([1, 1]), false],
  ["only weights of 0", weights({ input: 0, cachedInput: 0, cacheWrite: 0, output: 0, reasoning: 0 }), false],
  ["weights of nothing weighted", rule({ weights: { output: 4 } }), false],
  ["weights of money", rule({ limits: [money], prices: [price], weights: { output: 4 } }), false],
];

const priceRows: RateLimitRow[] = [
  ["a price", prices(price), true],
  ["money without prices", rule({ limits: [money] }), false],
  ["prices without money", rule({ prices: [price] }), false],
  ["prices of weighted tokens", rule({ limits: [weighted], prices: [price] }), false],
  ["no prices", prices(), false],
  ["prices in an object", rule({ limits: [money], prices: price }), false],
  ["256 prices", prices(...list(256, (i) => ({ ...price, model: `m${i}` }))), true],
  ["257 prices", prices(...list(257, (i) => ({ ...price, model: `m${i}` }))), false],
  ["a price that is a number", prices(1), false],
  ["every price", priced({ model: "gpt-*", cachedInput: 1.25, cacheWrite: 0, reasoning: 10.000001 }), true],
  ["a price without a model", prices({ input: 1, output: 1 }), false],
  ["a price without input", prices({ model: "*", output: 1 }), false],
  ["a price without output", prices({ model: "*", input: 1 }), false],
  ["a model with a star inside", priced({ model: "a*b" }), false],
  ["an empty model", priced({ model: "" }), false],
  ["a model of 256 bytes", priced({ model: "m".repeat(256) }), true],
  ["a model of 257 bytes", priced({ model: "m".repeat(257) }), false],
  ["a model with a line break", priced({ model: "a\nb" }), false],
  ["a model twice", prices({ ...price, model: "a" }, { ...price, model: "b" }, { ...price, model: "a" }), false],
  ["a prefix twice", prices({ ...price, model: "a*" }, { ...price, model: "a*" }), false],
  ["a name and the same prefix", prices({ ...price, model: "a" }, { ...price, model: "a*" }), true],
  ["a price of six decimals", priced({ input: 0.000001 }), true],
  ["a price of seven decimals", priced({ input: 0.0000001 }), false],
  ["a price of a million", priced({ output: 1_000_000 }), true],
  ["a price of more", priced({ output: 1_000_000.000001 }), false],
  ["a price below 0", priced({ output: -1 }), false],
  ["a price in quotes", priced({ output: "1" }), false],
  ["a free model among others", prices(price, { model: "local", input: 0, output: 0 }), true],
  ["only free models", priced({ input: 0, output: 0 }), false],
  ["a model that is free but for thoughts", priced({ input: 0, output: 0, reasoning: 1 }), true],
  ["an unknown price", priced({ images: 1 }), false],
];

export const rateLimitLimitRows: readonly RateLimitRow[] = [
  ...general,
  ...shape,
  ...zones,
  ...sizes,
  ...weightRows,
  ...priceRows,
];
