/** Rules of llm-router on real Envoys: each condition, on every way of configuration; and weights that change under traffic. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type Json, type JsonObject, waitFor } from "../../envoy/harness/index.ts";
import { type Gateway, WAYS, xds } from "./gateways.ts";
import { http1, http2 } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const BOUNDARY = "x-boundary-x";

const rule = (target: string, match: JsonObject): JsonObject => ({
  name: `to-${target}`,
  match,
  targets: [{ target }],
});

/** One target for each condition, so that an answer tells which rule has held. */
const RULES: readonly JsonObject[] = [
  rule("header", {
    headers: [
      { name: "x-tier", exact: "gold" },
      { name: "x-free", present: false },
    ],
  }),
  rule("prefix", {
    headers: [
      { name: "x-client", prefix: "agent/" },
      { name: "x-region", present: true },
    ],
  }),
  rule("tenant", { tenants: ["acme", "globex"] }),
  rule("path", { paths: ["/team-a/"] }),
  rule("gemini", { apis: ["gemini.generate"], models: ["gemini-*"] }),
  rule("form", { apis: ["openai.other"], models: ["whisper-1"] }),
  rule("messages", { apis: ["anthropic.messages"], stream: false }),
  rule("provider", { provider: "acme", models: ["large"] }),
  rule("pattern", { models: ["m"], lastUserMessage: "(?i)\\btranslate\\b.*\\bfrench\\b" }),
  rule("images", { images: true }),
  rule("tools", { tools: true, stream: false }),
  rule("long", { promptTokens: { atLeast: 1000 } }),
  rule("middle", { promptTokens: { atLeast: 100, below: 1000 } }),
  rule("session", { session: true }),
  rule("stream", { stream: true }),
];
const TARGETS = Object.fromEntries(
  [...RULES.map(({ name }) => String(name).slice("to-".length)), "rest"].map((name) => [
    name,
    {
      route: "gpt",
      upstreamModel: name === "gemini" || name === "form" || name === "provider" ? `gpt-${name}` : "gpt-any",
    },
  ]),
);
const ROUTER: JsonObject = {
  responseHeaders: true,
  tenantHeader: "x-tenant",
  maxBodyBytes: 10 * 1024 * 1024,
  targets: TARGETS,
  rules: [...RULES],
  onUnknownModel: { target: "rest" },
};
const MODELS = ["gpt-any", "gpt-gemini", "gpt-form", "gpt-provider"];

interface Row {
  readonly what: string;
  readonly target: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

const user = (content: Json): JsonObject[] => [{ role: "user", content }];
const chat = (more: JsonObject = {}): string => JSON.stringify({ messages: user("hello"), model: "m", ...more });
const plain = chat();
const tool = { type: "function", function: { name: "f", parameters: {} } };
const image = { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } };
const form = (model: string): string =>
  [
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n"model": whisper-2\r\n`,
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="model"\r\n\r\n${model}\r\n--${BOUNDARY}--\r\n`,
  ].join("");
const formType = { "content-type": `multipart/form-data; boundary="${BOUNDARY}"` };

