/** envoy/standalone/endpoints.yaml as it is shipped, with free ports and the built module. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnvoyProcess, projectRoot, versionsUnderTest, waitFor } from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { ask, askMany, misnamed, tally } from "./endpoint-clients.ts";
import { addressesOf, addressOf, DESTINATION, startReplicas } from "./endpoint-gateway.ts";
import { replaceOnce, WASM_DIR } from "./gateways.ts";

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  let replicas: Replica[];
  let envoy: EnvoyProcess;
  let url: string;

  beforeAll(async () => {
    replicas = await startReplicas("r", 3);
    let text = await readFile(join(projectRoot(), "envoy/standalone/endpoints.yaml"), "utf8");
    text = replaceOnce(text, "/etc/envoy/hash-ring.wasm", join(WASM_DIR, "hash-ring.wasm"));
    text = replaceOnce(text, "port_value: 10000", "port_value: 0");
    text = replaceOnce(text, "port_value: 9901", "port_value: 0");
    for (const [index, replica] of replicas.entries()) {
      text = replaceOnce(text, `"127.0.0.1:800${index + 1}"`, `"${addressOf(replica)}"`);
      text = replaceOnce(text, `port_value: 800${index + 1}`, `port_value: ${replica.port}`);
    }
    envoy = await EnvoyProcess.start({ version, bootstrap: text });
    url = `http://${await envoy.listenerAddress("llm")}`;
  });
  afterAll(async () => {
    await envoy?.stop();
    for (const replica of replicas) await replica.close();
  });

  test("a conversation stays where its beginning is cached, others spread", async () => {
    const system = "You answer questions about trains. ".repeat(100);
    const first = await ask(url, { text: system });
    expect([first.status, addressesOf(replicas).includes(first.served)]).toEqual([200, true]);
    for (let turn = 1; turn <= 5; turn++) {
      const answer = await ask(url, { text: system + "And the next one? ".repeat(20 * turn) });
      expect(answer.served).toBe(first.served);
      const { usage } = JSON.parse(answer.body) as { usage: { prompt_tokens_details: { cached_tokens: number } } };
      expect(usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(800);
    }
    const answers = await askMany(url, 90, 6, (n) => ({ text: `${n} `.repeat(600) }));
    expect(tally(answers, ({ status }) => status)).toEqual({ 200: 90 });
    expect(misnamed(replicas, answers)).toEqual([]);
    expect(Object.keys(tally(answers, ({ replica }) => replica)).sort()).toEqual(["r0", "r1", "r2"]);
  });

  test("an endpoint that cannot be reached costs no request, however many come at once", async () => {
    const [dead] = replicas as [Replica];
    dead.failNext({ kind: "refuse" });
    // They all come before the first of them has failed.
    const answers = await askMany(url, 60, 60, (n) => ({ text: `${n} at once `.repeat(300) }));
    expect(tally(answers, ({ status }) => status)).toEqual({ 200: 60 });
    expect(tally(answers, ({ replica }) => replica).r0).toBeUndefined();
    await dead.recover();
    const back = async () =>
      tally(await askMany(url, 12, 4, () => ({ text: `${Math.random()} `.repeat(100) })), (one) => one.replica).r0;
    await waitFor(back, { what: "the endpoint to be back" });
  });

  test("no client chooses an endpoint", async () => {
    const text = "the same for all ".repeat(50);
    const { served } = await ask(url, { text });
    for (const replica of replicas) {
      expect((await ask(url, { text, headers: { [DESTINATION]: addressOf(replica) } })).served).toBe(served);
    }
    const lists = replicas.flatMap(({ requests }) => requests.map(({ headers }) => String(headers[DESTINATION])));
    expect(lists.filter((list) => addressesOf(replicas).includes(list))).toEqual([]);
  });

  test("its statistics have labels", async () => {
    const shown = async () => {
      const text = await envoy.admin.get("/stats/prometheus?filter=tokenmesh_endpoint");
      return /tokenmesh_endpoint_picks\{tokenmesh_pool="models",tokenmesh_outcome="affinity"\} [1-9]/.test(text)
        ? text
        : "";
    };
    const text = await waitFor(shown, { what: "the statistics" });
    expect(text).toMatch(/tokenmesh_endpoint_inflight\{tokenmesh_pool="models"\} \d/);
    expect(text).toMatch(/tokenmesh_endpoint_prompt_tokens\{tokenmesh_pool="models",tokenmesh_kind="cached"\} [1-9]/);
    expect(text).not.toContain(";");
  });
});
