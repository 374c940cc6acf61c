/** Configurations with the verdict that both the filter and the xDS server must give: fields of the whole, `models` and the defaults. */

/** `filter`: the server judges otherwise, because it looks up which service a cluster is. */
export type Row = [name: string, spec: object, valid: boolean, only?: "filter"];

/** Header names that no request has any more when it is read, and one that looks like them. */
export const removedHeaders = ["x-llm-tenant", "x-llm-", "x-gateway-destination-endpoint"];
export const almostRemovedHeaders = ["x-llm", "x-llmtenant", "ax-llm-tenant", "x-gateway-destination-endpoints"];
/** The first and last control characters of ASCII, and those that a YAML author may well write. */
export const controlCharacters = ["\0", "\t", "\n", "\x1f", "\x7f"];

const model = { model: "a", route: "r" };
/** Valid but for `more`. */
const base = (more: object): object => ({ models: [model], ...more });
const entry = (more: object): object => ({ models: [{ ...model, ...more }] });
const list = <T>(length: number, make: (index: number) => T): T[] => Array.from({ length }, (_, i) => make(i));
const target = { targets: { t: { route: "r" }, "A-1._": { cluster: "c.test" } } };

const general: Row[] = [
  ["the least", base({}), true],
  ["no models and no rules", {}, false],
  ["targets only", target, false],
  ["an unknown field", base({ model: "a" }), false],
  ["a field of another stage", base({ router: {} }), false],
  [
    "everything of the time before rules",
    {
      paths: ["/chat/completions"],
      maxBodyBytes: 1,
      routeHeader: "x-llm-r",
      duplicateModel: "lastWins",
      models: [
        { ...model, upstreamModel: "b" },
        { model: "a*", route: "r" },
        { model: "*", route: "r" },
      ],
      onMissingModel: "reject",
      onUnknownModel: { route: "r" },
      onMalformedBody: { route: "r", upstreamModel: "m" },
      onBodyTooLarge: { route: "r" },
      onBodyUnreadable: { route: "r" },
    },
    true,
  ],
];

const models: Row[] = [
  ["an empty list of models", { models: [] }, false],
  ["models that are no list", { models: model }, false],
  ["1024 models", { models: list(1024, (i) => ({ model: `m${i}`, route: "r" })) }, true],
  ["1025 models", { models: list(1025, (i) => ({ model: `m${i}`, route: "r" })) }, false],
  ["a model without a name", { models: [{ route: "r" }] }, false],
  ["an empty name", entry({ model: "" }), false],
  ["a name that is a number", entry({ model: 4 }), false],
  ["a name of 256 bytes", entry({ model: "é".repeat(128) }), true],
  ["a name of 257 bytes", entry({ model: `${"é".repeat(128)}a` }), false],
  ["a star inside", entry({ model: "a*b" }), false],
  ["two stars", entry({ model: "a**" }), false],
  ["a name twice", { models: [model, model] }, false],
  [
    "a prefix twice",
    {
      models: [
        { model: "a*", route: "r" },
        { model: "a*", route: "s" },
      ],
    },
    false,
  ],
  [
    "* twice",
    {
      models: [
        { model: "*", route: "r" },
        { model: "*", route: "s" },
      ],
    },
    false,
  ],
  ["a name and the same prefix", { models: [model, { model: "a*", route: "s" }] }, true],
  ["no route", { models: [{ model: "a" }] }, false],
  ["an empty route", entry({ route: "" }), false],
  ["a route with a space", entry({ route: "r s" }), false],
  ["a route of 256 bytes", entry({ route: "r".repeat(256) }), true],
  ["a route of 257 bytes", entry({ route: "r".repeat(257) }), false],
  ["an upstream model of 256 bytes", entry({ upstreamModel: "m".repeat(256) }), true],
  ["an upstream model of 257 bytes", entry({ upstreamModel: "m".repeat(257) }), false],
  ["an empty upstream model", entry({ upstreamModel: "" }), false],
  ...controlCharacters.flatMap((control): Row[] => [
    [`an upstream model with ${JSON.stringify(control)} at its end`, entry({ upstreamModel: `m${control}` }), false],
    [`a name with ${JSON.stringify(control)} at its start`, entry({ model: `${control}m` }), false],
  ]),
  ["an upstream model with a space", entry({ upstreamModel: "a m" }), true],
  ["an unknown field of a model", entry({ weight: 1 }), false],
  ["a target in a model", { ...target, models: [{ model: "a", target: "t" }] }, false],
];

