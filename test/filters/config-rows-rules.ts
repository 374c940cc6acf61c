/** Verdicts on `rules` that both the filter and the xDS server must give. */
import { almostRemovedHeaders, controlCharacters, type Row, removedHeaders } from "./config-rows-traffic.ts";

const targets = {
  a: { route: "a" },
  b: { route: "b" },
  c: { route: "c" },
  x: { cluster: "x.test" },
  y: { cluster: "y.test" },
};
const rules = (...list: unknown[]): object => ({ tenantHeader: "x-tenant", targets, rules: list });
const rule = (more: object): object => rules({ name: "r", targets: [{ target: "a" }], ...more });
const match = (one: unknown): object => rule({ match: one });
const split = (...list: unknown[]): object => rule({ targets: list });
const fallback = (one: unknown): object => rule({ fallback: one });
const list = <T>(length: number, make: (index: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const without = (spec: object): object => ({ ...spec, tenantHeader: undefined });
const header = (one: unknown): object => match({ headers: [one] });

const general: Row[] = [
  ["a rule", rule({}), true],
  ["a rule and models", { ...rule({}), models: [{ model: "*", route: "r" }] }, true],
  ["no rule", rules(), false],
  ["256 rules", rules(...list(256, (i) => ({ name: `r${i}`, targets: [{ target: "a" }] }))), true],
  ["257 rules", rules(...list(257, (i) => ({ name: `r${i}`, targets: [{ target: "a" }] }))), false],
  ["a rule that is a name", rules("r"), false],
  ["a rule without a name", rules({ targets: [{ target: "a" }] }), false],
  ["a rule with an empty name", rule({ name: "" }), false],
  ["a rule's name of 64 bytes", rule({ name: "n".repeat(64) }), true],
  ["a rule's name of 65 bytes", rule({ name: "n".repeat(65) }), false],
  ["a rule's name with a slash", rule({ name: "a/b" }), false],
  ["a rule's name that begins with an underscore", rule({ name: "_a" }), false],
  [
    "two rules of one name",
    rules({ name: "r", targets: [{ target: "a" }] }, { name: "r", targets: [{ target: "b" }] }),
    false,
  ],
  ["an unknown field of a rule", rule({ when: {} }), false],
  ["a rule without targets", rules({ name: "r" }), false],
];

const targetsOfRules: Row[] = [
  ["no targets of a rule", split(), false],
  [
    "16 targets of a rule",
    {
      targets: Object.fromEntries(list(17, (i) => [`t${i}`, { route: "r" }])),
      rules: [{ name: "r", targets: list(16, (i) => ({ target: `t${i}` })) }],
    },
    true,
  ],
  [
    "17 targets of a rule",
    {
      targets: Object.fromEntries(list(17, (i) => [`t${i}`, { route: "r" }])),
      rules: [{ name: "r", targets: list(17, (i) => ({ target: `t${i}` })) }],
    },
    false,
  ],
  ["a target that is not there", split({ target: "d" }), false],
  ["a target twice", split({ target: "a" }, { target: "a" }), false],
  ["a target without a name", split({ weight: 1 }), false],
  ["a target that is only a name", split("a"), false],
  ["an unknown field of a rule's target", split({ target: "a", priority: 1 }), false],
  ["weights", split({ target: "a", weight: 0 }, { target: "b", weight: 1_000_000 }), true],
  ["a weight of too much", split({ target: "a", weight: 1_000_001 }), false],
  ["a weight below 0", split({ target: "a", weight: -1 }), false],
  ["half a weight", split({ target: "a", weight: 0.5 }), false],
  ["a weight in quotes", split({ target: "a", weight: "1" }), false],
  ["weights of nothing", split({ target: "a", weight: 0 }, { target: "b", weight: 0 }), false],
  ["a route and a cluster side by side", split({ target: "a" }, { target: "x" }), true],
];

const names: Row[] = [
  ["an empty match", match({}), true],
  ["a match that is a list", match([]), false],
  ["an unknown condition", match({ model: "a" }), false],
  ["models", match({ models: ["a", "b*", "*"] }), true],
  ["no models", match({ models: [] }), false],
  ["64 models", match({ models: list(64, (i) => `m${i}`) }), true],
  ["65 models", match({ models: list(65, (i) => `m${i}`) }), false],
  ["a model with a star inside", match({ models: ["a*b"] }), false],
  ["an empty model", match({ models: [""] }), false],
  ...controlCharacters.map(
    (control): Row => [`a model with ${JSON.stringify(control)}`, match({ models: [`m${control}*`] }), false],
  ),
  ["a model of 256 bytes", match({ models: ["é".repeat(128)] }), true],
  ["a model of 257 bytes", match({ models: [`${"é".repeat(128)}a`] }), false],
  ["a provider", match({ provider: "acme-1.2_x" }), true],
  ["a provider that begins with a dot", match({ provider: ".acme" }), false],
  ["a provider that begins with a dash", match({ provider: "-" }), false],
  ["a provider with a slash", match({ provider: "a/b" }), false],
  ["an empty provider", match({ provider: "" }), false],
  ["a provider of 64 bytes", match({ provider: "p".repeat(64) }), true],
  ["a provider of 65 bytes", match({ provider: "p".repeat(65) }), false],
  [
    "every API",
    match({
      apis: [
        "openai.chat",
        "openai.completions",
        "openai.responses",
        "openai.embeddings",
        "openai.other",
        "anthropic.messages",
        "gemini.generate",
      ],
    }),
    true,
  ],
  ["no API", match({ apis: [] }), false],
  ["an API that is none", match({ apis: ["openai"] }), false],
  ["a path", match({ paths: ["/v1/"] }), true],
  ["no path", match({ paths: [] }), false],
  ["a path without a slash", match({ paths: ["v1"] }), false],
  ["a path with a space", match({ paths: ["/a b"] }), false],
  ["32 paths of a rule", match({ paths: list(32, (i) => `/${i}`) }), true],
  ["33 paths of a rule", match({ paths: list(33, (i) => `/${i}`) }), false],
  ["a path of 256 bytes in a rule", match({ paths: [`/${"p".repeat(255)}`] }), true],
  ["a path of 257 bytes in a rule", match({ paths: [`/${"p".repeat(256)}`] }), false],
];

const headers: Row[] = [
  [
    "headers of all kinds",
    match({
      headers: [
        { name: "a", exact: "x y" },
        { name: "b", prefix: " " },
        { name: "c", present: false },
      ],
    }),
    true,
  ],
  ["no headers", match({ headers: [] }), false],
  ["16 headers", match({ headers: list(16, (i) => ({ name: `h${i}`, present: true })) }), true],
  ["17 headers", match({ headers: list(17, (i) => ({ name: `h${i}`, present: true })) }), false],
  ["a header without a name", header({ exact: "x" }), false],
  ["a header without a test", header({ name: "a" }), false],
  ["a header with two tests", header({ name: "a", exact: "x", present: true }), false],
  ["a header that is a name", header("a"), false],
  ["an upper-case header", header({ name: "A", present: true }), false],
  ["a header name of 64 bytes", header({ name: "h".repeat(64), present: true }), true],
  ["a header name of 65 bytes", header({ name: "h".repeat(65), present: true }), false],
  ["an empty header value", header({ name: "a", exact: "" }), false],
  ["a header value that is not ASCII", header({ name: "a", exact: "é" }), false],
  ["a header value with a tab", header({ name: "a", prefix: "a\tb" }), false],
  ["a header value of 256 bytes", header({ name: "a", exact: "v".repeat(256) }), true],
  ["a header value of 257 bytes", header({ name: "a", prefix: "v".repeat(257) }), false],
  ["a header that is present in words", header({ name: "a", present: "yes" }), false],
  ["an unknown test of a header", header({ name: "a", regex: "x" }), false],
  ...removedHeaders.flatMap((name): Row[] => [
    [`${name} with a value`, header({ name, exact: "x" }), false],
    [`${name} absent`, header({ name, present: false }), false],
  ]),
  ...almostRemovedHeaders.map((name): Row => [`${name} with a prefix`, header({ name, prefix: "x" }), true]),
];

const facts: Row[] = [
  ["tenants", match({ tenants: ["é", "b c"] }), true],
  ["tenants without their header", without(match({ tenants: ["a"] })), false],
  ["no tenants", match({ tenants: [] }), false],
  ["an empty tenant", match({ tenants: [""] }), false],
  ["a tenant with a line break", match({ tenants: ["a\n"] }), false],
  ["64 tenants", match({ tenants: list(64, (i) => `t${i}`) }), true],
  ["65 tenants", match({ tenants: list(65, (i) => `t${i}`) }), false],
  ["a tenant of 256 bytes", match({ tenants: ["é".repeat(128)] }), true],
  ["a tenant of 257 bytes", match({ tenants: [`${"é".repeat(128)}a`] }), false],
  ["tokens", match({ promptTokens: { atLeast: 0, below: 1 } }), true],
  ["the most tokens", match({ promptTokens: { atLeast: 99_999_999, below: 100_000_000 } }), true],
  ["at least the most tokens", match({ promptTokens: { atLeast: 100_000_000 } }), true],
  ["more than the most tokens", match({ promptTokens: { atLeast: 100_000_001 } }), false],
  ["below more than the most tokens", match({ promptTokens: { below: 100_000_001 } }), false],
  ["below no tokens", match({ promptTokens: { below: 0 } }), false],
  ["at least fewer than no tokens", match({ promptTokens: { atLeast: -1 } }), false],
  ["half a token", match({ promptTokens: { atLeast: 0.5 } }), false],
  ["no bounds", match({ promptTokens: {} }), false],
  ["bounds that leave nothing", match({ promptTokens: { atLeast: 5, below: 5 } }), false],
  ["bounds upside down", match({ promptTokens: { atLeast: 6, below: 5 } }), false],
  ["a number for bounds", match({ promptTokens: 5 }), false],
  ["an unknown bound", match({ promptTokens: { atLeast: 1, above: 1 } }), false],
  ...["stream", "tools", "images", "session"].flatMap((name): Row[] => [
    [`${name} true`, match({ [name]: true }), true],
    [`${name} false`, match({ [name]: false }), true],
    [`${name} in quotes`, match({ [name]: "true" }), false],
  ]),
  ["a pattern", match({ lastUserMessage: "(?i)\\bhi\\b|^é{1,3}$" }), true],
  ["an empty pattern", match({ lastUserMessage: "" }), false],
  ["a pattern of 512 bytes", match({ lastUserMessage: "é".repeat(256) }), true],
  ["a pattern of 513 bytes", match({ lastUserMessage: `${"é".repeat(256)}a` }), false],
  ["a pattern that does not close", match({ lastUserMessage: "(a" }), false],
  ["a pattern that looks ahead", match({ lastUserMessage: "a(?=b)" }), false],
  ["a pattern that looks back at itself", match({ lastUserMessage: "(a)\\1" }), false],
  ["a pattern of too many repetitions", match({ lastUserMessage: "a{257}" }), false],
  ["a pattern that is a list", match({ lastUserMessage: ["a"] }), false],
];

const sticky: Row[] = [
  ["sticky by session", rule({ stickyBy: "session" }), true],
  ["sticky by tenant", rule({ stickyBy: "tenant" }), true],
  ["sticky by tenant without its header", without(rule({ stickyBy: "tenant" })), false],
  ["sticky by a header", rule({ stickyBy: `header:${"h".repeat(64)}` }), true],
  ["sticky by a header of 65 bytes", rule({ stickyBy: `header:${"h".repeat(65)}` }), false],
  ...removedHeaders.map((name): Row => [`sticky by ${name}`, rule({ stickyBy: `header:${name}` }), false]),
  ...almostRemovedHeaders.map((name): Row => [`sticky by ${name}`, rule({ stickyBy: `header:${name}` }), true]),
  ["sticky by no header", rule({ stickyBy: "header:" }), false],
  ["sticky by an upper-case header", rule({ stickyBy: "header:X-User" }), false],
  ["sticky by another thing", rule({ stickyBy: "cookie" }), false],
  ["sticky by true", rule({ stickyBy: true }), false],
];

const fallbacks: Row[] = [
  ["a fallback", fallback({ targets: ["b"] }), true],
  [
    "a fallback with everything",
    fallback({ targets: ["b", "c"], statuses: [400, 599], firstByteTimeout: "10s" }),
    true,
  ],
  ["a fallback without targets", fallback({ statuses: [500] }), false],
  ["no fallback targets", fallback({ targets: [] }), false],
  [
    "4 fallback targets",
    {
      targets: Object.fromEntries(list(6, (i) => [`t${i}`, { route: "r" }])),
      rules: [{ name: "r", targets: [{ target: "t5" }], fallback: { targets: ["t0", "t1", "t2", "t3"] } }],
    },
    true,
  ],
  [
    "5 fallback targets",
    {
      targets: Object.fromEntries(list(6, (i) => [`t${i}`, { route: "r" }])),
      rules: [{ name: "r", targets: [{ target: "t5" }], fallback: { targets: ["t0", "t1", "t2", "t3", "t4"] } }],
    },
    false,
  ],
  ["a fallback target twice", fallback({ targets: ["b", "b"] }), false],
  ["a fallback to the rule's own target", fallback({ targets: ["a"] }), false],
  ["a fallback to a target that is not there", fallback({ targets: ["d"] }), false],
  ["a fallback of another kind", fallback({ targets: ["x"] }), false],
  ["a fallback of clusters", rule({ targets: [{ target: "x" }], fallback: { targets: ["y"] } }), true],
  ["a fallback of two kinds", fallback({ targets: ["b", "x"] }), false],
  ["a fallback of two kinds, the other way", fallback({ targets: ["x", "b"] }), false],
  [
    "a fallback for targets of two kinds",
    rule({ targets: [{ target: "a" }, { target: "x" }], fallback: { targets: ["b"] } }),
    false,
  ],
  ["a fallback that is a list", fallback(["b"]), false],
  ["an unknown field of a fallback", fallback({ targets: ["b"], retries: 1 }), false],
  ["no statuses", fallback({ targets: ["b"], statuses: [] }), false],
  ["16 statuses", fallback({ targets: ["b"], statuses: list(16, (i) => 500 + i) }), true],
  ["17 statuses", fallback({ targets: ["b"], statuses: list(17, (i) => 500 + i) }), false],
  ["a status of 399", fallback({ targets: ["b"], statuses: [399] }), false],
  ["a status of 600", fallback({ targets: ["b"], statuses: [600] }), false],
  ["a status in quotes", fallback({ targets: ["b"], statuses: ["500"] }), false],
  ...(["10ms", "600s", "600000ms", "1s", "0010ms"] as const).map(
    (time): Row => [`a time-out of ${time}`, fallback({ targets: ["b"], firstByteTimeout: time }), true],
  ),
  ...[
    "9ms",
    "601s",
    "600001ms",
    "0s",
    "",
    "10",
    "10m",
    "1.5s",
    "-1s",
    " 1s",
    "1s ",
    "s",
    "ms",
    "1e2s",
    "99999999999s",
    10,
  ].map(
    (time): Row => [
      `a time-out of ${JSON.stringify(time)}`,
      fallback({ targets: ["b"], firstByteTimeout: time }),
      false,
    ],
  ),
];

export const ruleRows: readonly Row[] = [
  ...general,
  ...targetsOfRules,
  ...names,
  ...headers,
  ...facts,
  ...sticky,
  ...fallbacks,
];
