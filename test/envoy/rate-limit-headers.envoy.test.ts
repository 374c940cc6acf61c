/** The x-ratelimit headers of both kinds are written by giving Envoy the whole map anew: nothing else of an answer's head may change by that, on any version. */
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  staticBootstrap,
  versionsUnderTest,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { WASM_DIR } from "./gateways.ts";

const type = (name: string) => `type.googleapis.com/envoy.${name}`;
const limit = (unit: string, amount: number) => ({ unit, amount, per: "day" });
const config = {
  rules: [{ name: "both", key: [{ constant: "all" }], limits: [limit("tokens", 1_000_000), limit("requests", 1_000)] }],
};
const told = /^x-ratelimit-(limit|remaining|reset)-(tokens|requests): \S+$/;
/** What Envoy writes by the clock. */
const byTheClock = /^(date|x-envoy-upstream-service-time): /i;

/** Names keep the case in which they came. */
const keepCase: JsonObject = {
  header_key_format: {
    stateful_formatter: {
      name: "preserve_case",
      typed_config: { "@type": type("extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig") },
    },
  },
};

/** Says in a header which of the others a filter at this place sees. */
const looksAt = (place: string): JsonObject => ({
  name: place,
  typed_config: {
    "@type": type("extensions.filters.http.lua.v3.Lua"),
    default_source_code: {
      inline_string: `
function envoy_on_response(handle)
  local seen = {}
  for name, value in pairs(handle:headers()) do
    if name == ":status" or name == "set-cookie" or name == "x-ratelimit-limit-tokens" then table.insert(seen, name .. "=" .. value) end
  end
  handle:headers():add("x-seen-${place}", table.concat(seen, " "))
end`,
    },
  },
});

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let envoy: EnvoyProcess;
  let upstream: Server;
  /** Of the next answer, without its status line. */
  let head: Buffer;
  let status: string;

  beforeAll(async () => {
    upstream = createServer((socket) => {
      socket.on("error", () => {});
      let received = "";
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1");
        if (!received.endsWith('"messages":[]}')) return;
        received = "";
        socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n`), head, Buffer.from("\r\n{}")]));
      });
    });
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    const limiter = wasmFilter({
      name: "token-rate-limit",
      file: join(WASM_DIR, "token-rate-limit.wasm"),
      configuration: config,
    });
    const listener = (name: string, httpFilters: readonly JsonObject[], hcm: JsonObject = {}) =>
      httpListener({ name, httpFilters, routes: [{ cluster: "raw" }], hcm });
    const around = [looksAt("client"), looksAt("upstream")] as const;
    const bootstrap = staticBootstrap({
      listeners: [
        listener("bare", []),
        listener("limited", [limiter]),
        listener("bare-case", [], { http_protocol_options: keepCase }),
        listener("limited-case", [limiter], { http_protocol_options: keepCase }),
        listener("between", [around[0], limiter, around[1]]),
      ],
      clusters: [
        cluster({
          name: "raw",
          targets: [(upstream.address() as AddressInfo).port],
          cluster: {
            typed_extension_protocol_options: {
              "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": type("extensions.upstreams.http.v3.HttpProtocolOptions"),
                common_http_protocol_options: { max_headers_count: 4_000 },
                explicit_http_config: { http_protocol_options: keepCase },
              },
            },
          },
        }),
      ],
    });
    envoy = await EnvoyProcess.start({ bootstrap, version });
  });
  afterAll(async () => {
    await envoy?.stop();
    await new Promise((resolve) => upstream.close(resolve));
  });

  /** Lines of the answer's head, one character for each byte. */
  const ask = async (listener: string): Promise<string[]> => {
    const [host, port] = (await envoy.listenerAddress(listener)).split(":");
    const body = '{"model":"m","max_tokens":1,"messages":[]}';
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), host);
      let received = "";
      socket.on("error", reject);
      socket.on("data", (chunk) => {
        received += chunk.toString("latin1");
      });
      socket.on("end", () => resolve(received));
      socket.setTimeout(20_000, () => socket.destroy(new Error("no answer")));
      socket.write(
        `POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    });
    expect(text.endsWith("\r\n\r\n{}")).toBe(true);
    return text.slice(0, -6).split("\r\n");
  };

  const answerWith = (line: string, lines: readonly string[]) => {
    status = line;
    head = Buffer.from(["content-length: 2", ...lines].map((text) => `${text}\r\n`).join(""), "latin1");
  };

  /** What the limiter wrote; everything else must be as without it. */
  const added = async (suffix = "", dropped = /^$/): Promise<string[]> => {
    const [bare, limited] = [await ask(`bare${suffix}`), await ask(`limited${suffix}`)];
    const others = limited.filter((line) => !told.test(line) && !byTheClock.test(line));
    expect(others).toEqual(bare.filter((line) => !byTheClock.test(line) && !dropped.test(line)));
    return limited.filter((line) => told.test(line));
  };

  test("repeated headers, their order, empty values and bytes beyond ASCII stay", async () => {
    answerWith("207 Multi-Status", [
      ...["set-cookie: a=1; Path=/", "x-z: 1", "set-cookie: b=2, c", "x-empty:", "set-cookie: a=1; Path=/"],
      ...["x-bytes: \u0080\u00ff\u00e4\u00fe", "vary: a", "vary: b", "x-dup: 1", "cache-control: no-store", "x-dup: 2"],
      ...["server: other", "x-last: 1", "content-type: application/json"],
    ]);
    expect(await added()).toHaveLength(6);
  });

  test("names keep their case where Envoy is told to keep it", async () => {
    answerWith("200 OK", ["Content-Type: application/json", "X-Custom-Name: 1", "Set-Cookie: a", "Set-Cookie: b"]);
    expect(await added("-case")).toHaveLength(6);
  });

  test("an upstream's own are replaced", async () => {
    answerWith("200 OK", [
      ...["x-ratelimit-limit-tokens: 5", "x-ratelimit-limit-tokens: 6", "x-ratelimit-limit-images: 7"],
      ...["x-ratelimit-reset-requests: 9s", "x-a: 1"],
    ]);
    const lines = await added("", /^x-ratelimit-(limit-tokens|reset-requests)/);
    expect(lines).toHaveLength(6);
    expect(lines).toContain("x-ratelimit-limit-tokens: 1000000");
    expect(lines).toContain("x-ratelimit-limit-requests: 1000");
  });

  test("the filters before and behind see what they should", async () => {
    answerWith("201 Created", ["set-cookie: a", "set-cookie: b"]);
    const seen = (await ask("between")).filter((line) => line.startsWith("x-seen-"));
    const cookies = ":status=201 set-cookie=a set-cookie=b";
    expect(seen.sort()).toEqual([
      `x-seen-client: ${cookies} x-ratelimit-limit-tokens=1000000`,
      `x-seen-upstream: ${cookies}`,
    ]);
  });

  test.each([900, 1_010, 1_017, 1_018, 1_024, 1_500])(
    "%i headers stay, more than a module may set at once too",
    async (count) => {
      answerWith(
        "200 OK",
        Array.from({ length: count }, (_, i) => `x-${i}: ${i}`),
      );
      expect(await added()).toHaveLength(6);
    },
  );
});
