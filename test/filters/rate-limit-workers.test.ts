import { describe, expect, it } from "vitest";
import { Status, type Stream } from "../host/index.ts";
import { LimitHost, midnight, told } from "./rate-limit-driver.ts";
import { call, limit, one, rule, team } from "./rate-limit-requests.ts";

/** The filter on its host: workers and configurations, hostcalls and their failures, counters, the log. */

describe("the filter", () => {
  it("shares budgets between workers, and keeps them when its configuration changes", async () => {
    const gateway = await LimitHost.start(one(limit(1_000)), { workers: 2 });
    gateway.answer(gateway.ask(call(90), team("a"), 0), { input: 0, output: 300 });
    const other = gateway.ask(call(90), team("a"), 1);
    expect(told(gateway.answer(other, { input: 1, output: 0 }))["remaining-tokens"]).toBe("600");
    expect(gateway.plugin.update(one(limit(500))).accepted).toBe(true);
    const next = gateway.ask(call(90), team("a"), 1);
    expect(told(gateway.answer(next, { input: 0, output: 0 }))).toMatchObject({
      "limit-tokens": "500",
      "remaining-tokens": "99",
    });
  });

  it("settles by the budget that a request began with, whatever configuration is in force then", async () => {
    const gateway = await LimitHost.start(one(limit(1_000)));
    const running = gateway.ask(call(500), team("a"));
    gateway.plugin.update(one(limit(2_000)));
    gateway.answer(running, { input: 0, output: 100 });
    const next = gateway.answer(gateway.ask(call(90), team("a")), { input: 0, output: 0 });
    expect(told(next)["remaining-tokens"]).toBe("1800");
  });

  it("adds 9 hostcalls to a request under a limit of tokens, 4 for one that is refused", async () => {
    const gateway = await LimitHost.start({ ...one(limit(100)), metrics: { enabled: false } });
    const calls = (stream: Stream) => stream.trace.map(({ name }) => name.replace("proxy_", ""));
    const whole = gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 90 });
    const read = ["get_header_map_pairs", "get_buffer_bytes"];
    expect(calls(whole)).toEqual([
      ...read,
      ...["get_current_time_nanoseconds", "get_shared_data", "set_shared_data"],
      ...["replace_header_map_value", "replace_header_map_value", "replace_header_map_value"],
      "get_buffer_bytes",
      ...["get_current_time_nanoseconds", "get_shared_data", "set_shared_data"],
    ]);
    expect(calls(gateway.ask(call(80), team("a")))).toEqual([
      ...read,
      ...["get_current_time_nanoseconds", "get_shared_data", "send_local_response"],
    ]);
  });

  it("gives the answer its headers with two hostcalls where there are limits of both kinds", async () => {
    const gateway = await LimitHost.start({
      ...one(limit(100), limit(7, "requests")),
      metrics: { enabled: false },
    });
    const whole = gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 90 });
    const calls = whole.trace.map(({ name }) => name.replace("proxy_", ""));
    expect(calls.filter((name) => name.includes("header_map"))).toEqual([
      ...["get_header_map_pairs", "get_header_map_pairs", "set_header_map_pairs"],
    ]);
    expect(told(whole)).toMatchObject({
      ...{ "limit-tokens": "100", "remaining-tokens": "10", "limit-requests": "7", "remaining-requests": "6" },
    });
  });

  it.each(["proxy_get_header_map_pairs", "proxy_set_header_map_pairs"])(
    "gives them one by one where %s is not allowed",
    async (name) => {
      const gateway = await LimitHost.start(one(limit(100), limit(7, "requests")));
      const stream = gateway.ask(call(80), team("a"));
      gateway.host.faults.inject({ call: name, status: Status.InternalFailure, times: Number.POSITIVE_INFINITY });
      gateway.answer(stream, { input: 10, output: 90 });
      expect(told(stream)).toEqual({
        ...{ "limit-tokens": "100", "remaining-tokens": "10", "reset-tokens": "1m0s" },
        ...{ "limit-requests": "7", "remaining-requests": "6", "reset-requests": "1m0s" },
      });
      expect(stream.downstream.headers?.get(":status")).toBe("200");
    },
  );

  it("tells what it did in counters that exist from the start", async () => {
    const gateway = await LimitHost.start({
      rules: [rule([limit(100)]), rule([limit(1)], { name: "idle", match: { models: ["x"] } })],
    });
    expect(gateway.host.metrics.get("tokenmesh_rate_limit_requests;rule=idle;outcome=admitted")).toBe(0);
    gateway.answer(gateway.ask(call(80), team("a")), { input: 10, output: 80 });
    gateway.ask(call(80), team("a"));
    expect(gateway.counters("requests")).toEqual({ "rule=team;outcome=admitted": 1, "rule=team;outcome=refused": 1 });
    expect(gateway.counters("tokens")).toEqual({ "rule=team;kind=reserved": 90, "rule=team;kind=used": 90 });
    expect(gateway.counters("rules")).toEqual({ "": 2 });
  });

  it("shows rules that nothing matched for an hour, and says so once for all workers", async () => {
    const rules = [rule([limit(100)]), rule([limit(1)], { name: "idle", match: { models: ["x"] } })];
    const gateway = await LimitHost.start({ rules }, { workers: 3 });
    const idle = () => gateway.counters("idle");
    const said = () => gateway.host.logs.filter(({ message }) => message.includes("no request matched rule idle"));
    gateway.host.advance(1_800_000);
    gateway.answer(gateway.ask(call(80), team("a"), 1), { input: 10, output: 80 });
    expect(idle()).toEqual({});
    gateway.host.advance(1_810_000);
    expect(idle()).toEqual({ "rule=idle": 1 });
    expect(said()).toHaveLength(1);
    gateway.ask({ ...call(80), model: "x" }, team("a"), 2);
    gateway.host.advance(3_600_000);
    expect(idle()).toEqual({});
    expect(said()).toHaveLength(1);
    gateway.host.advance(3_600_000);
    expect(idle()).toEqual({ "rule=team": 1, "rule=idle": 1 });
    expect(said()).toHaveLength(2);
  });

  it.each<[string, [string, string][]]>([
    ["Anthropic's", [[":path", "/v1/messages"]]],
    ["Gemini's", [[":path", "/v1beta/models/m:generateContent"]]],
  ])("refuses in %s shape", async (_, headers) => {
    const gateway = await LimitHost.start({ rules: [rule([limit(1, "requests")])] });
    const body = { model: "m", contents: [], messages: [] };
    gateway.ask(body, [...headers, ...team("a")]);
    const refused = gateway.ask(body, [...headers, ...team("a")]);
    expect(refused.localReply?.status).toBe(429);
    const error = JSON.parse(Buffer.from(refused.localReply?.body ?? []).toString());
    if (headers[0]?.[1] === "/v1/messages")
      expect(error).toMatchObject({ type: "error", error: { type: "rate_limit_error" } });
    else expect(error).toMatchObject({ error: { code: 429, status: "RESOURCE_EXHAUSTED" } });
    expect(told(refused)).toMatchObject({ "limit-requests": "1", "remaining-requests": "0", "retry-after": "60" });
  });

  it("knows the calendar of its limits", async () => {
    const gateway = await LimitHost.start(one(limit(1, "requests", "month", { timeZone: "+01:00" })));
    gateway.answer(gateway.ask(call(1), team("a")), { input: 1, output: 1 });
    const refused = gateway.ask(call(1), team("a"));
    const seconds = (Date.UTC(2026, 11, 1) - 3_600_000 - midnight) / 1000;
    expect(told(refused)["retry-after"]).toBe(String(seconds));
  });
});
