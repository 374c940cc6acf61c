/** Traffic follows a weight in the YAML while requests keep coming, and none of them fails. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { waitFor } from "../../envoy/harness/index.ts";
import { type Gateway, replaceOnce, xds } from "./gateways.ts";
import { http1 } from "./http-client.ts";

const CONCURRENCY = 8;

let gateway: Gateway;
let template: string;

beforeAll(async () => {
  gateway = await xds.start();
  template = await readFile(join(gateway.configDir ?? "", "virtual-service.yaml"), "utf8");
});
afterAll(() => gateway?.close());

/** Rewrites virtual-service.yaml in one step, as an editor or a deployment does. */
async function setWeights(v1: number, v2: number): Promise<void> {
  const file = join(gateway.configDir ?? "", "virtual-service.yaml");
  const lines = template.split("weight: 50");
  expect(lines).toHaveLength(3);
  await writeFile(`${file}.tmp`, `${lines[0]}weight: ${v1}${lines[1]}weight: ${v2}${lines[2]}`);
  await rename(`${file}.tmp`, file);
}

test("90/10 becomes 10/90 without one failed request", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  const recent: string[] = [];
  const failures: string[] = [];
  let sent = 0;
  let running = true;
  const body = JSON.stringify({ model: "gpt-4o", max_tokens: 2, messages: [{ role: "user", content: "x" }] });
  const client = async (): Promise<void> => {
    while (running) {
      sent++;
      const answer = await http1(gateway.url, { path: "/v1/chat/completions", body, agent }).catch(
        (error: unknown) => error,
      );
      if (answer instanceof Error) failures.push(answer.message);
      else {
        const { status, headers, body: text } = answer as Awaited<ReturnType<typeof http1>>;
        if (status !== 200) failures.push(`${status} ${text.toString().slice(0, 200)}`);
        recent.push(String(headers["x-replica"]));
        if (recent.length > 400) recent.shift();
      }
    }
  };
  /** Share of gpt-a among the last 400 answers. */
  const share = (): number => recent.filter((name) => name === "gpt-a").length / Math.max(1, recent.length);
  const settled = (low: number, high: number, what: string): Promise<unknown> => {
    recent.length = 0;
    return waitFor(() => recent.length === 400 && share() >= low && share() <= high, { timeoutMs: 15_000, what });
  };
  const clients = Array.from({ length: CONCURRENCY }, client);
  try {
    await settled(0.4, 0.6, "50/50");
    await setWeights(90, 10);
    await settled(0.84, 0.96, "90/10");
    await setWeights(10, 90);
    await settled(0.04, 0.16, "10/90");
    await setWeights(0, 100);
    await settled(0, 0, "0/100");
  } finally {
    running = false;
    await Promise.all(clients);
    agent.destroy();
  }
  expect(failures).toEqual([]);
  expect(sent).toBeGreaterThan(1600);
  const rejected = await gateway.envoy.admin.stats("update_rejected$|config_fail$");
  expect([...rejected.values()].reduce((sum, value) => sum + value, 0)).toBe(0);
});

test("a broken file changes nothing: the last good weights stay", async () => {
  await setWeights(100, 0);
  const replicaOf = async (): Promise<unknown> => {
    const body = JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: "x" }] });
    return (await http1(gateway.url, { path: "/v1/chat/completions", body })).headers["x-replica"];
  };
  await waitFor(async () => (await replicaOf()) === "gpt-a", { what: "100/0" });
  const file = join(gateway.configDir ?? "", "virtual-service.yaml");
  const before = (await gateway.envoy.admin.stats("rds.*update_success$|cds.update_success$")).values();
  await writeFile(file, replaceOnce(template, "x-llm-route: { exact: claude }", "x-llm-route: { exact: [ }"));
  await waitFor(async () => (await configErrors()) > 0, { what: "the server to report the broken file" });
  for (let i = 0; i < 20; i++) expect(await replicaOf()).toBe("gpt-a");
  const after = (await gateway.envoy.admin.stats("rds.*update_success$|cds.update_success$")).values();
  expect([...after]).toEqual([...before]);
});

async function configErrors(): Promise<number> {
  const snapshot = (await (await fetch(`http://${gateway.apiAddress}/snapshot`)).json()) as { configErrors: unknown[] };
  return snapshot.configErrors.length;
}
