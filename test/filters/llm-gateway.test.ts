import { describe, expect, it } from "vitest";
import { ProxyWasmHost } from "../host/index.ts";
import { chat, lengthOf, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** The gateway with its one stage does what the router does; its configuration has a member for each stage. */

const options = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };

const router = {
  routeHeader: "x-llm-r",
  responseHeaders: true,
  tenantHeader: "x-tenant",
  models: [
    { model: "gpt-4o", route: "gpt4", upstreamModel: "gpt-4o-eu" },
    { model: "whisper*", route: "w" },
  ],
  targets: {
    a: { cluster: "a", host: "a.example", upstreamModel: "of-a", credential: { value: "key" } },
    b: { cluster: "b", pathPrefix: { from: "/v1", to: "/b" } },
  },
  rules: [
    { name: "images", match: { images: true }, targets: [{ target: "b" }] },
    {
      name: "pool",
      match: { models: ["pool*"], tenants: ["t"] },
      targets: [{ target: "a" }],
      stickyBy: "tenant",
      fallback: { targets: ["b"] },
    },
  ],
  onMissingModel: { target: "b" },
};
const traffic = {
  maxBodyBytes: 5000,
  tokensPerByte: 1,
  accessLog: true,
  metrics: { models: ["pool-1"] },
  duplicateModel: "lastWins",
};

const image = '[{"role":"user","content":[{"type":"image_url"}]}]';
const requests: [body: string, headers: [string, string][]][] = [
  ['{"model":"gpt-4o"}', chat({ "accept-encoding": "gzip" })],
  [`{"messages":${image},"model":"gpt-4o"}`, chat()],
  ['{"model":"pool-1"}', chat({ "x-tenant": "t", authorization: "Bearer client", "content-length": "18" })],
  ['{"model":"pool-1"}', chat({ "x-tenant": "u" })],
  ['{"model":"x","model":"gpt-4o"}', chat()],
  ["{}", chat({ "content-length": "2" })],
  ["{}", chat({ ":path": "/v1beta/models/unknown:generateContent" })],
  ["{", chat({ ":path": "/v1/messages" })],
  [`{"model":"gpt-4o","a":"${"x".repeat(5000)}"}`, chat()],
  [
    '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--',
    chat({ ":path": "/v1/audio/translations", "content-type": "multipart/form-data; boundary=b" }),
  ],
  [
    "anything",
    [
      [":method", "GET"],
      [":path", "/v1/models"],
      [":authority", "a"],
      ["x-llm-r", "evil"],
      ["x-llm-cluster", "evil"],
    ],
  ],
];

/** All that can be seen of the requests from outside. */
function seen(gateway: RouterHost): unknown[] {
  const facts = requests.map(([body, headers]) => {
    const stream = gateway.send(body, headers);
    const request = [
      refusalOf(stream),
      sent(stream),
      stream.upstream.headers?.toObject(),
      stream.trace.map(({ name }) => name),
    ];
    if (stream.localReply) return [...request, stream.downstream.text];
    const attempts = ["a", "b"].map((target) => gateway.attempt(stream, { target }));
    const last = attempts.at(-1);
    if (last) gateway.answer(stream, last, '{"usage":{"prompt_tokens":3,"completion_tokens":2}}');
    const log = Buffer.from(stream.filterState("llm") ?? []).toString();
    return [
      ...request,
      attempts.map((attempt) => [refusalOf(attempt), sent(attempt)]),
      stream.downstream.headers?.toObject(),
      log,
    ];
  });
  gateway.host.advance(1000);
  return [facts, gateway.host.metrics.names()];
}

describe("the gateway", () => {
  it("does what the router does", async () => {
    const alone = await RouterHost.start({ ...traffic, ...router });
    const gateway = await RouterHost.start({ ...traffic, router }, options);
    expect(seen(gateway)).toEqual(seen(alone));
    expect(gateway.trapped).toBe(false);
  });

  it("reads its own fields whatever the order of the text", async () => {
    const rules = [{ name: "r", match: { promptTokens: { atLeast: 2 } }, targets: [{ target: "a" }] }];
    const text = JSON.stringify({ router: { ...router, rules }, tokensPerByte: 1, paths: ["/ask"] });
    const gateway = await RouterHost.start(text, options);
    const ask = (content: string, path = "/v1/ask") => {
      const body = JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content }] });
      return sent(gateway.send(body, chat({ ":path": path, "content-length": lengthOf(body) })));
    };
    expect(ask("xx").cluster).toBe("a");
    expect(ask("x").cluster).toBeUndefined();
    expect(ask("xx", "/v1/chat/completions").cluster).toBeUndefined();
  });
});

describe("its configuration", () => {
  const wrong: [name: string, config: string | object, complaint: RegExp][] = [
    ["nothing", "", /llm-gateway: configuration: missing/],
    [
      "no stage",
      { maxBodyBytes: 1 },
      /llm-gateway: configuration: has no stage; add router, promptCache, rateLimit or endpointPicker/,
    ],
    ["a router that is a list", { router: [] }, /llm-gateway: router: must be an object/],
    ["an unknown stage", { router, limiter: {} }, /llm-gateway: limiter: unknown field/],
    ["the router's fields outside of it", { router, models: [] }, /llm-gateway: models: unknown field/],
    [
      "its own fields in the router",
      { router: { ...router, maxBodyBytes: 1 } },
      /llm-gateway: router\.maxBodyBytes: unknown field/,
    ],
    ["a router without models", { router: {} }, /llm-gateway: router\.models: missing/],
    ["a fault in a rule", { router: { ...router, rules: [{}] } }, /llm-gateway: router\.rules\[0\]\.name: missing/],
    [
      "a fault in a target",
      { router: { ...router, targets: { a: {} } } },
      /llm-gateway: router\.targets\.a: must have route or cluster/,
    ],
    [
      "a fault in a default",
      { router: { ...router, onUnknownModel: 1 } },
      /llm-gateway: router\.onUnknownModel: must be/,
    ],
    [
      "a tenant header that is none",
      { router: { ...router, tenantHeader: "X" } },
      /llm-gateway: router\.tenantHeader: must be a header name/,
    ],
  ];
  it.each(wrong)("with %s is refused, and the place is named", async (_name, config, complaint) => {
    const host = await ProxyWasmHost.load(options.wasm);
    expect(() => host.plugin({ rootId: "llm-gateway", config })).toThrow();
    expect(host.logs.map(({ message }) => message).join("\n")).toMatch(complaint);
  });
});