const numbers: Row[] = [
  ["a body limit of 0", base({ maxBodyBytes: 0 }), false],
  ["a body limit of 64 MiB", base({ maxBodyBytes: 64 * 1024 * 1024 }), true],
  ["a body limit of one byte more", base({ maxBodyBytes: 64 * 1024 * 1024 + 1 }), false],
  ["a body limit of half a byte", base({ maxBodyBytes: 0.5 }), false],
  ["a body limit in quotes", base({ maxBodyBytes: "10" }), false],
  ["0.000001 tokens a byte", base({ tokensPerByte: 0.000001 }), true],
  ["4 tokens a byte", base({ tokensPerByte: 4 }), true],
  ["more than 4 tokens a byte", base({ tokensPerByte: 4.000001 }), false],
  ["no tokens a byte", base({ tokensPerByte: 0 }), false],
  ["fewer than no tokens a byte", base({ tokensPerByte: -1 }), false],
  ["tokens a byte in quotes", base({ tokensPerByte: "1" }), false],
];

const words: Row[] = [
  ["duplicates rejected in words", base({ duplicateModel: "reject" }), true],
  ["duplicates treated in another way", base({ duplicateModel: "firstWins" }), false],
  ["duplicates allowed by true", base({ duplicateModel: true }), false],
  ["an access log", base({ accessLog: true }), true],
  ["no access log", base({ accessLog: false }), true],
  ["an access log in quotes", base({ accessLog: "true" }), false],
  ["response headers", base({ responseHeaders: true }), true],
  ["response headers by number", base({ responseHeaders: 1 }), false],
];

const paths: Row[] = [
  ["no paths", base({ paths: [] }), false],
  ["32 paths", base({ paths: list(32, (i) => `/${i}`) }), true],
  ["33 paths", base({ paths: list(33, (i) => `/${i}`) }), false],
  ["a path without a slash", base({ paths: ["chat"] }), false],
  ["a path with a space", base({ paths: ["/a b"] }), false],
  ["the root as a path", base({ paths: ["/"] }), true],
  ["an empty path", base({ paths: [""] }), false],
  ["a path of 256 bytes", base({ paths: [`/${"p".repeat(255)}`] }), true],
  ["a path of 257 bytes", base({ paths: [`/${"p".repeat(256)}`] }), false],
  ["Gemini's methods", base({ paths: [":generateContent", ":streamGenerateContent"] }), true],
  ["another method", base({ paths: [":countTokens"] }), false],
  ["a method without its colon", base({ paths: ["generateContent"] }), false],
  ["one path in place of the list", base({ paths: "/chat/completions" }), false],
];

const headers: Row[] = ["routeHeader", "clusterHeader"].flatMap((field): Row[] => [
  [`a good ${field}`, base({ [field]: "x-llm-r-2" }), true],
  [`a foreign ${field}`, base({ [field]: "x-route" }), false],
  [`only the prefix as ${field}`, base({ [field]: "x-llm-" }), false],
  [`an upper-case ${field}`, base({ [field]: "x-llm-Route" }), false],
  [`an underscore in ${field}`, base({ [field]: "x-llm-a_b" }), false],
  [`a ${field} of 64 bytes`, base({ [field]: `x-llm-${"r".repeat(58)}` }), true],
  [`a ${field} of 65 bytes`, base({ [field]: `x-llm-${"r".repeat(59)}` }), false],
  [`the model's header as ${field}`, base({ [field]: "x-llm-model" }), false],
]);

