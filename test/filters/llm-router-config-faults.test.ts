import { describe, expect, it } from "vitest";
import { ProxyWasmHost } from "../host/index.ts";
import { base, chat, RouterHost, routerWasm, sent } from "./router-driver.ts";

/** What the filter says of a configuration that it refuses: where the fault is and what to write instead, all faults at once. */

const host = await ProxyWasmHost.load(routerWasm, { workers: 1 });

function faultsOf(config: string | object): string[] {
  host.logs.length = 0;
  expect(() => host.plugin({ name: "llm-router", rootId: "llm-router", config })).toThrow();
  return host.logs.filter(({ level }) => level === "error").map(({ message }) => message.replace("llm-router: ", ""));
}

const route = { targets: { t: { route: "r" }, c: { cluster: "c" } } };
const rule = (more: object) => ({ ...route, rules: [{ name: "r", targets: [{ target: "t" }], ...more }] });

const wrong: [name: string, config: string | object, complaint: RegExp][] = [
  ["nothing", "", /^configuration: missing; at least models or rules/],
  ["no JSON", "{", /^configuration: is not JSON: .* at byte 1/],
  ["a key twice", '{"models":[],"models":[]}', /^configuration: is not JSON: duplicate key 'models'/],
  ["a list", [], /^configuration: must be an object/],
  ["no models", {}, /^models: missing; list at least one .* or rules/],
  ["an unknown field", { ...base, model: 1 }, /^model: unknown field; remove it/],
  ["a model twice", { models: [base.models[0], base.models[0]] }, /^models\[1\]\.model: stands twice/],
  [
    "a wildcard inside",
    { models: [{ model: "a*b", route: "r" }] },
    /^models\[0\]\.model: '\*' may stand only at the end/,
  ],
  ["no route", { models: [{ model: "a" }] }, /^models\[0\]\.route: missing/],
  ["a line break", { models: [{ model: "a", route: "r\n" }] }, /^models\[0\]\.route: must be visible ASCII/],
  ["a route header that clients may set", { ...base, routeHeader: "x-route" }, /^routeHeader: must begin with x-llm-/],
  [
    "one header for two things",
    { ...base, clusterHeader: "x-llm-route" },
    /^clusterHeader: is the same as routeHeader/,
  ],
  [
    "a tenant header that is taken from clients",
    { ...base, tenantHeader: "x-llm-tenant" },
    /^tenantHeader: is removed from every request .* does not begin with x-llm-/,
  ],
  [
    "a line break in an upstream model",
    { ...base, onUnknownModel: { route: "r", upstreamModel: "m\n" } },
    /^onUnknownModel\.upstreamModel: must not have control characters/,
  ],
  ["a body limit of nothing", { ...base, maxBodyBytes: 0 }, /^maxBodyBytes: must be a whole number from 1 to 67108864/],
  [
    "a path without a slash",
    { ...base, paths: ["chat"] },
    /^paths\[0\]: must begin with '\/'.* or be :generateContent/,
  ],
  ["too many tokens a byte", { ...base, tokensPerByte: 5 }, /^tokensPerByte: must be a number above 0 and at most 4/],
  ["an unknown metric", { ...base, metrics: { x: 1 } }, /^metrics\.x: unknown field/],
  ["a default without a route", { ...base, onUnknownModel: {} }, /^onUnknownModel\.route: missing/],
  [
    "a default to nowhere",
    { ...base, onBodyTooLarge: { target: "x" } },
    /^onBodyTooLarge\.target: no target of that name/,
  ],
  ["a target's name", { ...base, targets: { "-": { route: "r" } } }, /^targets\.-: must be letters, digits/],
  [
    "a target of both kinds",
    { ...base, targets: { t: { route: "a", cluster: "b" } } },
    /^targets\.t: must have route or cluster/,
  ],
  ["a plus", { ...base, targets: { t: { route: "a+b" } } }, /^targets\.t\.route: must not contain '\+'/],
  [
    "a prefix without a goal",
    { ...base, targets: { t: { route: "a", pathPrefix: {} } } },
    /^targets\.t\.pathPrefix\.to: missing/,
  ],
  [
    "two secrets",
    { ...base, targets: { t: { route: "a", credential: { env: "A", value: "b" } } } },
    /^targets\.t\.credential: must have env or value/,
  ],
  [
    "a variable that is not set",
    { ...base, targets: { t: { route: "a", credential: { env: "A" } } } },
    /^targets\.t\.credential\.env: is not set.*host_env_keys/,
  ],
  ["a rule without a name", rule({ name: undefined }), /^rules\[0\]\.name: missing/],
  ["an unknown condition", rule({ match: { x: 1 } }), /^rules\[0\]\.match\.x: unknown field/],
  [
    "a condition on tenants without a header",
    rule({ match: { tenants: ["a"] } }),
    /^rules\[0\]\.match\.tenants: needs tenantHeader/,
  ],
  [
    "a header with two tests",
    rule({ match: { headers: [{ name: "a", exact: "b", prefix: "c" }] } }),
    /^rules\[0\]\.match\.headers\[0\]: must have exact, prefix or present/,
  ],
  [
    "a header that is taken from clients",
    rule({ match: { headers: [{ name: "x-gateway-destination-endpoint", present: true }] } }),
    /^rules\[0\]\.match\.headers\[0\]\.name: is removed from every request/,
  ],
  [
    "bounds upside down",
    rule({ match: { promptTokens: { atLeast: 2, below: 1 } } }),
    /^rules\[0\]\.match\.promptTokens: atLeast must be less/,
  ],
  [
    "an API that is none",
    rule({ match: { apis: ["x"] } }),
    /^rules\[0\]\.match\.apis\[0\]: must be one of openai\.chat, .*openai\.other/,
  ],
  [
    "a bad pattern",
    rule({ match: { lastUserMessage: "(a" } }),
    /^rules\[0\]\.match\.lastUserMessage: pattern .* at byte \d/,
  ],
  [
    "no weight",
    rule({ targets: [{ target: "t", weight: 0 }] }),
    /^rules\[0\]\.targets: the sum of the weights must be above 0/,
  ],
  [
    "a key that is taken from clients",
    rule({ stickyBy: "header:x-llm-user" }),
    /^rules\[0\]\.stickyBy: is removed from every request/,
  ],
  ["a key that is none", rule({ stickyBy: "x" }), /^rules\[0\]\.stickyBy: must be session, tenant or header:NAME/],
  [
    "a fallback of another kind",
    rule({ fallback: { targets: ["c"] } }),
    /^rules\[0\]: targets of a rule with fallback must all have route or all/,
  ],
  [
    "a fallback to itself",
    rule({ fallback: { targets: ["t"] } }),
    /^rules\[0\]\.fallback\.targets\[0\]: is one of the rule's own targets/,
  ],
  [
    "a time that is none",
    rule({ fallback: { targets: ["t"], firstByteTimeout: "1m" } }),
    /^rules\[0\]\.fallback\.firstByteTimeout: must be a duration from "10ms"/,
  ],
];

