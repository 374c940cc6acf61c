/** Verdicts on `rules` of a rate limit that both the filter and the xDS server must give. */

/** A configuration: accepted or not. */
export type RateLimitRow = readonly [name: string, spec: object, valid: boolean];

export const tokens = { unit: "tokens", amount: 1000, per: "minute" };
export const rules = (...list: unknown[]): object => ({ tenantHeader: "x-tenant", rules: list });
export const rule = (more: object): object => rules({ name: "r", limits: [tokens], ...more });
export const without = (spec: object): object => ({ ...spec, tenantHeader: undefined });
const list = <T>(length: number, make: (index: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const match = (one: unknown): object => rule({ match: one });
const key = (...parts: unknown[]): object => rule({ key: parts });
const metadata = (one: unknown): object => key({ metadata: one });

const general: RateLimitRow[] = [
  ["a rule", rule({}), true],
  ["no rule", rules(), false],
  ["rules that are an object", { rules: { name: "r", limits: [tokens] } }, false],
  ["64 rules", rules(...list(64, (i) => ({ name: `r${i}`, limits: [tokens] }))), true],
  ["65 rules", rules(...list(65, (i) => ({ name: `r${i}`, limits: [tokens] }))), false],
  ["a rule that is a name", rules("r"), false],
  ["a rule without a name", rules({ limits: [tokens] }), false],
  ["a rule with an empty name", rule({ name: "" }), false],
  ["a name of 64 bytes", rule({ name: "n".repeat(64) }), true],
  ["a name of 65 bytes", rule({ name: "n".repeat(65) }), false],
  ["a name with a space", rule({ name: "a b" }), false],
  ["two rules of one name", rules({ name: "r", limits: [tokens] }, { name: "r", limits: [tokens] }), false],
  ["two rules of two names", rules({ name: "r", limits: [tokens] }, { name: "R", limits: [tokens] }), true],
  ["an unknown field of a rule", rule({ action: "deny" }), false],
  ["a rule without limits", rules({ name: "r" }), false],
  ["a shadow", rule({ shadow: true }), true],
  ["no shadow", rule({ shadow: false }), true],
  ["a shadow in quotes", rule({ shadow: "true" }), false],
  ...["shared", "skip", "reject"].map(
    (word): RateLimitRow => [`a missing key: ${word}`, rule({ missingKey: word }), true],
  ),
  ["a missing key in another way", rule({ missingKey: "allow" }), false],
  ["a missing key by true", rule({ missingKey: true }), false],
];

const conditions: RateLimitRow[] = [
  ["an empty match", match({}), true],
  ["a match that is a list", match([]), false],
  ["an unknown condition", match({ model: "a" }), false],
  [
    "every condition",
    match({
      models: ["gpt-*"],
      provider: "acme",
      apis: ["openai.chat"],
      paths: ["/v1/"],
      headers: [{ name: "x-a", exact: "a" }],
      tenants: ["t"],
      promptTokens: { atLeast: 1 },
      stream: true,
      tools: false,
      images: false,
      session: true,
      lastUserMessage: "(?i)code",
    }),
    true,
  ],
  ["tenants without their header", without(match({ tenants: ["t"] })), false],
  ["no models", match({ models: [] }), false],
  ["a header that is removed", match({ headers: [{ name: "x-llm-a", present: true }] }), false],
  ["a pattern that does not close", match({ lastUserMessage: "(a" }), false],
];

const keys: RateLimitRow[] = [
  ["no key", key(), true],
  ["a key that is an object", rule({ key: { header: "x-user" } }), false],
  ["a key that is a name", key("x-user"), false],
  ["a part of nothing", key({}), false],
  ["an unknown part", key({ cookie: "a" }), false],
  ["an unknown field beside a part", key({ header: "x-a", value: "b" }), false],
  ["two things in one part", key({ header: "x-a", model: true }), false],
  ["4 parts", key({ header: "x-a" }, { header: "x-b" }, { model: true }, { session: true }), true],
  ["5 parts", key(...list(5, (i) => ({ header: `x-${i}` }))), false],
  ["a part twice", key({ header: "x-a" }, { header: "x-a" }), true],
  ["a header", key({ header: "x-user" }), true],
  ["a header of 64 bytes", key({ header: "h".repeat(64) }), true],
  ["a header of 65 bytes", key({ header: "h".repeat(65) }), false],
  ["an upper-case header", key({ header: "X-User" }), false],
  ["a pseudo-header", key({ header: ":path" }), false],
  ["an empty header", key({ header: "" }), false],
  ["a header that clients cannot send", key({ header: "x-llm-model" }), false],
  ["the header of the destination", key({ header: "x-gateway-destination-endpoint" }), false],
  ...["apiKey", "clientAddress", "model", "tenant", "session"].flatMap((name): RateLimitRow[] => [
    [`${name}: true`, key({ [name]: true }), true],
    [`${name}: false`, key({ [name]: false }), false],
    [`${name} in quotes`, key({ [name]: "true" }), false],
  ]),
  ["the tenant without its header", without(key({ tenant: true })), false],
  ["a claim", key({ claim: "sub" }), true],
  ["a claim that is a URL", key({ claim: "https://a.test/plan" }), true],
  ["an empty claim", key({ claim: "" }), false],
  ["a claim of 256 bytes", key({ claim: "é".repeat(128) }), true],
  ["a claim of 257 bytes", key({ claim: `${"é".repeat(128)}a` }), false],
  ["a claim with a control character", key({ claim: "a\u0000b" }), false],
  ["a claim of another payload", key({ claim: "sub", payloadKey: "my_payload" }), true],
  ["a payload without a claim", key({ payloadKey: "my_payload" }), false],
  ["a payload of a header", key({ header: "x-a", payloadKey: "my_payload" }), false],
  ["a payload without a name", key({ claim: "sub", payloadKey: "" }), false],
  ["a payload that is a number", key({ claim: "sub", payloadKey: 1 }), false],
  ["metadata", metadata({ namespace: "com.acme", path: ["a", "b"] }), true],
  ["metadata without a namespace", metadata({ path: ["a"] }), false],
  ["metadata without a path", metadata({ namespace: "n" }), false],
  ["metadata on an empty path", metadata({ namespace: "n", path: [] }), false],
  ["metadata 8 deep", metadata({ namespace: "n", path: list(8, (i) => `k${i}`) }), true],
  ["metadata 9 deep", metadata({ namespace: "n", path: list(9, (i) => `k${i}`) }), false],
  ["metadata with an empty name on its path", metadata({ namespace: "n", path: ["a", ""] }), false],
  ["metadata with a number on its path", metadata({ namespace: "n", path: [1] }), false],
  ["metadata with a path in one text", metadata({ namespace: "n", path: "a.b" }), false],
  ["metadata that is a name", metadata("n"), false],
  ["an unknown field of metadata", metadata({ namespace: "n", path: ["a"], key: "b" }), false],
  ["a namespace of 256 bytes", metadata({ namespace: "n".repeat(256), path: ["a"] }), true],
  ["a namespace of 257 bytes", metadata({ namespace: "n".repeat(257), path: ["a"] }), false],
  ["a constant", key({ constant: "a b" }), true],
  ["an empty constant", key({ constant: "" }), false],
  ["a constant of 256 bytes", key({ constant: "c".repeat(256) }), true],
  ["a constant of 257 bytes", key({ constant: "c".repeat(257) }), false],
  ["a constant that is a number", key({ constant: 1 }), false],
];

export const rateLimitRuleRows: readonly RateLimitRow[] = [...general, ...conditions, ...keys];
