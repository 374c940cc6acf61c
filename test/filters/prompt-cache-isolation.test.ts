import { describe, expect, it } from "vitest";
import { CacheHost, open, say } from "./cache-driver.ts";
import { type Asked, both, prompt, second } from "./cache-sharing.ts";
import type { Headers } from "./router-driver.ts";

/** Who shares an answer with whom: those who ask as the same, at the same place; nobody else. */

const bearer = (key: string): Headers => [["authorization", `Bearer ${key}`]];

describe("callers", () => {
  const credentials: [string, Headers, Headers][] = [
    ["two keys", bearer("a"), bearer("b")],
    ["schemes", [["authorization", "Bearer a"]], [["authorization", "Basic a"]]],
    ["key and password of the same text", [["authorization", "Bearer a"]], [["authorization", "a"]]],
    ["two keys of Anthropic", [["x-api-key", "a"]], [["x-api-key", "b"]]],
    ["two keys of Azure", [["api-key", "a"]], [["api-key", "b"]]],
    ["two keys of Google", [["x-goog-api-key", "a"]], [["x-goog-api-key", "b"]]],
    ["the same key in another header", [["x-api-key", "a"]], [["api-key", "a"]]],
    ["a key, and the same with a second one", bearer("a"), [...bearer("a"), ["x-api-key", "b"]]],
    ["a placeholder with two real keys", [...bearer("-"), ["api-key", "a"]], [...bearer("-"), ["api-key", "b"]]],
    [
      "a placeholder in the last header",
      [
        ["x-goog-api-key", "a"],
        ["x-api-key", "-"],
      ],
      [
        ["x-goog-api-key", "b"],
        ["x-api-key", "-"],
      ],
    ],
    ["a placeholder with a real key, and without", [...bearer("-"), ["api-key", "a"]], bearer("-")],
    [
      "two keys that are one text",
      [
        ["x-api-key", "a"],
        ["api-key", "b"],
      ],
      [
        ["x-api-key", "ab"],
        ["api-key", ""],
      ],
    ],
    [
      "keys in each other's place",
      [
        ["x-api-key", "a"],
        ["api-key", "b"],
      ],
      [
        ["x-api-key", "b"],
        ["api-key", "a"],
      ],
    ],
    [
      "one header twice, and once",
      [
        ["x-api-key", "a"],
        ["x-api-key", "b"],
      ],
      [["x-api-key", "a"]],
    ],
    [
      "one header twice, in another order",
      [
        ["x-api-key", "a"],
        ["x-api-key", "b"],
      ],
      [
        ["x-api-key", "b"],
        ["x-api-key", "a"],
      ],
    ],
    ["one slot twice, and once", [...bearer("a"), ...bearer("b")], bearer("a")],
    ["keys that differ in case", bearer("abc"), bearer("Abc")],
    ["a key, and its beginning", bearer("abc"), bearer("ab")],
    ["a key, and its beginning with another behind it", [["x-api-key", "a"]], [["x-api-key", "a,b"]]],
  ];
  it.each(credentials)("%s get nothing of each other", async (_name, one, two) => {
    const cache = await CacheHost.start({ rules: [{ name: "all" }] });
    const text = prompt();
    expect(second(cache, { body: say(text), headers: one }, { body: say(text), headers: two })).toBe("apart");
    const other = prompt();
    expect(second(cache, { body: say(other), headers: two }, { body: say(other), headers: one })).toBe("apart");
    expect(cache.trapped).toBe(false);
  });

  it("without a credential go past the cache, or share with those who have none", async () => {
    const apart = await CacheHost.start({ rules: [{ name: "all" }] });
    expect(second(apart, { headers: bearer("a") }, {})).toBe("bypass");
    expect(
      second(apart, { body: say("e"), headers: bearer("a") }, { body: say("e"), headers: [["authorization", ""]] }),
    ).toBe("bypass");
    const shared = await CacheHost.start({ rules: [{ name: "all", missingKey: "shared" }] });
    expect(second(shared, {}, { headers: bearer("a") })).toBe("apart");
    expect(second(shared, { body: say("r") }, { body: say("r") })).toBe("shared");
  });

  it("with the same credential share, whatever else they say of themselves", async () => {
    const cache = await CacheHost.start({ rules: [{ name: "all" }] });
    const more: Headers = [
      ["user-agent", "x"],
      ["x-request-id", "1"],
      ["cookie", "a=b"],
      ["accept", "*/*"],
      ["accept-encoding", "gzip"],
    ];
    expect(second(cache, { headers: bearer("a") }, { headers: [...bearer("a"), ...more] })).toBe("shared");
  });

  it.each([
    ["tenants", "x-tenant", [["x-tenant", "a"]], [["x-tenant", "b"]], "apart"],
    ["a tenant and none", "x-tenant", [["x-tenant", "a"]], [], "apart"],
    ["no tenant and an empty one", "x-tenant", [], [["x-tenant", ""]], "apart"],
    [
      "a tenant twice",
      "x-tenant",
      [["x-tenant", "a"]],
      [
        ["x-tenant", "a"],
        ["x-tenant", "b"],
      ],
      "apart",
    ],
    [
      "another header",
      "x-tenant",
      [["x-tenant", "a"]],
      [
        ["x-tenant", "a"],
        ["x-team", "b"],
      ],
      "shared",
    ],
  ] as [string, string, Headers, Headers, string][])(
    "%s: whatever the rule says",
    async (_name, tenantHeader, one, two, expected) => {
      const cache = await CacheHost.start({ tenantHeader, ...open() });
      expect(second(cache, { headers: one }, { headers: two })).toBe(expected);
    },
  );

  it("are told apart by every part of the key", async () => {
    const key = [
      { header: "x-a" },
      { claim: "sub" },
      { metadata: { namespace: "n", path: ["p", "q"] } },
      { clientAddress: true },
    ];
    const cache = await CacheHost.start({ rules: [{ name: "all", key }] });
    const sub = "metadata.filter_metadata.envoy.filters.http.jwt_authn.payload.sub";
    const own = "metadata.filter_metadata.n.p.q";
    const asked: Asked = {
      headers: [["x-a", "1"]],
      attributes: { [sub]: "s", [own]: "o", "source.address": "10.0.0.1:1" },
    };
    const others: Asked[] = [
      { ...asked, headers: [["x-a", "2"]] },
      { ...asked, attributes: { ...asked.attributes, [sub]: "t" } },
      { ...asked, attributes: { ...asked.attributes, [own]: "p" } },
      { ...asked, attributes: { ...asked.attributes, "source.address": "10.0.0.2:1" } },
      // Parts that run into each other.
      { ...asked, headers: [["x-a", "1s"]], attributes: { ...asked.attributes, [sub]: "", [own]: "o" } },
    ];
    const outcomes = others.map((other) => {
      const body = say(prompt());
      return second(cache, { ...asked, body }, { ...other, body });
    });
    expect(outcomes).toEqual(["apart", "apart", "apart", "apart", "bypass"]);
    const moved = { ...asked, attributes: { ...asked.attributes, "source.address": "10.0.0.1:2" } };
    expect(second(cache, asked, moved)).toBe("shared");
  });

  it("of two sessions, models and constants stay apart where the key says so", async () => {
    const cache = await CacheHost.start({
      rules: [
        { name: "model", match: { headers: [{ name: "x-r", exact: "model" }] }, key: [{ model: true }] },
        {
          name: "session",
          match: { headers: [{ name: "x-r", exact: "session" }] },
          key: [{ session: true }],
          missingKey: "shared",
        },
        { name: "constant", key: [{ constant: "c" }] },
      ],
    });
    const [model, session]: [Headers, Headers] = [[["x-r", "model"]], [["x-r", "session"]]];
    expect(second(cache, { headers: model }, { body: { ...say("q"), model: "n" }, headers: model })).toBe("apart");
    const user = (name: string) => say("q", { user: name });
    expect(second(cache, { body: user("a"), headers: session }, { body: user("b"), headers: session })).toBe("apart");
    expect(second(cache, {}, { headers: [["x-r", "other"]] })).toBe("shared");
  });
});