const ROWS: readonly Row[] = [
  { what: "an exact header", target: "header", headers: { "x-tier": "gold" }, body: plain },
  { what: "a header with another value", target: "rest", headers: { "x-tier": "golden" }, body: plain },
  { what: "a header that must be absent", target: "rest", headers: { "x-tier": "gold", "x-free": "" }, body: plain },
  { what: "a header's beginning", target: "prefix", headers: { "x-client": "agent/7", "x-region": "eu" }, body: plain },
  { what: "one of two headers", target: "rest", headers: { "x-client": "agent/7" }, body: plain },
  { what: "a tenant", target: "tenant", headers: { "x-tenant": "globex" }, body: plain },
  { what: "another tenant", target: "rest", headers: { "x-tenant": "globex2" }, body: plain },
  { what: "a path", target: "path", path: `/team-a${CHAT}`, body: plain },
  {
    what: "a model in the path",
    target: "gemini",
    path: "/v1beta/models/gemini-3:generateContent",
    body: '{"contents":[{"parts":[{"text":"x"}]}]}',
  },
  { what: "a form", target: "form", path: "/v1/audio/transcriptions", headers: formType, body: form("whisper-1") },
  {
    what: "a form with another model",
    target: "rest",
    path: "/v1/audio/transcriptions",
    headers: formType,
    body: form("whisper-3"),
  },
  { what: "an API, not streamed", target: "messages", path: "/v1/messages", body: chat({ max_tokens: 5 }) },
  { what: "an API, streamed", target: "stream", path: "/v1/messages", body: chat({ max_tokens: 5, stream: true }) },
  { what: "a provider", target: "provider", body: chat({ model: "acme/large" }) },
  { what: "another model of a provider", target: "rest", body: chat({ model: "acme/small" }) },
  {
    what: "words of the user",
    target: "pattern",
    body: chat({ messages: user("Please TRANSLATE this\tto \\u0046rench: \u0066rench") }),
  },
  {
    what: "words in parts",
    target: "pattern",
    body: chat({ messages: user([{ type: "text", text: "translate into french" }]) }),
  },
  {
    what: "words of an earlier message",
    target: "rest",
    body: chat({
      messages: [...user("translate to french"), { role: "assistant", content: "oui" }, ...user("thanks")],
    }),
  },
  { what: "an image", target: "images", body: chat({ messages: user([{ type: "text", text: "what?" }, image]) }) },
  { what: "tools", target: "tools", body: chat({ tools: [tool] }) },
  { what: "an empty list of tools", target: "rest", body: chat({ tools: [] }) },
  { what: "tools and a stream", target: "stream", body: chat({ tools: [tool], stream: true }) },
  { what: "a long prompt", target: "long", body: chat({ messages: user("x".repeat(4000)) }) },
  {
    what: "a long prompt, streamed",
    target: "long",
    body: chat({ messages: user("y".repeat(300_000)), stream: true }),
  },
  { what: "a prompt of 999 tokens", target: "middle", body: chat({ messages: user("x".repeat(3990)) }) },
  { what: "a session", target: "session", body: chat({ user: "user-1" }) },
  { what: "a stream", target: "stream", body: chat({ stream: true }) },
  { what: "nothing of all this", target: "rest", body: plain },
];

describe.each(WAYS)("$name", (way) => {
  let gateway: Gateway;

  beforeAll(async () => {
    gateway = await way.start({ router: ROUTER, replica: { models: MODELS } });
  });
  afterAll(() => gateway?.close());

  test.each(ROWS)("$what: $target", async ({ target, path = CHAT, headers = {}, body }) => {
    for (const client of [http1, http2]) {
      gateway.clear();
      const answer = await client(gateway.url, {
        path,
        body,
        headers: { "content-type": "application/json", ...headers },
      });
      const { "x-llm-target": served, "x-llm-attempts": attempts } = answer.headers;
      expect([served, attempts]).toEqual([target, "1"]);
      const [request] = gateway.seen();
      const named = TARGETS[target]?.upstreamModel;
      if (target === "gemini") expect(request?.path).toBe(`/v1beta/models/${named}:generateContent`);
      else if (path.endsWith("transcriptions")) expect(request?.body.toString()).toBe(form(String(named)));
      else expect(JSON.parse(String(request?.body))).toEqual({ ...(JSON.parse(body) as JsonObject), model: named });
      if (!path.startsWith("/team-a")) expect(answer.status).toBe(200);
    }
  });

  test("whitespace, escapes and megabytes do not hide what a rule asks for", async () => {
    const filler = JSON.stringify({ role: "assistant", content: 'é😀\\"'.repeat(300_000) });
    const text = `{"messages":[${filler},{"content" : "\\u0074ranslate\\n it"} , {"role":"user","content":"\\u0074ranslate to \\ud83d\\ude00 \\u0046rench"}],"model":"\\u006d"}`;
    for (const pieceBytes of [undefined, 65_537]) {
      const answer = await http1(gateway.url, { path: CHAT, body: text, ...(pieceBytes ? { pieceBytes } : {}) });
      expect(answer.headers["x-llm-target"]).toBe("pattern");
    }
  });
});

