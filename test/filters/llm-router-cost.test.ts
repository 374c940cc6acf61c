import { describe, expect, it } from "vitest";
import type { Stream } from "../host/index.ts";
import { base, chat, lengthOf, RouterHost, sent } from "./router-driver.ts";

/** Hostcalls, one by one: each is a crossing of the VM's border, and those that hand bytes over cost a malloc in it. */

const body4k = (model: string, stream = false) =>
  JSON.stringify({ messages: [{ role: "user", content: "x".repeat(4000) }], model, temperature: 1, stream });
const whole = '{"usage":{"prompt_tokens":1000,"completion_tokens":10,"total_tokens":1010}}';

/** As clients do, HTTP libraries of every language ask for a compressed answer. */
const headersFor = (body: string) =>
  chat({ "content-length": lengthOf(body), "accept-encoding": "gzip, deflate, br", accept: "*/*" });

/** What model servers send, at the least. */
const answerHeaders = {
  ":status": "200",
  "content-type": "application/json",
  date: "Sat, 21 Nov 2026 12:00:00 GMT",
  server: "uvicorn",
  "x-request-id": "1",
  "x-envoy-upstream-service-time": "1",
};

const calls = (stream: Stream) =>
  stream.trace.map(({ name, during }) => `${during.replace("proxy_on_", "")}: ${name.replace("proxy_", "")}`);

function chatOnce(gateway: RouterHost, body: string, answer: readonly string[] = [whole]): string[] {
  const stream = gateway.send(body, headersFor(body));
  stream.responseHeaders(answerHeaders);
  for (const piece of answer) stream.responseBody(piece, {});
  stream.responseBody("", { endOfStream: true });
  return calls(stream);
}

const read = [
  "request_headers: get_header_map_pairs",
  "request_body: get_buffer_bytes",
  "request_body: get_current_time_nanoseconds",
];
const written = [
  "request_body: remove_header_map_value",
  "request_body: replace_header_map_value",
  "request_body: replace_header_map_value",
];
const request = [...read, ...written];
const end = ["response_body: get_buffer_bytes", "response_body: get_current_time_nanoseconds"];

describe("hostcalls of a 4 KB chat with its answer", () => {
  it("are 8 when the model keeps its name", async () => {
    const gateway = await RouterHost.start(base);
    const made = chatOnce(gateway, body4k("llama-2"));
    expect(made).toEqual([...request, ...end]);
    expect(made.length).toBe(8);
  });

  it("are 2 more with another name for the upstream", async () => {
    const gateway = await RouterHost.start(base);
    expect(chatOnce(gateway, body4k("gpt-4o"))).toEqual([
      ...read,
      "request_body: set_buffer_bytes",
      ...written,
      "request_body: replace_header_map_value",
      ...end,
    ]);
  });

  it("are not more by a rule that looks at everything but the last message", async () => {
    const gateway = await RouterHost.start({
      ...base,
      tenantHeader: "x-tenant",
      targets: { a: { route: "a" }, b: { route: "b" } },
      rules: [
        {
          name: "all",
          match: {
            models: ["gpt-*", "llama-*"],
            apis: ["openai.chat"],
            paths: ["/v1/"],
            headers: [{ name: "accept", exact: "*/*" }],
            promptTokens: { atLeast: 1000 },
            stream: false,
            tools: false,
            images: false,
            session: false,
          },
          targets: [{ target: "a" }],
        },
      ],
    });
    expect(chatOnce(gateway, body4k("llama-2"))).toEqual([...request, ...end]);
  });

  it("are one more for an answer of few headers: it could be Envoy's own", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.send(body4k("llama-2"), headersFor(body4k("llama-2")));
    stream.responseHeaders({ ":status": "200", "content-type": "application/json" });
    expect(calls(stream).slice(request.length)).toEqual(["response_headers: get_property"]);
  });

  it("are not more for the last message of the user; one for a body of more than one window", async () => {
    const pattern = (name: string, lastUserMessage: string) => ({
      name,
      match: { lastUserMessage },
      targets: [{ target: "a" }],
    });
    const gateway = await RouterHost.start({
      ...base,
      targets: { a: { route: "a" } },
      rules: [pattern("one", "nowhere")],
    });
    expect(chatOnce(gateway, body4k("llama-2"))).toEqual([...request, ...end]);
    const large = { model: "llama-2", padding: "x".repeat(70_000), messages: [{ role: "user", content: "here" }] };
    const made = chatOnce(gateway, JSON.stringify(large));
    expect(made.filter((call) => call === "request_body: get_buffer_bytes").length).toBe(3);
  });

  it("are one more for a stream, whose first piece is timed, and one for each piece", async () => {
    const gateway = await RouterHost.start(base);
    const answer = ['data: {"choices":[]}\n\n', "data: [DONE]\n\n"];
    expect(chatOnce(gateway, body4k("llama-2", true), answer)).toEqual([
      ...request,
      "response_body: get_buffer_bytes",
      "response_body: get_current_time_nanoseconds",
      ...end,
    ]);
  });

  it("are two fewer without metrics, one fewer without accept-encoding", async () => {
    const gateway = await RouterHost.start({ ...base, metrics: { enabled: false } });
    const body = body4k("llama-2");
    const stream = gateway.send(body, chat({ "content-length": lengthOf(body) }));
    stream.responseHeaders(answerHeaders).responseBody(whole, { endOfStream: true });
    expect(calls(stream)).toEqual([
      "request_headers: get_header_map_pairs",
      "request_body: get_buffer_bytes",
      "request_body: replace_header_map_value",
      "request_body: replace_header_map_value",
      "response_body: get_buffer_bytes",
    ]);
  });

  it("are the same through the gateway", async () => {
    const gateway = await RouterHost.start(
      { router: base },
      { wasm: "build/filters/llm-gateway.wasm", rootId: "llm-gateway" },
    );
    expect(chatOnce(gateway, body4k("llama-2"))).toEqual([...request, ...end]);
  });

  it("are one for a request that is no LLM call, answer included", async () => {
    const gateway = await RouterHost.start(base);
    const stream = gateway.router.stream();
    stream.requestHeaders(
      [
        [":method", "GET"],
        [":path", "/v1/models"],
        [":authority", "a"],
        ["accept-encoding", "gzip"],
      ],
      {
        endOfStream: true,
      },
    );
    stream.responseHeaders(answerHeaders).responseBody(whole, { endOfStream: true });
    expect(calls(stream)).toEqual(["request_headers: get_header_map_pairs"]);
    expect(stream.upstream.headers?.get("accept-encoding")).toBe("gzip");
  });
});

