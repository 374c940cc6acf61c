import { describe, expect, it } from "vitest";
import { chat, RouterHost, type RouterOptions, sent } from "./router-driver.ts";

/** Statistics of calls: what is counted, under which names, and how many names there can be. */

const config = {
  models: [
    { model: "gpt-4o", route: "gpt4" },
    { model: "*", route: "rest" },
  ],
  targets: { a: { route: "a" }, b: { route: "b", host: "b.example" } },
  rules: [{ name: "pool", match: { models: ["pooled"] }, targets: [{ target: "a" }], fallback: { targets: ["b"] } }],
};
const start = (more: object = {}, options?: RouterOptions) => RouterHost.start({ ...config, ...more }, options);

const labels = (model: string, target: string, operation = "chat") =>
  `;gen_ai_request_model=${model};gen_ai_operation_name=${operation};gen_ai_provider_name=${target}`;
const tokens = (kind: string, model = "gpt-4o", target = "gpt4") =>
  `gen_ai_client_token_usage${labels(model, target)};gen_ai_token_type=${kind}`;
const usage = (prompt_tokens: number, completion_tokens: number, cached_tokens = 0) =>
  JSON.stringify({ usage: { prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens } } });

/** A whole call, answered in pieces, `stepMs` apart. */
function call(
  gateway: RouterHost,
  body: string,
  pieces: readonly string[],
  { path = "/v1/chat/completions", stepMs = 0, abort = false } = {},
) {
  const stream = gateway.send(body, chat({ ":path": path }));
  gateway.host.advance(stepMs);
  stream.responseHeaders({ ":status": "200" });
  for (const piece of pieces) {
    gateway.host.advance(stepMs);
    stream.responseBody(piece, {});
  }
  if (abort) stream.end();
  else stream.responseBody("", { endOfStream: true });
  return stream;
}

const gpt = '{"model":"gpt-4o"}';
const names = (gateway: RouterHost) => gateway.host.metrics.names().filter((name) => name.startsWith("gen_ai"));

describe("tokens", () => {
  it("are what answers report, also aborted ones", async () => {
    const gateway = await start();
    const { metrics } = gateway.host;
    call(gateway, gpt, [usage(10, 5, 4)]);
    call(gateway, gpt, [
      'data: {"message":{"usage":{"input_tok',
      'ens":7,"output_tokens":1}}}\n\n',
      'data: {"usage":{"output_tokens":3}}\n\n',
    ]);
    call(gateway, gpt, ['data: {"usage":{"prompt_tokens":100,"completion_tokens":2}}\n\n'], { abort: true });
    expect(names(gateway)).toEqual([]);
    gateway.host.advance(500);
    expect(metrics.samples(tokens("input"))).toEqual([10, 7, 100]);
    expect(metrics.samples(tokens("output"))).toEqual([5, 3, 2]);
    expect(metrics.samples(tokens("cached"))).toEqual([4]);
    const counter = (kind: string) => metrics.get(tokens(kind).replace("token_usage", "tokens"));
    expect([counter("input"), counter("output"), counter("cached")]).toEqual([117, 10, 4]);
    call(gateway, gpt, [usage(1, 1)]);
    gateway.host.advance(500);
    expect([counter("input"), counter("output"), counter("cached")]).toEqual([118, 11, 4]);
  });

  it("are not counted for other requests, refusals, answers without usage, nor with metrics off", async () => {
    const gateway = await start({ models: [{ model: "gpt-4o", route: "gpt4" }] });
    const other = gateway.router.stream();
    other.requestHeaders(
      [
        [":method", "GET"],
        [":path", "/"],
        [":authority", "a"],
      ],
      { endOfStream: true },
    );
    other.responseHeaders({ ":status": "200" }).responseBody(usage(1, 1), { endOfStream: true });
    gateway.send('{"model":"unknown"}');
    gateway.send("{");
    gateway.host.advance(500);
    expect(names(gateway)).toEqual([]);
    call(gateway, gpt, ['{"error":{}}']);
    gateway.host.advance(500);
    expect(names(gateway)).toEqual([`gen_ai_server_request_duration${labels("gpt-4o", "gpt4")}`]);
    const off = await start({ metrics: { enabled: false } });
    call(off, gpt, [usage(1, 1)]);
    off.host.advance(500);
    expect(names(off)).toEqual([]);
  });

  it("belong to the target that answered, and fallbacks are counted", async () => {
    const gateway = await start();
    for (const targets of [["a"], ["a", "b"], ["b"]]) {
      const request = gateway.send('{"model":"pooled"}');
      const attempts = targets.map((target) => gateway.attempt(request, { target }));
      const last = attempts.at(-1);
      if (last) gateway.answer(request, last, usage(targets.length, 1));
    }
    gateway.host.advance(500);
    const { metrics } = gateway.host;
    expect(metrics.samples(tokens("input", "pooled", "a"))).toEqual([1]);
    expect(metrics.samples(tokens("input", "pooled", "b"))).toEqual([2, 1]);
    expect(metrics.get("tokenmesh_llm_router_fallbacks")).toBe(2);
  });
});

