import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import "../host/matchers.ts";
import { chat, RouterHost, refusalOf, sent } from "./router-driver.ts";

/** How long a plan lives: until its request is over, however that ends. Then its place is free, and its handle opens nothing. */

const config = {
  targets: {
    a: { route: "a", host: "a.example", upstreamModel: "renamed", credential: { value: "a-key" } },
    b: { route: "b", host: "b.example" },
  },
  rules: [{ name: "r", targets: [{ target: "a" }], fallback: { targets: ["b"], firstByteTimeout: "10s" } }],
};
const body = '{"model":"m"}';

/** |index|generation| of the plan of a request. */
function handleOf(request: Stream): { index: number; generation: number } {
  const bytes = Buffer.from(request.filterState("tokenmesh.plan") ?? []);
  return { index: bytes.readUInt32LE(0), generation: bytes.readUInt32LE(4) };
}

const ways: [name: string, run: (gateway: RouterHost, request: Stream) => void][] = [
  [
    "completes",
    (gateway, request) => gateway.answer(request, gateway.attempt(request, { target: "a" }), '{"usage":{}}'),
  ],
  [
    "completes after another attempt",
    (gateway, request) => {
      gateway.attempt(request, { target: "a" }).end();
      gateway.answer(request, gateway.attempt(request, { target: "b" }), "{}");
    },
  ],
  ["is left by its client before an attempt", (_gateway, request) => request.end()],
  [
    "is left by its client during an attempt",
    (gateway, request) => {
      const attempt = gateway.attempt(request, { target: "a" });
      request.end();
      attempt.end();
    },
  ],
  [
    "is left by its client during the answer",
    (gateway, request) => {
      const attempt = gateway.attempt(request, { target: "a" });
      attempt.responseHeaders({ ":status": "200" }).responseBody("x", {});
      request.responseHeaders({ ":status": "200" }).responseBody("x", {});
      request.end();
      attempt.end();
    },
  ],
  [
    "is answered by Envoy, which has no endpoint",
    (_gateway, request) =>
      request.responseHeaders({ ":status": "503" }).responseBody("no healthy upstream", { endOfStream: true }),
  ],
  [
    "is answered before its target is known",
    (gateway, request) => {
      const attempt = gateway.attempt(request);
      expect(refusalOf(attempt)).toBe("target_unknown");
      request.responseHeaders({ ":status": "500" }).responseBody("{}", { endOfStream: true });
    },
  ],
];

describe("the place of a plan is free again when its request", () => {
  it.each(ways)("%s", async (_name, run) => {
    const gateway = await RouterHost.start(config);
    for (let generation = 0; generation < 5; generation++) {
      const request = gateway.send(body);
      expect(handleOf(request)).toEqual({ index: 0, generation });
      run(gateway, request);
      expect(request.ended).toBe(true);
    }
  });

  it("is answered by a later stage", async () => {
    const gateway = await RouterHost.start(config, {
      wasm: "build/test-wasm/refusing-stage.wasm",
      rootId: "refusing-stage",
    });
    for (let i = 0; i < 20; i++) {
      const refused = gateway.send(body, [...chat(), ["x-refuse", "1"]]);
      expect(refused).toHaveSentLocalResponse(404);
      const routed = gateway.send(body);
      expect(handleOf(routed).index).toBe(0);
      const attempt = gateway.attempt(routed, { target: "a" });
      expect(sent(attempt).host).toBe("a.example");
      gateway.answer(routed, attempt, "{}");
    }
    gateway.host.advance(1000);
    const durations = gateway.host.metrics.names().filter((name) => name.startsWith("gen_ai_server_request_duration"));
    // What was refused is no call.
    expect(durations.flatMap((name) => gateway.host.metrics.samples(name)).length).toBe(20);
  });

  it("cannot be told to Envoy", async () => {
    const gateway = await RouterHost.start(config);
    const restore = gateway.host.faults.inject({ call: "proxy_set_property", status: 10, times: 100 });
    for (let i = 0; i < 20; i++) expect(gateway.send(body)).toHaveSentLocalResponse(500);
    restore();
    expect(handleOf(gateway.send(body)).index).toBe(0);
  });
});