describe("hostcalls of a planned chat", () => {
  const targets = {
    azure: {
      cluster: "azure",
      upstreamModel: "gpt-4o-eu",
      host: "azure.example",
      pathPrefix: { from: "/v1", to: "/openai/v1" },
      credential: { header: "api-key", value: "secret" },
    },
    openai: { cluster: "openai", host: "openai.example", credential: { value: "secret" } },
  };
  const rule = { name: "r", targets: [{ target: "azure" }] };

  /** The first plan of a VM asks the clock once. */
  async function warm(config: object): Promise<RouterHost> {
    const gateway = await RouterHost.start(config);
    gateway.send('{"model":"m"}').end();
    return gateway;
  }

  it("are the decision's and the attempt's, one for each header that is written", async () => {
    const gateway = await warm({ targets, rules: [rule] });
    const body = body4k("gpt-4o");
    const stream = gateway.send(body, [...headersFor(body), ["authorization", "Bearer client"]]);
    const attempt = gateway.attempt(stream);
    expect(calls(stream)).toEqual([
      ...read,
      "request_body: set_property",
      ...written,
      "request_body: remove_header_map_value",
    ]);
    expect(calls(attempt)).toEqual([
      "request_headers: get_property",
      "request_headers: replace_header_map_value",
      "request_headers: replace_header_map_value",
      "request_headers: replace_header_map_value",
      "request_headers: replace_header_map_value",
      "request_body: get_buffer_bytes",
      "request_body: set_buffer_bytes",
    ]);
    gateway.answer(stream, attempt, whole);
    expect(calls(stream).slice(-2)).toEqual(end);
    expect(calls(attempt).length).toBe(7);
  });

  it("are one fewer with a fallback and its first-byte timeout, whose headers are written together, and one more for each attempt", async () => {
    const fallback = { targets: ["openai"], firstByteTimeout: "10s" };
    const gateway = await warm({ targets, rules: [{ ...rule, fallback }] });
    const body = body4k("gpt-4o");
    const stream = gateway.send(body, headersFor(body));
    expect(calls(stream)).toEqual([
      ...read,
      "request_body: set_property",
      "request_body: get_header_map_pairs",
      "request_body: set_header_map_pairs",
    ]);
    const attempt = gateway.attempt(stream, { target: "azure" });
    expect(calls(attempt).slice(0, 2)).toEqual(["request_headers: get_property", "request_headers: get_property"]);
    gateway.answer(stream, attempt, whole);
    expect(calls(attempt).at(-1)).toBe("response_headers: get_header_map_value");
  });

  it("is one for an attempt that has no plan", async () => {
    const gateway = await RouterHost.start(base);
    const attempt = gateway.attempt(gateway.send(body4k("llama-2")));
    expect(calls(attempt)).toEqual(["request_headers: get_property"]);
    expect(sent(attempt).body).toBe(body4k("llama-2"));
  });
});
