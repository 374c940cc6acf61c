import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { LimitHost, outcome, told } from "./rate-limit-driver.ts";

/** The limiter in front of the router, as two stages of one filter: one look at headers and body, and what each of them does besides. */

const gatewayWasm = { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" };
const routerWasm = { wasm: "build/filters/llm-router.wasm", rootId: "llm-router" };
const quiet = { metrics: { enabled: false } };
const router = {
  models: [{ model: "m", route: "r", upstreamModel: "served" }],
  rules: [{ name: "long", match: { promptTokens: { atLeast: 1_000 } }, targets: [{ target: "t" }] }],
  targets: { t: { cluster: "c" } },
};
const limits = (amount: number) => ({
  rules: [{ name: "team", key: [{ header: "x-team" }], limits: [{ unit: "tokens", amount, per: "minute" }] }],
});
const call = { model: "m", messages: [{ role: "user", content: "x".repeat(40) }], max_tokens: 90 };
const team: [string, string][] = [["x-team", "a"]];
const usage = { input: 10, output: 50 };

const calls = (stream: Stream): string[] => stream.trace.map(({ name }) => name.replace("proxy_", ""));
const sorted = (names: readonly string[]) => [...names].sort();

describe("a gateway with limits", () => {
  it.each([
    [["tokens"], false, 11],
    [["tokens"], true, 9],
    [["tokens", "requests"], false, 11],
    [["tokens", "requests"], true, 9],
  ] as const)(
    "of %j, and metrics %s, adds %i hostcalls to a stream whose usage only it wants",
    async (units, enabled, added) => {
      const rule = {
        name: "team",
        key: [{ header: "x-team" }],
        limits: units.map((unit) => ({ unit, amount: 1_000, per: "minute" })),
      };
      const metrics = { enabled };
      const plain = { models: [{ model: "m", route: "r" }] };
      const both = await LimitHost.start({ metrics, router: plain, rateLimit: { rules: [rule] } }, gatewayWasm);
      const gateway = await LimitHost.start({ metrics, router: plain }, gatewayWasm);
      const made = (host: LimitHost) => {
        const stream = host.ask({ ...call, stream: true }, team);
        stream.responseHeaders({
          ":status": "200",
          "content-type": "text/event-stream",
          date: "d",
          server: "s",
          via: "v",
          age: "0",
        });
        stream.responseBody('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
        stream.responseBody('data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n');
        return calls(stream.responseBody("data: [DONE]\n\n", { endOfStream: true })).length;
      };
      expect(made(both) - made(gateway)).toBe(added);
    },
  );

  it("makes the hostcalls of the router and those of the limiter, and looks at headers, body and answer once", async () => {
    const both = await LimitHost.start({ ...quiet, router, rateLimit: limits(1_000) }, gatewayWasm);
    const gateway = await LimitHost.start({ ...quiet, router }, gatewayWasm);
    const alone = await LimitHost.start({ ...quiet, ...limits(1_000) });
    const routing = await LimitHost.start({ ...quiet, ...router }, routerWasm);
    const made = (host: LimitHost) => calls(host.answer(host.ask(call, team), usage));
    // Headers, request body, answer.
    const shared = ["get_header_map_pairs", "get_buffer_bytes", "get_buffer_bytes"];
    const [together, ofRouter, ofLimiter] = [made(both), made(routing), made(alone)];
    expect(sorted([...together, ...shared])).toEqual(sorted([...ofRouter, ...ofLimiter]));
    expect(together.filter((name) => shared.includes(name))).toEqual(shared);
    expect(made(gateway)).toEqual(ofRouter);
    expect(together.length - ofRouter.length).toBe(9);
  });

  it.each([
    [["tokens"], false, 9],
    [["tokens"], true, 7],
    [["requests"], false, 7],
    [["tokens", "requests"], false, 8],
    [["tokens", "requests"], true, 6],
    [["tokens", "requests", "money", "weightedTokens"], false, 8],
  ] as const)("with limits of %j, and metrics %s, adds %i hostcalls to a request", async (units, enabled, added) => {
    const rule = {
      name: "team",
      key: [{ header: "x-team" }],
      limits: units.map((unit) => ({ unit, amount: 1_000, per: "minute" })),
      ...(units.some((unit) => unit === "money") ? { prices: [{ model: "*", input: 1, output: 1 }] } : {}),
    };
    const metrics = { enabled };
    const both = await LimitHost.start({ metrics, router, rateLimit: { rules: [rule] } }, gatewayWasm);
    const gateway = await LimitHost.start({ metrics, router }, gatewayWasm);
    const made = (host: LimitHost) => {
      const stream = host.answer(host.ask(call, team), usage);
      expect(outcome(stream)).toBe("ok");
      return stream;
    };
    const stream = made(both);
    const kinds = new Set(units.flatMap((unit) => (unit === "requests" ? [unit] : unit === "money" ? [] : ["tokens"])));
    expect(Object.keys(told(stream)).length).toBe(3 * kinds.size);
    expect(calls(stream).length - calls(made(gateway)).length).toBe(added);
  });

  it("reads a long body once for both", async () => {
    const gateway = await LimitHost.start({ ...quiet, router, rateLimit: limits(100_000) }, gatewayWasm);
    const body = JSON.stringify({ ...call, messages: [{ role: "user", content: "x".repeat(50_000) }] });
    const stream = gateway.ask(body, team);
    expect([outcome(stream), stream.upstream.headers?.get("x-llm-cluster")]).toEqual(["ok", "c"]);
    const routing = await LimitHost.start({ ...quiet, ...router }, routerWasm);
    const reads = (one: Stream) => calls(one).filter((name) => name === "get_buffer_bytes").length;
    expect(reads(stream)).toBe(reads(routing.ask(body, team)));
  });

  it("refuses what has no budget, wherever the router would send it, and what goes nowhere first", async () => {
    const gateway = await LimitHost.start({ router, rateLimit: limits(100) }, gatewayWasm);
    gateway.answer(gateway.ask(call, team), { input: 10, output: 90 });
    expect(outcome(gateway.ask(call, team))).toBe("429 rate_limit_exceeded");
    expect(outcome(gateway.ask({ ...call, model: "nobody-has-it" }, team))).toBe("404 model_not_found");
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=admitted": 1, "rule=team;outcome=refused": 1 });
  });

  it("takes nothing for a request that the router refuses", async () => {
    const gateway = await LimitHost.start({ router, rateLimit: limits(1_000) }, gatewayWasm);
    for (let i = 0; i < 20; i++) {
      expect(outcome(gateway.ask({ ...call, model: "nobody-has-it" }, team))).toBe("404 model_not_found");
    }
    const stream = gateway.answer(gateway.ask(call, team), usage);
    expect(told(stream)).toMatchObject({ "limit-tokens": "1000", "remaining-tokens": "900" });
    expect(stream.upstream.text).toContain('"served"');
  });

  it("counts by the model that the client named, whatever the upstream's name is", async () => {
    const byModel = { rules: [{ ...limits(1_000).rules[0], match: { models: ["served"] } }] };
    const gateway = await LimitHost.start({ router, rateLimit: byModel }, gatewayWasm);
    expect(told(gateway.answer(gateway.ask(call, team), usage))).toEqual({});
  });
});