const moreHeaders: Row[] = [
  ["two headers of one name", base({ routeHeader: "x-llm-a", clusterHeader: "x-llm-a" }), false],
  ["the cluster's default as route header", base({ routeHeader: "x-llm-cluster" }), false],
  ["the route's default as cluster header", base({ clusterHeader: "x-llm-route" }), false],
  ["the defaults exchanged", base({ routeHeader: "x-llm-cluster", clusterHeader: "x-llm-route" }), true],
  ["a tenant header", base({ tenantHeader: "x-tenant-1" }), true],
  ["a tenant header of 64 bytes", base({ tenantHeader: "t".repeat(64) }), true],
  ["a tenant header of 65 bytes", base({ tenantHeader: "t".repeat(65) }), false],
  ["an empty tenant header", base({ tenantHeader: "" }), false],
  ["an upper-case tenant header", base({ tenantHeader: "X-Tenant" }), false],
  ["a pseudo-header as tenant header", base({ tenantHeader: ":authority" }), false],
  ...removedHeaders.map((name): Row => [`${name} as tenant header`, base({ tenantHeader: name }), false]),
  ...almostRemovedHeaders.map((name): Row => [`${name} as tenant header`, base({ tenantHeader: name }), true]),
];

const metrics: Row[] = [
  ["no metrics", base({ metrics: { enabled: false } }), true],
  ["empty metrics", base({ metrics: {} }), true],
  ["metrics by a word", base({ metrics: false }), false],
  ["metrics enabled by a word", base({ metrics: { enabled: "yes" } }), false],
  ["metrics of a model with a line feed", base({ metrics: { models: ["a\nb"] } }), false],
  ["metrics of no model", base({ metrics: { models: [] } }), true],
  ["metrics of 64 models", base({ metrics: { models: list(64, (i) => `m${i}`) } }), true],
  ["metrics of 65 models", base({ metrics: { models: list(65, (i) => `m${i}`) } }), false],
  ["metrics of a model without a name", base({ metrics: { models: [""] } }), false],
  ["metrics of a model of 256 bytes", base({ metrics: { models: ["m".repeat(256)] } }), true],
  ["metrics of a model of 257 bytes", base({ metrics: { models: ["m".repeat(257)] } }), false],
  ["an unknown field of metrics", base({ metrics: { labels: [] } }), false],
];

const defaults: Row[] = [
  "onMissingModel",
  "onUnknownModel",
  "onMalformedBody",
  "onBodyTooLarge",
  "onBodyUnreadable",
].flatMap((field): Row[] => [
  [`${field}: reject`, base({ [field]: "reject" }), true],
  [`${field}: a route`, base({ [field]: { route: "r", upstreamModel: "m" } }), true],
  [`${field}: a model with a line break`, base({ [field]: { route: "r", upstreamModel: "m\n" } }), false],
  [`${field}: a target`, base({ ...target, [field]: { target: "A-1._" } }), true],
  [`${field}: a target and a model`, base({ ...target, [field]: { target: "t", upstreamModel: "m" } }), false],
  [`${field}: a target and a route`, base({ ...target, [field]: { target: "t", route: "r" } }), false],
  [`${field}: a target that is not there`, base({ ...target, [field]: { target: "x" } }), false],
  [`${field}: a target without targets`, base({ [field]: { target: "t" } }), false],
  [`${field}: nothing`, base({ [field]: {} }), false],
  [`${field}: a model only`, base({ [field]: { upstreamModel: "m" } }), false],
  [`${field}: another word`, base({ [field]: "accept" }), false],
  [`${field}: an unknown field`, base({ [field]: { route: "r", model: "m" } }), false],
  [`${field}: a list`, base({ [field]: [] }), false],
  [`${field}: a cluster`, base({ [field]: { cluster: "c" } }), false],
]);

export const trafficRows: readonly Row[] = [
  ...general,
  ...models,
  ...numbers,
  ...words,
  ...paths,
  ...headers,
  ...moreHeaders,
  ...metrics,
  ...defaults,
];
