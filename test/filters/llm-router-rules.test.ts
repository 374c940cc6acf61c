import { describe, expect, it } from "vitest";
import { chat, type Headers, RouterHost, refusalOf, sent } from "./router-driver.ts";
import type { Match } from "./rule-reference.ts";

/** Each condition of a rule with requests on both sides of it. */

const gatewayFor = (match: Match, more: object = {}) =>
  RouterHost.start({
    models: [{ model: "*", route: "miss" }],
    tenantHeader: "x-tenant",
    targets: { hit: { route: "hit" } },
    rules: [{ name: "r", match, targets: [{ target: "hit" }] }],
    ...more,
  });

interface Request {
  model?: string;
  path?: string;
  headers?: Headers;
  body?: object;
}

function routeOf(
  gateway: RouterHost,
  { model = "gpt-4o", path = "/v1/chat/completions", headers = [], body = {} }: Request,
) {
  const stream = gateway.send(JSON.stringify({ model, ...body }), [...chat({ ":path": path }), ...headers]);
  return refusalOf(stream) ?? sent(stream).route;
}

const user = (content: unknown) => ({ messages: [{ role: "user", content }] });
const image = { type: "image_url", image_url: { url: "data:image/png;base64,AA" } };

const conditions: [name: string, match: Match, hits: Request[], misses: Request[]][] = [
  ["nothing", {}, [{}, { path: "/v1/audio/speech" }], []],
  ["an exact model", { models: ["gpt-4o"] }, [{}], [{ model: "gpt-4o-mini" }, { model: "gpt-4" }, { model: "GPT-4o" }]],
  ["a prefix", { models: ["gpt-*"] }, [{}, { model: "gpt-" }], [{ model: "gpt" }, { model: "x-gpt-4" }]],
  ["several models", { models: ["a", "b*"] }, [{ model: "a" }, { model: "bb" }], [{ model: "ab" }]],
  ["any model", { models: ["*"] }, [{}, { model: "x" }], []],
  [
    "a provider",
    { provider: "acme" },
    [{ model: "acme/gpt-4o" }, { model: "acme/a/b" }],
    [{ model: "acme" }, { model: "acme/" }, { model: "acmegpt/x" }, { model: "x/acme/y" }, { model: "ACME/gpt-4o" }],
  ],
  [
    "a provider and a model, which is matched against the rest",
    { provider: "acme", models: ["gpt-*"] },
    [{ model: "acme/gpt-4o" }],
    [{ model: "gpt-4o" }, { model: "acme/acme/gpt-4o" }, { model: "acme/x" }],
  ],
  [
    "an API",
    { apis: ["openai.completions", "anthropic.messages"] },
    [{ path: "/v1/completions" }, { path: "/v1/messages" }, { path: "/v1/messages/count_tokens?beta=true" }],
    [{}, { path: "/v1/responses" }, { path: "/v1/images/edits" }],
  ],
  ["the API of everything else", { apis: ["openai.other"] }, [{ path: "/v1/images/generations" }], [{}]],
  [
    "a path",
    { paths: ["/v1/", "/team-a/"] },
    [{}, { path: "/team-a/v1/messages" }],
    [{ path: "/v2/v1/messages" }, { path: "/v2/messages?x=/v1/" }],
  ],
  ["a path, its query aside", { paths: ["/v1/messages?x"] }, [], [{ path: "/v1/messages?x=1" }]],
  [
    "an exact header",
    { headers: [{ name: "x-team", exact: "red" }] },
    [{ headers: [["x-team", "red"]] }],
    [
      {},
      { headers: [["x-team", "reds"]] },
      {
        headers: [
          ["x-team", "red"],
          ["x-team", "red"],
        ],
      },
    ],
  ],
  [
    "repeated headers, joined as Envoy does",
    { headers: [{ name: "x-team", exact: "red,blue" }] },
    [
      {
        headers: [
          ["x-team", "red"],
          ["x-other", "1"],
          ["x-team", "blue"],
        ],
      },
      { headers: [["x-team", "red,blue"]] },
    ],
    [
      {
        headers: [
          ["x-team", "blue"],
          ["x-team", "red"],
        ],
      },
    ],
  ],
  [
    "a header's beginning",
    { headers: [{ name: "user-agent", prefix: "openai " }] },
    [{ headers: [["user-agent", "openai python"]] }],
    [{}, { headers: [["user-agent", "openai"]] }, { headers: [["user-agent", "an openai x"]] }],
  ],
  [
    "a header that is there",
    { headers: [{ name: "x-team", present: true }] },
    [{ headers: [["x-team", ""]] }, { headers: [["x-team", "x"]] }],
    [{}, { headers: [["x-teams", "x"]] }],
  ],
  [
    "a header that is not there",
    { headers: [{ name: "x-team", present: false }] },
    [{}],
    [{ headers: [["x-team", ""]] }],
  ],
  [
    "several headers, all of them",
    {
      headers: [
        { name: "x-a", exact: "1" },
        { name: "x-b", present: true },
        { name: "x-c", present: false },
      ],
    },
    [
      {
        headers: [
          ["x-b", "2"],
          ["x-a", "1"],
        ],
      },
    ],
    [
      { headers: [["x-a", "1"]] },
      {
        headers: [
          ["x-a", "1"],
          ["x-b", "2"],
          ["x-c", "3"],
        ],
      },
    ],
  ],
  [
    "tenants",
    { tenants: ["t1", "t2"] },
    [{ headers: [["x-tenant", "t2"]] }],
    [
      {},
      { headers: [["x-tenant", ""]] },
      { headers: [["x-tenant", "t"]] },
      {
        headers: [
          ["x-tenant", "t1"],
          ["x-tenant", "t2"],
        ],
      },
    ],
  ],
  [
    "at least so many tokens",
    { promptTokens: { atLeast: 3 } },
    [{ body: user("x".repeat(9)) }],
    [{ body: user("x".repeat(8)) }, {}],
  ],
  [
    "fewer tokens",
    { promptTokens: { below: 3 } },
    [{ body: user("x".repeat(8)) }, {}],
    [{ body: user("x".repeat(9)) }],
  ],
  [
    "tokens between two numbers",
    { promptTokens: { atLeast: 2, below: 3 } },
    [{ body: user("x".repeat(5)) }, { body: user("é".repeat(4)) }],
    [{ body: user("x".repeat(4)) }, { body: user("x".repeat(9)) }],
  ],
  [
    "a stream",
    { stream: true },
    [{ body: { stream: true } }],
    [{}, { body: { stream: false } }, { body: { stream: "true" } }, { body: { stream: 1 } }],
  ],
  ["no stream", { stream: false }, [{}, { body: { stream: null } }], [{ body: { stream: true } }]],
  [
    "tools",
    { tools: true },
    [{ body: { tools: [{}] } }, { body: { functions: [{}] } }],
    [{}, { body: { tools: [] } }, { body: { tools: {} } }],
  ],
  ["no tools", { tools: false }, [{}, { body: { tools: null } }], [{ body: { tools: [{}] } }]],
  [
    "images",
    { images: true },
    [{ body: user([{ type: "text", text: "a" }, image]) }],
    [{}, { body: user("image_url") }],
  ],
  ["no images", { images: false }, [{}], [{ body: user([image]) }]],
  [
    "a session",
    { session: true },
    [
      { body: { session_id: "1" } },
      { body: { prompt_cache_key: "1" } },
      { body: { user: "u" } },
      { body: { metadata: { user_id: "u" } } },
      { body: { safety_identifier: "u" } },
    ],
    [{}, { body: { user: "" } }, { body: { session_id: 1 } }, { body: { metadata: { session_id: "1" } } }],
  ],
  ["no session", { session: false }, [{}, { body: { user: null } }], [{ body: { user: "u" } }]],
];