describe("weights that change under traffic, xDS", () => {
  const CONCURRENCY = 8;
  const KEYS = Array.from({ length: 200 }, (_, i) => `session-${i}`);
  let gateway: Gateway;
  let file: string;
  let template: JsonObject;

  const router = (first: number, second: number): JsonObject => ({
    responseHeaders: true,
    targets: { first: { route: "gpt", upstreamModel: "gpt-any" }, second: { route: "gpt", upstreamModel: "gpt-any" } },
    rules: [
      {
        name: "split",
        targets: [
          { target: "first", weight: first },
          { target: "second", weight: second },
        ],
        stickyBy: "session",
      },
    ],
  });

  beforeAll(async () => {
    gateway = await xds.start({ router: router(90, 10), replica: { models: MODELS } });
    file = join(gateway.configDir ?? "", "llm-router.yaml");
    template = parse(await readFile(file, "utf8")) as JsonObject;
  });
  afterAll(() => gateway?.close());

  /** In one step, as an editor or a deployment does. */
  async function setWeights(first: number, second: number): Promise<void> {
    await writeFile(`${file}.tmp`, JSON.stringify({ ...template, spec: router(first, second) }));
    await rename(`${file}.tmp`, file);
  }

  test("90/10 becomes 50/50 becomes 0/100: no request fails, and a key moves at most once, in one direction", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
    /** Targets of each key, in the order of the answers, without repetitions. */
    const history = new Map<string, string[]>(KEYS.map((key) => [key, []]));
    const failures: string[] = [];
    let recent: string[] = [];
    let next = 0;
    let running = true;
    const client = async (): Promise<void> => {
      while (running) {
        const key = KEYS[next++ % KEYS.length] ?? "";
        const body = chat({ prompt_cache_key: key, max_tokens: 1 });
        const answer = await http1(gateway.url, { path: CHAT, body, agent }).catch((error: unknown) => String(error));
        if (typeof answer === "string" || answer.status !== 200) {
          failures.push(typeof answer === "string" ? answer : `${answer.status} ${answer.body}`);
          continue;
        }
        const target = String(answer.headers["x-llm-target"]);
        const past = history.get(key) ?? [];
        if (past.at(-1) !== target) past.push(target);
        recent = [...recent.slice(-199), target];
      }
    };
    const share = (): number => recent.filter((target) => target === "second").length / recent.length;
    const settled = (low: number, high: number): Promise<unknown> => {
      recent = [];
      return waitFor(() => recent.length === 200 && share() >= low && share() <= high, {
        timeoutMs: 15_000,
        what: `${low}..${high} for the second target`,
      });
    };
    const onSecond = (): string[] => KEYS.filter((key) => history.get(key)?.at(-1) === "second");
    const clients = Array.from({ length: CONCURRENCY }, client);
    try {
      await settled(0.03, 0.2);
      const few = onSecond();
      await setWeights(50, 50);
      await settled(0.38, 0.62);
      expect(onSecond()).toEqual(expect.arrayContaining(few)); // none of them went back
      await setWeights(0, 100);
      await settled(1, 1);
    } finally {
      running = false;
      await Promise.all(clients);
      agent.destroy();
    }
    expect(failures).toEqual([]);
    for (const [key, past] of history)
      expect([key, ["first,second", "second"].includes(past.join())]).toEqual([key, true]);
    const rejected = await gateway.envoy.admin.stats("update_rejected$|config_fail$");
    expect([...rejected.values()].reduce((sum, value) => sum + value, 0)).toBe(0);
  });

  test("without a key the weights decide each request anew", async () => {
    await setWeights(50, 50);
    await waitFor(
      async () => (await http1(gateway.url, { path: CHAT, body: plain })).headers["x-llm-target"] === "first",
      { what: "the new weights" },
    );
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => http1(gateway.url, { path: CHAT, body: plain })),
    );
    const first = answers.filter(({ headers }) => headers["x-llm-target"] === "first").length;
    expect(first).toBeGreaterThan(100); // six standard deviations
    expect(first).toBeLessThan(200);
  });
});
