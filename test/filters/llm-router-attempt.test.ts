import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import "../host/matchers.ts";
import { chat, hostMetadata, lengthOf, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** What each attempt of a planned request looks like: host, path, credential, model and length belong to its target, whatever came before. */

const targets = {
  openai: { cluster: "openai", host: "openai.example", credential: { value: "openai-key" } },
  azure: {
    cluster: "azure",
    host: "azure.example",
    upstreamModel: "gpt-4o-eu",
    pathPrefix: { from: "/v1", to: "/openai/v1" },
    credential: { header: "api-key", value: "azure-key" },
  },
  plain: { cluster: "plain" },
  long: { cluster: "long", upstreamModel: "a-much-longer-name-of-the-same-model", pathPrefix: { to: "/long" } },
  header: { cluster: "header", credential: { header: "x-team-key", prefix: "Key ", value: "team-key" } },
};
type Name = keyof typeof targets;

const config = {
  targets,
  rules: [
    { name: "alone", match: { models: ["azure"] }, targets: [{ target: "azure" }] },
    {
      name: "pool",
      targets: [{ target: "openai" }],
      fallback: { targets: ["azure", "plain", "long", "header"], statuses: [429, 503], firstByteTimeout: "2s" },
    },
  ],
};

const body = '{"messages":[],"model":"gpt-4o","n":1}';
const clientHeaders: [string, string][] = [
  ...chat({ ":path": "/v1/chat/completions?a=1", "content-length": lengthOf(body) }),
  ["authorization", "Bearer client-key"],
  ["x-kept", "1"],
];
const names: Record<Name, string> = {
  openai: "gpt-4o",
  azure: "gpt-4o-eu",
  plain: "gpt-4o",
  long: "a-much-longer-name-of-the-same-model",
  header: "gpt-4o",
};

/** Everything an attempt to that target must look like. */
const expected = (name: Name) => {
  const sentBody = body.replace("gpt-4o", names[name]);
  const target = targets[name];
  const paths: Partial<Record<Name, string>> = {
    azure: "/openai/v1/chat/completions?a=1",
    long: "/long/v1/chat/completions?a=1",
  };
  return {
    host: "host" in target ? target.host : "gateway",
    path: paths[name] ?? "/v1/chat/completions?a=1",
    length: lengthOf(sentBody),
    body: sentBody,
    credentials: {
      authorization: name === "openai" ? "Bearer openai-key" : undefined,
      "api-key": name === "azure" ? "azure-key" : undefined,
      "x-team-key": name === "header" ? "Key team-key" : undefined,
    },
    kept: "1",
  };
};

const seen = (attempt: Stream) => {
  const headers = attempt.upstream.headers;
  const { host, path, length, body: sentBody } = sent(attempt);
  return {
    host,
    path,
    length,
    body: sentBody,
    credentials: {
      authorization: headers?.get("authorization"),
      "api-key": headers?.get("api-key"),
      "x-team-key": headers?.get("x-team-key"),
    },
    kept: headers?.get("x-kept"),
  };
};

describe("the request to the pool", () => {
  it("names its members and tells Envoy when to try the next one", async () => {
    const gateway = await RouterHost.start(config);
    const headers = gateway.send(body, clientHeaders).upstream.headers?.toObject();
    expect(headers).toMatchObject({
      "x-llm-cluster": "openai+azure+plain+long+header",
      "x-llm-model": "gpt-4o",
      "x-envoy-retry-on": "connect-failure,refused-stream,reset,retriable-status-codes",
      "x-envoy-retriable-status-codes": "429,503",
      "x-envoy-max-retries": "4",
      "x-envoy-upstream-rq-per-try-timeout-ms": "2000",
    });
    expect(headers).not.toHaveProperty("authorization");
    expect(headers).not.toHaveProperty("x-llm-route");
  });

  it("has Envoy's usual statuses and no time-out unless they are given, whatever the client says", async () => {
    const gateway = await RouterHost.start({
      targets: { a: { route: "a" }, b: { route: "b" } },
      rules: [{ name: "r", targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
    });
    const spoofed: [string, string][] = [
      ["x-envoy-retry-on", "5xx"],
      ["x-envoy-max-retries", "99"],
      ["x-envoy-retriable-status-codes", "200"],
      ["x-envoy-upstream-rq-per-try-timeout-ms", "1"],
      ["x-envoy-hedge-on-per-try-timeout", "true"],
    ];
    const headers = gateway.send(body, [...chat(), ...spoofed]).upstream.headers;
    expect(headers?.get("x-llm-route")).toBe("a+b");
    expect(headers?.all("x-envoy-retriable-status-codes")).toEqual(["429,500,502,503,504,529"]);
    expect(headers?.all("x-envoy-max-retries")).toEqual(["1"]);
    expect(headers?.all("x-envoy-retry-on")).toEqual(["connect-failure,refused-stream,reset,retriable-status-codes"]);
    expect(headers?.has("x-envoy-upstream-rq-per-try-timeout-ms")).toBe(false);
    expect(headers?.has("x-envoy-hedge-on-per-try-timeout")).toBe(false);
  });

  it("carries no header of the client's that is a credential of any target", async () => {
    const gateway = await RouterHost.start(config);
    const request = gateway.send(body, [...clientHeaders, ["x-team-key", "client-key"], ["api-key", "client-key"]]);
    for (const name of Object.keys(targets) as Name[]) {
      expect(seen(gateway.attempt(request, { target: name }))).toEqual(expected(name));
    }
  });

  it("leaves the client's keys alone where no target has one of ours", async () => {
    const gateway = await RouterHost.start({
      targets: {
        a: { route: "a", host: "a.example" },
        b: { route: "b" },
        c: { route: "c", credential: { value: "k" } },
      },
      rules: [
        { name: "own", match: { models: ["own"] }, targets: [{ target: "a" }], fallback: { targets: ["c"] } },
        { name: "r", targets: [{ target: "a" }], fallback: { targets: ["b"] } },
      ],
    });
    const keys: [string, string][] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"].map((n) => [n, "k"]);
    const ask = (model: string) =>
      gateway.send(`{"model":"${model}"}`, [...chat({ ":path": "/v1/messages?key=k" }), ...keys]);
    for (const [name] of keys) {
      expect(ask("x").upstream.headers?.get(name)).toBe("k");
      expect(ask("own").upstream.headers?.has(name)).toBe(false);
    }
    expect(sent(gateway.attempt(ask("x"), { target: "b" })).path).toBe("/v1/messages?key=k");
    expect(sent(gateway.attempt(ask("own"), { target: "a" })).path).toBe("/v1/messages");
  });
});

describe("an attempt", () => {
  it.each(Object.keys(targets) as Name[])("to %s is what its target says", async (name) => {
    const gateway = await RouterHost.start(config);
    expect(seen(gateway.attempt(gateway.send(body, clientHeaders), { target: name }))).toEqual(expected(name));
  });

  it("takes back what others wrote, in any order, on any body in any pieces", async () => {
    const gateway = await RouterHost.start(config);
    const bytes = Buffer.from(body);
    const cut = fc.array(fc.nat(bytes.length), { maxLength: 5 }).map((ends) => {
      const borders = [0, ...ends.sort((a, b) => a - b), bytes.length];
      return borders.slice(1).map((end, i) => bytes.subarray(borders[i], end));
    });
    const tries = fc.array(fc.tuple(fc.constantFrom(...(Object.keys(targets) as Name[])), cut), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(tries, (sequence) => {
        const request = gateway.send(body, clientHeaders);
        for (const [target, chunks] of sequence) {
          const attempt = gateway.attempt(request, { target, chunks });
          expect(seen(attempt)).toEqual(expected(target));
          attempt.end();
        }
        request.end();
      }),
      { numRuns: 300 },
    );
  });

  it("takes back a path where nobody has a key, too", async () => {
    const gateway = await RouterHost.start({
      targets: { a: { route: "a", pathPrefix: { to: "/a" } }, b: { route: "b" } },
      rules: [{ name: "r", targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
    });
    const request = gateway.send(body, chat({ ":path": "/v1/messages?key=k" }));
    for (const target of ["b", "a", "b", "a", "a", "b"]) {
      const path = target === "a" ? "/a/v1/messages?key=k" : "/v1/messages?key=k";
      expect(sent(gateway.attempt(request, { target })).path).toBe(path);
    }
  });

  it("writes no length that the client did not send", async () => {
    const gateway = await RouterHost.start(config);
    const request = gateway.send(body, chat());
    for (const target of ["long", "plain"] as const) {
      const attempt = gateway.attempt(request, { target });
      expect(sent(attempt)).toMatchObject({ length: undefined, body: expected(target).body });
    }
  });

  it("needs no word of the endpoint when there is one target only", async () => {
    const gateway = await RouterHost.start(config);
    const asked = body.replace("gpt-4o", "azure");
    const ask = () => gateway.send(asked, [...chat({ "content-length": lengthOf(asked) })]);
    const said = [undefined, hostMetadata("plain"), Buffer.from("nonsense")];
    for (const metadata of said) {
      const attempt = gateway.attempt(ask(), metadata ? { metadata } : {});
      expect(sent(attempt)).toMatchObject({ host: "azure.example", path: "/openai/v1/chat/completions" });
      expect(sent(attempt).body).toBe(asked.replace("azure", "gpt-4o-eu"));
    }
  });

  it.each([
    ["no metadata", undefined],
    ["no target in it", hostMetadata("openai", "tokenmesh", "name")],
    ["metadata of another filter", hostMetadata("openai", "envoy.lb")],
    ["a target that this request may not go to", hostMetadata("elsewhere")],
    ["bytes that are no metadata", Buffer.from([0x0a, 0xff])],
    ["an empty name", hostMetadata("")],
  ])("is refused with target_unknown for %s, and no key is written", async (_name, metadata) => {
    const elsewhere = { cluster: "elsewhere", credential: { value: "elsewhere-key" } };
    const gateway = await RouterHost.start({ ...config, targets: { ...targets, elsewhere } });
    const attempt = gateway.attempt(gateway.send(body, clientHeaders), metadata ? { metadata } : {});
    expect(attempt).toHaveSentLocalResponse(500, /target_unknown/);
    expect(attempt.upstream.headers).toBeUndefined();
    expect(attempt.request.headers?.has("authorization")).toBe(false);
  });
});

describe("a refusal", () => {
  it.each([
    ["/v1/chat/completions", { error: { code: "target_unknown" } }],
    ["/v1/messages", { type: "error", error: { type: "api_error" } }],
    ["/v1beta/models/m:generateContent", { error: { code: 500, status: "INTERNAL" } }],
  ])("of %s has the shape of its API", async (path, shape) => {
    const gateway = await RouterHost.start(config);
    const attempt = gateway.attempt(gateway.send(body, chat({ ":path": path })));
    expect(JSON.parse(attempt.downstream.text)).toMatchObject(shape);
  });
});

describe("without a plan", () => {
  it("an attempt changes nothing", async () => {
    const gateway = await RouterHost.start({ models: [{ model: "*", route: "r", upstreamModel: "renamed" }] });
    const request = gateway.send(body, clientHeaders);
    expect(request.filterState("tokenmesh.plan")).toBeUndefined();
    const attempt = gateway.attempt(request, { target: "azure" });
    expect(attempt.upstream.headers?.pairs()).toEqual(request.upstream.headers?.pairs());
    expect(attempt.upstream.text).toBe(request.upstream.text);
  });

  it.each<[name: string, forged: ((own: Buffer) => Buffer) | undefined]>([
    ["of another VM", undefined],
    ["that is too short", (own) => own.subarray(1)],
    ["that is too long", (own) => Buffer.concat([own, Buffer.alloc(1)])],
    ["that is empty", () => Buffer.alloc(0)],
    ["of a plan that does not exist", (own) => Buffer.concat([Buffer.from([9, 0, 0, 0]), own.subarray(4)])],
    ["of another generation", (own) => Buffer.concat([own.subarray(0, 4), Buffer.from([9, 0, 0, 0]), own.subarray(8)])],
    ["of the same place in another VM", (own) => Buffer.concat([own.subarray(0, 8), Buffer.alloc(8, 1)])],
  ])("a handle %s is refused with attempt_plan_missing", async (_name, forged) => {
    const gateway = await RouterHost.start(config, forged ? {} : { attemptVmId: "other" });
    const request = gateway.send(body, clientHeaders);
    const own = Buffer.from(request.filterState("tokenmesh.plan") ?? []);
    if (forged) request.setProperty("tokenmesh.plan", forged(own));
    const attempt = gateway.attempt(request, { target: "openai" });
    expect(refusalOf(attempt)).toBe("attempt_plan_missing");
    expect(attempt).toHaveSentLocalResponse(500);
    expect(attempt.upstream.headers).toBeUndefined();
  });

  it("a handle never opens a plan of another VM, even one with plans of its own", async () => {
    const gateway = await RouterHost.start(config, { attemptVmId: "other" });
    const request = gateway.send(body, clientHeaders);
    gateway.host.advance(1);
    const other = gateway.host.plugin({ name: "other", rootId: "llm-router", vmId: "other", config });
    const planned = other.exchange({ headers: clientHeaders, body });
    expect(planned.filterState("tokenmesh.plan")?.subarray(0, 8)).toEqual(
      request.filterState("tokenmesh.plan")?.subarray(0, 8),
    );
    expect(refusalOf(gateway.attempt(request, { target: "openai" }))).toBe("attempt_plan_missing");
  });
});