describe("places", () => {
  const path = (text: string): Headers => [[":path", text]];
  it.each([
    ["hosts", [[":authority", "a"]], [[":authority", "b"]]],
    ["ports", [[":authority", "gateway"]], [[":authority", "gateway:8080"]]],
    ["hosts in capitals", [[":authority", "gateway"]], [[":authority", "GATEWAY"]]],
    ["a host with a dot behind it", [[":authority", "gateway"]], [[":authority", "gateway."]]],
    ["prefixes", path("/v1/chat/completions"), path("/v2/chat/completions")],
    ["a double slash", path("/v1/chat/completions"), path("//v1/chat/completions")],
    ["a double slash inside", path("/v1/chat/completions"), path("/v1//chat/completions")],
    ["a slash at the end", path("/v1/chat/completions"), path("/v1/chat/completions/")],
    ["dots", path("/v1/chat/completions"), path("/v1/./chat/completions")],
    ["a way up", path("/v1/chat/completions"), path("/b/../v1/chat/completions")],
    ["an encoded letter", path("/v1/chat/completions"), path("/%761/chat/completions")],
    ["an encoded slash", path("/a/v1/chat/completions"), path("/a%2Fv1/chat/completions")],
    ["capital digits of an encoded slash", path("/a%2fv1/chat/completions"), path("/a%2Fv1/chat/completions")],
    ["a query", path("/v1/chat/completions"), path("/v1/chat/completions?")],
    ["two queries", path("/v1/chat/completions?a=1"), path("/v1/chat/completions?a=2")],
    ["queries in another order", path("/v1/chat/completions?a=1&b=2"), path("/v1/chat/completions?b=2&a=1")],
    [
      "a key of Azure in the query",
      path("/v1/chat/completions?api-version=1"),
      path("/v1/chat/completions?api-version=2"),
    ],
    [
      "a host in the path",
      [[":authority", "a"], ...path("/b/v1/chat/completions")],
      [[":authority", "a/b"], ...path("/v1/chat/completions")],
    ],
    ["long paths", path(`/${"x".repeat(4_000)}a/chat/completions`), path(`/${"x".repeat(4_000)}b/chat/completions`)],
  ] as [string, Headers, Headers][])("%s are two", async (_name, one, two) => {
    const cache = await CacheHost.start();
    expect(second(cache, { headers: one }, { headers: two })).toBe("apart");
  });

  it.each(["/v1/chat/completions#a", "/V1/Chat/Completions", "/v1/chat/completions%2F", "/v1/chat/completions;a"])(
    "%s is none of the cache's",
    async (text) => {
      const cache = await CacheHost.start();
      for (let i = 0; i < 2; i++) {
        expect(cache.call(say("q"), both[i], path(text))).toMatchObject({
          upstream: true,
          cache: undefined,
          body: both[i],
        });
      }
      expect(cache.counters("requests")).toEqual({});
    },
  );

  it("of more than 4 KiB are refused", async () => {
    const cache = await CacheHost.start();
    const headers = path(`/${"x".repeat(5_000)}/chat/completions`);
    for (let i = 0; i < 2; i++)
      expect(cache.call(say("q"), both[i], headers)).toMatchObject({ upstream: false, status: "414" });
  });

  it("behind two routes of Envoy are two", async () => {
    const cache = await CacheHost.start();
    expect(second(cache, { attributes: { "xds.route_name": "a" } }, { attributes: { "xds.route_name": "b" } })).toBe(
      "apart",
    );
    expect(second(cache, { body: say("n"), attributes: { "xds.route_name": "a" } }, { body: say("n") })).toBe("apart");
  });

  it("behind two plugins with rules of the same name are two, and so are two scopes", async () => {
    const cache = await CacheHost.start();
    cache.call(say("q"), both[0]);
    const other = cache.host.plugin({ name: "other", rootId: "prompt-cache", vmId: "cache", config: open() });
    const stream = other.stream();
    const body = JSON.stringify(say("q"));
    stream.requestHeaders([
      [":method", "POST"],
      [":path", "/v1/chat/completions"],
      [":authority", "gateway"],
      ["content-type", "application/json"],
    ]);
    expect(stream.requestBody(body, { endOfStream: true }).upstream.ended).toBe(true);
    cache.configure({ scope: "b", ...open() });
    expect(cache.call(say("q"))).toMatchObject({ cache: "miss" });
  });

  it("that the router chooses are two: targets, and names of the model there", async () => {
    const config = {
      promptCache: open(),
      router: {
        targets: { a: { cluster: "a" }, b: { cluster: "b" }, c: { cluster: "a", upstreamModel: "x" } },
        rules: ["a", "b", "c"].map((target) => ({
          name: target,
          match: { headers: [{ name: "x-t", exact: target }] },
          targets: [{ target }],
        })),
      },
    };
    const cache = await CacheHost.start(config, { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" });
    const to = (target: string): Asked => ({ headers: [["x-t", target]] });
    expect(second(cache, to("a"), to("b"))).toBe("apart");
    expect(second(cache, to("c"), to("c"))).toBe("shared");
    expect(second(cache, { ...to("b"), body: say("w") }, { ...to("c"), body: say("w") })).toBe("apart");
  });
});

describe("rules", () => {
  it("of two names share nothing, those of one name do", async () => {
    const by = (name: string): object => ({ name, key: [], match: { headers: [{ name: "x-r", exact: name }] } });
    const cache = await CacheHost.start({ rules: [by("a"), by("b")] });
    expect(second(cache, { headers: [["x-r", "a"]] }, { headers: [["x-r", "b"]] })).toBe("apart");
    expect(
      second(cache, { body: say("s"), headers: [["x-r", "a"]] }, { body: say("s"), headers: [["x-r", "a"]] }),
    ).toBe("shared");
    expect(cache.call(say("s"), {}, [["x-r", "c"]])).toMatchObject({ upstream: true, cache: undefined });
  });

  it("count the headers that they name, and those that model servers go by", async () => {
    const cache = await CacheHost.start(open());
    for (const name of ["anthropic-version", "anthropic-beta", "openai-beta"]) {
      const body = say(prompt());
      expect(second(cache, { body, headers: [[name, "1"]] }, { body, headers: [[name, "2"]] })).toBe("apart");
      const other = say(prompt());
      expect(second(cache, { body: other }, { body: other, headers: [[name, ""]] })).toBe("apart");
    }
    const own = await CacheHost.start(open({ headers: ["x-mode", "x-lang"] }));
    const pair = (one: Headers, two: Headers) => {
      const body = say(prompt());
      return second(own, { body, headers: one }, { body, headers: two });
    };
    expect(pair([["x-mode", "1"]], [["x-mode", "2"]])).toBe("apart");
    expect(pair([["x-mode", "1"]], [["x-lang", "1"]])).toBe("apart");
    expect(pair([["anthropic-version", "1"]], [["anthropic-version", "2"]])).toBe("shared");
  });
});