describe("a configuration with one fault", () => {
  it.each(wrong)("says what is wrong with %s", (_name, config, complaint) => {
    expect(faultsOf(config).filter((fault) => complaint.test(fault)).length).toBe(1);
  });
});

describe("a configuration with many faults", () => {
  it("is told all of them at once", () => {
    const faults = faultsOf({
      maxBodyBytes: 0,
      accessLog: 1,
      targets: { a: { host: "" }, b: { route: "r", x: 1 } },
      rules: [{ name: "", match: { stream: 1, models: [] }, targets: [{ target: "x" }], fallback: { statuses: [1] } }],
      models: [{ model: "a" }, { route: "r" }],
      onMissingModel: "x",
    });
    const places = faults.map((fault) => fault.slice(0, fault.indexOf(": ")));
    for (const place of [
      "maxBodyBytes",
      "accessLog",
      "targets.a",
      "targets.a.host",
      "targets.b.x",
      "rules[0].name",
      "rules[0].match.stream",
      "rules[0].match.models",
      "rules[0].targets[0].target",
      "rules[0].fallback.statuses[0]",
      "rules[0].fallback.targets",
      "models[0].route",
      "models[1]",
      "onMissingModel",
    ]) {
      expect(places).toContain(place);
    }
  });
});

describe("the order of the text", () => {
  it("does not matter: what others refer to is read first", async () => {
    const gateway = await RouterHost.start(
      `{"onUnknownModel":{"target":"t"},"rules":[{"fallback":{"targets":["u"]},"stickyBy":"tenant","targets":[{"target":"t"}],
        "match":{"promptTokens":{"atLeast":2},"tenants":["a"]},"name":"r"}],"tokensPerByte":1,"tenantHeader":"x-t",
        "targets":{"t":{"route":"t"},"u":{"route":"u"}}}`,
    );
    const ask = (text: string) =>
      sent(
        gateway.send(JSON.stringify({ model: "m", messages: [{ role: "user", content: text }] }), [
          ...chat(),
          ["x-t", "a"],
        ]),
      ).route;
    expect([ask("xx"), ask("x")]).toEqual(["t+u", "t"]);
  });
});