describe("conditions", () => {
  it.each(conditions)("%s", async (_name, match, hits, misses) => {
    const gateway = await gatewayFor(match);
    for (const request of hits) expect([request, routeOf(gateway, request)]).toEqual([request, "hit"]);
    for (const request of misses) expect([request, routeOf(gateway, request)]).toEqual([request, "miss"]);
  });

  it("count tokens by the configured ratio", async () => {
    const gateway = await gatewayFor({ promptTokens: { atLeast: 2 } }, { tokensPerByte: 1 });
    expect(routeOf(gateway, { body: user("xx") })).toBe("hit");
    expect(routeOf(gateway, { body: user("x") })).toBe("miss");
  });

  it("hold together or not at all", async () => {
    const match: Match = {
      models: ["gpt-4o"],
      apis: ["openai.chat"],
      headers: [{ name: "x-a", present: true }],
      stream: true,
    };
    const gateway = await gatewayFor(match);
    const good: Request = { headers: [["x-a", "1"]], body: { stream: true } };
    expect(routeOf(gateway, good)).toBe("hit");
    for (const wrong of [{ model: "x" }, { path: "/v1/responses" }, { headers: [] }, { body: {} }]) {
      expect(routeOf(gateway, { ...good, ...wrong })).toBe("miss");
    }
  });
});