describe("plans of several requests", () => {
  it("are as many as were in flight at once, each with its own", async () => {
    const gateway = await RouterHost.start(config);
    for (let round = 0; round < 3; round++) {
      const requests = Array.from({ length: 8 }, (_, i) => gateway.send(`{"model":"m${i}","n":${i}}`));
      expect(new Set(requests.map((request) => handleOf(request).index))).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7]));
      for (const [i, request] of requests.entries()) {
        expect(sent(gateway.attempt(request, { target: "b" })).body).toBe(`{"model":"m${i}","n":${i}}`);
        expect(sent(gateway.attempt(request, { target: "a" })).body).toBe(`{"model":"renamed","n":${i}}`);
      }
      for (const request of requests.reverse()) request.end();
    }
  });

  it("do not serve the attempt of a request that is over", async () => {
    const gateway = await RouterHost.start(config);
    const over = gateway.send(body);
    over.end();
    expect(refusalOf(gateway.attempt(over, { target: "a" }))).toBe("attempt_plan_missing");

    const late = gateway.send(body);
    const attempt = gateway.attempt(late, { target: "a", chunks: [Buffer.from('{"mod')], open: true });
    late.end();
    const next = gateway.send('{"x":[1,2,3],"model":"other"}');
    expect(handleOf(next).index).toBe(handleOf(late).index);
    expect(refusalOf(gateway.attempt(late, { target: "a" }))).toBe("attempt_plan_missing");
    // The rest of the old attempt's body is nobody's any more: the new plan's offsets are not for it, and it leaves no mark on the new request.
    attempt.requestBody('el":"m","and":"much more"}', { endOfStream: true });
    expect(attempt.upstream.text).toBe('{"model":"m","and":"much more"}');
    attempt.responseHeaders({ ":status": "200" });
    expect(attempt).toContinue("response");
    expect(sent(gateway.attempt(next, { target: "a" })).body).toBe('{"x":[1,2,3],"model":"renamed"}');
  });

  it("know nothing of the request that had their place before", async () => {
    const gateway = await RouterHost.start({
      targets: {
        ...config.targets,
        a: { ...config.targets.a, pathPrefix: { to: "/a" } },
        plain: { route: "plain" },
        also: { route: "also" },
      },
      rules: [
        { name: "plain", match: { models: ["p"] }, targets: [{ target: "plain" }], fallback: { targets: ["also"] } },
        ...config.rules,
      ],
    });
    const first = gateway.send(body, chat({ "content-length": "13" }));
    gateway.answer(first, gateway.attempt(first, { target: "a" }), "{}");
    const keys = { authorization: "Bearer client", "content-length": "13" };
    const second = gateway.send('{"model":"p"}', chat({ ...keys, ":path": "/v1/messages?key=k" }));
    expect(handleOf(second)).toEqual({ index: 0, generation: 1 });
    const attempt = gateway.attempt(second, { target: "also" });
    expect(attempt.upstream.headers?.pairs()).toEqual(second.upstream.headers?.pairs());
    expect(attempt.upstream.headers?.get("authorization")).toBe("Bearer client");
    expect(attempt.trace.map(({ name }) => name)).toEqual(["proxy_get_property", "proxy_get_property"]);
  });

  it("survive an update of the configuration that made them", async () => {
    const gateway = await RouterHost.start(config);
    const request = gateway.send(body);
    expect(gateway.router.update({ models: [{ model: "*", route: "new" }] }).accepted).toBe(true);
    for (let i = 0; i < 100; i++) gateway.send(body).end();
    gateway.host.advance(1000);
    const attempt = gateway.attempt(request, { target: "a" });
    expect(attempt.upstream.headers?.get("authorization")).toBe("Bearer a-key");
    expect(sent(attempt)).toMatchObject({ host: "a.example", body: '{"model":"renamed"}' });
    gateway.answer(request, attempt, "{}");
    expect(gateway.trapped).toBe(false);
  });
});
