/** envoy/standalone/cache.yaml as it is shipped, with free ports and the built module. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EnvoyProcess, projectRoot, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { ask, type Call } from "./endpoint-clients.ts";
import { startReplicas } from "./endpoint-gateway.ts";
import { replaceOnce, WASM_DIR } from "./gateways.ts";

const KEY = { authorization: "Bearer one" };

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let replica: Replica;
  let envoy: EnvoyProcess;
  let url: string;

  beforeAll(async () => {
    [replica] = (await startReplicas("r", 1)) as [Replica];
    let text = await readFile(join(projectRoot(), "envoy/standalone/cache.yaml"), "utf8");
    text = replaceOnce(text, "/etc/envoy/prompt-cache.wasm", join(WASM_DIR, "prompt-cache.wasm"));
    text = replaceOnce(text, "port_value: 10000", "port_value: 0");
    text = replaceOnce(text, "port_value: 9901", "port_value: 0");
    text = replaceOnce(text, "port_value: 8000", `port_value: ${replica.port}`);
    envoy = await EnvoyProcess.start({ version, bootstrap: text });
    url = `http://${await envoy.listenerAddress("llm")}`;
  });
  beforeEach(() => replica.clearRequests());
  afterAll(async () => {
    await envoy?.stop();
    await replica?.close();
  });

  /** How the cache took part, and what came. */
  const told = async (call: Call): Promise<{ cache: string; status: number; body: string }> => {
    const { headers, status, body } = await ask(url, call);
    return { cache: String(headers["x-llm-cache"]), status, body };
  };

  test("a question is answered once, for each caller", async () => {
    const first = await told({ text: "when", headers: KEY });
    const again = await told({ text: "when", headers: KEY });
    expect([first.cache, again.cache, again.status]).toEqual(["miss", "hit", 200]);
    expect(again.body).toBe(first.body);
    const other = await told({ text: "when", headers: { authorization: "Bearer two" } });
    const nobody = await told({ text: "when" });
    expect([other.cache, nobody.cache]).toEqual(["miss", "bypass"]);
    expect(replica.requests).toHaveLength(3);
  });

  test("what may have another answer each time is asked each time", async () => {
    for (const more of [{ temperature: 0.5 }, { n: 2 }, { tools: [{ type: "function", function: { name: "f" } }] }]) {
      const answers = [
        await told({ text: "why", headers: KEY, more }),
        await told({ text: "why", headers: KEY, more }),
      ];
      expect([more, ...answers.map(({ cache }) => cache)]).toEqual([more, "bypass", "bypass"]);
    }
  });

  test("many who ask at once share one call", async () => {
    const calls = Array.from({ length: 20 }, () => told({ text: "at once", headers: KEY }));
    const answers = await Promise.all(calls);
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(answers.filter(({ cache }) => cache === "miss")).toHaveLength(1);
    expect(replica.requests).toHaveLength(1);
  });

  test("its statistics have labels", async () => {
    const shown = async () => {
      const text = await envoy.admin.get("/stats/prometheus?filter=tokenmesh_cache");
      return /tokenmesh_cache_requests\{tokenmesh_rule="rest",tokenmesh_outcome="hit"\} [1-9]/.test(text) ? text : "";
    };
    const text = await waitFor(shown, { what: "the statistics" });
    expect(text).toMatch(/tokenmesh_cache_answers\{tokenmesh_rule="rest",tokenmesh_outcome="stored"\} [1-9]/);
    expect(text).toMatch(/tokenmesh_cache_saved_tokens\{tokenmesh_rule="rest",tokenmesh_kind="input"\} [1-9]/);
    expect(text).toMatch(/tokenmesh_cache_lookup_microseconds_count\{tokenmesh_tier="envoy"\} \d/);
    expect(text).not.toContain(";");
  });
});