describe("times, in microseconds", () => {
  const duration = `gen_ai_server_request_duration${labels("gpt-4o", "gpt4")}`;
  const first = `gen_ai_server_time_to_first_token${labels("gpt-4o", "gpt4")}`;
  const perToken = `gen_ai_server_time_per_output_token${labels("gpt-4o", "gpt4")}`;
  const samples = (gateway: RouterHost) =>
    [duration, first, perToken].map((name) => gateway.host.metrics.samples(name));

  it("of a stream: to the first byte, for each token behind it, and of all", async () => {
    const gateway = await start();
    call(gateway, gpt, ["data: {}\n\n", "data: {}\n\n", `data: ${usage(1, 5)}\n\n`], { stepMs: 20 });
    gateway.host.advance(500);
    expect(samples(gateway)).toEqual([[80_000], [40_000], [10_000]]);
  });

  it("of a whole answer: of all only; a stream is known by its first byte, or by what was asked", async () => {
    const gateway = await start();
    call(gateway, gpt, [" ", usage(1, 5)], { stepMs: 20 });
    call(gateway, gpt, ["{", usage(1, 5).slice(1)], { stepMs: 20 });
    gateway.host.advance(500);
    expect(samples(gateway)).toEqual([[60_000, 60_000], [40_000], [5_000]]);
    const asked = await start({
      rules: [{ name: "s", match: { stream: true, models: ["x"] }, targets: [{ target: "a" }] }],
    });
    call(asked, '{"model":"gpt-4o","stream":true}', ["{", "}"], { stepMs: 20 });
    asked.host.advance(500);
    expect(samples(asked)).toEqual([[60_000], [40_000], []]);
  });

  it("are left out when the clock was set back", async () => {
    const gateway = await start();
    call(gateway, gpt, [usage(1, 5), "data: {}"], { stepMs: -20 });
    gateway.host.advance(1000);
    expect(samples(gateway)).toEqual([[], [], []]);
    expect(gateway.host.metrics.samples(tokens("input"))).toEqual([1]);
  });

  it("of each token are left out when there is one only", async () => {
    const gateway = await start();
    call(gateway, gpt, [`data: ${usage(1, 1)}\n\n`], { stepMs: 20 });
    gateway.host.advance(500);
    expect(samples(gateway)).toEqual([[40_000], [40_000], []]);
  });
});

