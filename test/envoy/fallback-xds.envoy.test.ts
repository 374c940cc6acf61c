/** Fallback as the xDS server sets it up: attempt filter, pools and endpoint metadata come from one LLMRouter, and change under traffic. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { type JsonObject, waitFor } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { type Gateway, xds } from "./gateways.ts";
import { http1, http2 } from "./http-client.ts";

const CHAT = "/v1/chat/completions";
const MODELS = ["model-of-gpt", "model-of-claude", "m"];
const KEYS = { TOKENMESH_TEST_KEY: "key-of-gpt", TOKENMESH_TEST_NEW_KEY: "new-key-of-gpt" };

const router = (first: "gpt" | "claude", key: keyof typeof KEYS = "TOKENMESH_TEST_KEY"): JsonObject => ({
  responseHeaders: true,
  targets: {
    gpt: {
      cluster: "gpt.models.internal:80",
      upstreamModel: "model-of-gpt",
      host: "gpt.example",
      credential: { env: key },
    },
    claude: {
      cluster: "claude.models.internal:80",
      upstreamModel: "model-of-claude",
      credential: { header: "x-api-key", value: "key-of-claude" },
    },
  },
  rules: [
    {
      name: "all",
      match: { models: ["m"] },
      targets: [{ target: first }],
      fallback: { targets: [first === "gpt" ? "claude" : "gpt"], firstByteTimeout: "5s" },
    },
  ],
});
const chat = (text = "hello", stream = false): string =>
  JSON.stringify({ messages: [{ role: "user", content: text }], stream, model: "m" });

let gateway: Gateway;
let file: string;
let template: JsonObject;

beforeAll(async () => {
  Object.assign(process.env, KEYS);
  gateway = await xds.start({ router: router("gpt"), replica: { models: MODELS, keepRequests: 512 } });
  file = join(gateway.configDir ?? "", "llm-router.yaml");
  template = parse(await readFile(file, "utf8")) as JsonObject;
});
afterEach(async () => {
  for (const replica of all()) await replica.recover();
  gateway.clear();
});
afterAll(async () => {
  for (const name of Object.keys(KEYS)) delete process.env[name];
  await gateway?.close();
});

const all = (): Replica[] => [...gateway.gpt, ...gateway.claude];
const failAll = (replicas: readonly Replica[]): void => {
  for (const replica of replicas) replica.failNext({ kind: "status", status: 503 }, { times: "always" });
};
const keysOf = (replicas: readonly Replica[]): string[] =>
  replicas.flatMap(({ requests }) =>
    requests.map(({ headers, authority }) =>
      String([headers.authorization, headers["x-api-key"], authority.replace(/:.*/, "")]),
    ),
  );

test("each provider gets its own name, host and key, whole bodies of any size", async () => {
  failAll(gateway.gpt);
  const headers = { authorization: "Bearer of-the-client", "x-api-key": "of-the-client" };
  for (const client of [http1, http2]) {
    for (const size of [10, 70_000, 9 * 1024 * 1024]) {
      gateway.clear();
      const answer = await client(gateway.url, { path: CHAT, body: chat("x".repeat(size)), headers });
      expect([answer.status, answer.headers["x-llm-target"], answer.headers["x-llm-attempts"]]).toEqual([
        200,
        "claude",
        "2",
      ]);
      expect(keysOf(gateway.gpt)).toEqual(["Bearer key-of-gpt,,gpt.example"]);
      expect(keysOf(gateway.claude)).toEqual([",key-of-claude,127.0.0.1"]);
      const [request] = gateway.claude.flatMap(({ requests }) => requests);
      expect(request?.body.equals(Buffer.from(chat("x".repeat(size)).replace('"m"}', '"model-of-claude"}')))).toBe(
        true,
      );
    }
  }
});

test("200 at once while the first provider fails", async () => {
  failAll(gateway.gpt);
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => http1(gateway.url, { path: CHAT, body: chat("x", true) })),
  );
  expect(answers.map((answer) => [answer.status, answer.headers["x-llm-target"]])).toEqual(
    answers.map(() => [200, "claude"]),
  );
});

test("the order of the providers changes under traffic, with the pool, and no request fails or gets another's key", async () => {
  onTestFinished(() => setRouter(router("gpt")));
  const failures: string[] = [];
  let recent: string[] = [];
  let running = true;
  const client = async (): Promise<void> => {
    while (running) {
      const answer = await http1(gateway.url, { path: CHAT, body: chat() }).catch((error: unknown) => String(error));
      if (typeof answer === "string" || answer.status !== 200)
        failures.push(typeof answer === "string" ? answer : `${answer.status} ${answer.body}`);
      else recent = [...recent.slice(-49), String(answer.headers["x-llm-target"])];
    }
  };
  const only = (target: string): Promise<unknown> => {
    recent = [];
    return waitFor(() => recent.length === 50 && recent.every((one) => one === target), {
      timeoutMs: 15_000,
      what: `requests at ${target}`,
    });
  };
  const clients = Array.from({ length: 6 }, client);
  try {
    await only("gpt");
    await setRouter(router("claude"));
    await only("claude");
    failAll(gateway.claude);
    await only("gpt");
    // Another variable means another VM, so both filters are replaced, with their listener.
    await setRouter(router("claude", "TOKENMESH_TEST_NEW_KEY"));
    await waitFor(() => keysOf(gateway.gpt).at(-1)?.startsWith("Bearer new-key"), { what: "the new key" });
  } finally {
    running = false;
    await Promise.all(clients);
  }
  expect(failures).toEqual([]);
  expect(new Set(keysOf(gateway.gpt))).toEqual(new Set(Object.values(KEYS).map((key) => `Bearer ${key},,gpt.example`)));
  expect(new Set(keysOf(gateway.claude))).toEqual(new Set([",key-of-claude,127.0.0.1"]));
  const rejected = await gateway.envoy.admin.stats("update_rejected$|config_fail$");
  expect([...rejected.values()].reduce((sum, value) => sum + value, 0)).toBe(0);
});

async function setRouter(spec: JsonObject): Promise<void> {
  await writeFile(`${file}.tmp`, JSON.stringify({ ...template, spec }));
  await rename(`${file}.tmp`, file);
}