describe("names", () => {
  const modelsIn = (gateway: RouterHost) =>
    [...new Set(names(gateway).map((name) => /request_model=([^;]*)/.exec(name)?.[1]))].sort();
  const ask = (gateway: RouterHost, ...models: string[]) => {
    for (const model of models) call(gateway, JSON.stringify({ model }), [usage(1, 1)]);
    gateway.host.advance(500);
  };

  it("show the exact names of the configuration, or the configured ones; the rest is other", async () => {
    const gateway = await start();
    ask(gateway, "gpt-4o", "pooled", "x", "y");
    expect(modelsIn(gateway)).toEqual(["gpt-4o", "other", "pooled"]);
    const chosen = await start({ metrics: { models: ["x"] } });
    ask(chosen, "gpt-4o", "x", "xy");
    expect(modelsIn(chosen)).toEqual(["other", "x"]);
    const none = await start({ metrics: { models: [] } });
    ask(none, "gpt-4o", "x");
    expect(modelsIn(none)).toEqual(["other"]);
  });

  it("are not more for clients that make up names", async () => {
    const gateway = await start();
    ask(gateway, "x0");
    const before = gateway.host.metrics.names();
    let defined = 0;
    const count = () => {
      defined++;
      return false;
    };
    gateway.host.faults.inject({ call: "proxy_define_metric", when: count });
    const pages = gateway.vm.memory.pages;
    for (let i = 0; i < 2000; i++) call(gateway, `{"model":"x${i}${"y".repeat(i % 200)}"}`, [usage(1, 1)]);
    gateway.host.advance(500);
    expect(gateway.host.metrics.names()).toEqual(before);
    expect(defined).toBe(0);
    expect(gateway.vm.memory.pages - pages).toBeLessThan(3);
  });

  it("have no character that would end a label, and no one that is not ASCII", async () => {
    const model = "a;b=c|d é\u00a0 f.g-h_i/j:k";
    const gateway = await start({
      metrics: { models: ["a b"] },
      targets: { ...config.targets, "T.1_x-y": { route: "r;=|" } },
      rules: [{ name: "r", match: { models: ["a b"] }, targets: [{ target: "T.1_x-y" }] }],
      models: [{ model: "*", route: "r;=|" }],
    });
    ask(gateway, model, "a b");
    expect(names(gateway)).toContain(tokens("input", "other", "r___"));
    expect(names(gateway)).toContain(tokens("input", "a_b", "T.1_x-y"));
    const exact = await start({ metrics: { models: ["a;b=c|d é/:."] }, models: [{ model: "*", route: "r" }] });
    ask(exact, "a;b=c|d é/:.");
    expect(names(exact)).toContain(tokens("input", "a_b_c_d___/:.", "r"));
  });

  it.each([
    ["/v1/chat/completions", "chat"],
    ["/v1/completions", "text_completion"],
    ["/v1/responses", "chat"],
    ["/v1/messages", "chat"],
    ["/v1/embeddings", "embeddings"],
    ["/v1/audio/speech", "other"],
    ["/v1beta/models/gpt-4o:generateContent", "generate_content"],
  ])("of %s say %s", async (path, operation) => {
    const gateway = await start();
    call(gateway, gpt, [usage(1, 1)], { path });
    gateway.host.advance(500);
    expect(names(gateway)).toContain(`gen_ai_server_request_duration${labels("gpt-4o", "gpt4", operation)}`);
  });
});

describe("the queue", () => {
  it("writes all when it is full, and the rest on the tick; nothing is lost or counted twice", async () => {
    const gateway = await start();
    const samples = () => gateway.host.metrics.samples(tokens("input")).length;
    for (let i = 0; i < 500; i++) call(gateway, gpt, [usage(1, 1, 1)]);
    expect(samples()).toBe(256);
    gateway.host.advance(500);
    expect(samples()).toBe(500);
    expect(gateway.host.metrics.get(tokens("cached").replace("token_usage", "tokens"))).toBe(500);
    gateway.host.advance(500);
    expect(samples()).toBe(500);
  });

  it("is written when the configuration goes away", async () => {
    const gateway = await start();
    const open = gateway.send(gpt);
    call(gateway, gpt, [usage(1, 1)]);
    expect(sent(open).route).toBe("gpt4");
    expect(gateway.router.update({ models: [{ model: "*", route: "new" }] }).accepted).toBe(true);
    open.responseHeaders({ ":status": "200" }).responseBody(usage(2, 2), { endOfStream: true });
    expect(gateway.host.metrics.samples(tokens("input"))).toEqual([1, 2]);
  });
});
