import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { versionsUnderTest, waitFor } from "../envoy/harness/index.ts";
import { modelsGateway, startEnvoy } from "../test/envoy/models-gateway.ts";
import { ask1, ask2, type Seen, session } from "../test/envoy/stream-end-clients.ts";
import { startEndlessServer } from "../test/envoy/stream-end-gateway.ts";
import { startServer } from "./index.ts";
import { silentLogger } from "./log.ts";

/** A TokenRateLimit with `overrun: stop`: its Gateways get the filter that ends streams, and lose it with the rule. */

const short = ({ body: _, ...rest }: Seen) => rest;

const limits = (overrun: string) => `
apiVersion: tokenmesh.io/v1alpha1
kind: TokenRateLimit
metadata: {name: budgets}
spec:
  rules:
    - name: stop
      match: {headers: [{name: x-team, prefix: stop}]}
      key: [{header: x-team}]
      limits: [{unit: tokens, amount: 100, per: day, rolling: true}]
      overrun: ${overrun}`;
const router = `
apiVersion: tokenmesh.io/v1alpha1
kind: LLMRouter
metadata: {name: chat}
spec: {targets: {models: {cluster: models.test, credential: {value: key}}}, rules: [{name: all, targets: [{target: models}]}]}
---`;

describe.each(versionsUnderTest())("streams that are stopped in a real Envoy, %s", (version) => {
  it.each([
    ["a limiter", ""],
    ["a limiter and a router", router],
  ] as const)("%s", async (_, more) => {
    const models = await startEndlessServer();
    onTestFinished(() => models.close());
    const dir = mkdtempSync(join(tmpdir(), "tokenmesh-stream-end-"));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const write = (overrun: string): void =>
      writeFileSync(join(dir, "a.yaml"), `${modelsGateway(models.port)}${more}${limits(overrun)}`);
    write("stop");
    const server = await startServer({ configDir: dir, log: silentLogger });
    onTestFinished(() => server.close());
    const envoy = await startEnvoy(version, server.xdsAddress, "n");
    onTestFinished(() => envoy.stop());
    const stopped = async () =>
      Object.fromEntries(
        [...(await envoy.admin.stats("wasmcustom.tokenmesh_llm_streams_stopped"))].map(([name, count]) => [
          name.replace(/^.*=/, ""),
          count,
        ]),
      );
    const until = (expected: object) =>
      waitFor(async () => JSON.stringify(await stopped()) === JSON.stringify(expected), { what: "the counters" });

    const url = `http://${await envoy.listenerAddress("default/edge/http")}`;
    const client = await session(url);
    onTestFinished(() => client.destroy());
    expect(short(await ask1(url, { team: "stop-1" }))).toMatchObject({ end: "end", stopped: true });
    expect(short(await ask2(client, { team: "stop-2" }))).toMatchObject({ end: "end", code: 0, stopped: true });
    for (const name of ["stop-1", "stop-2"]) await models.served.get(name)?.aborted;
    await until({ ended: 2 });

    write("allow");
    server.reload();
    expect(server.configErrors()).toEqual([]);
    let tries = 0;
    await waitFor(
      async () => {
        const seen = await ask1(`http://${await envoy.listenerAddress("default/edge/http")}`, {
          team: `stop-later-${tries++}`,
          headers: { "x-events": "150" },
        });
        return !seen.stopped && seen.tokens === 150;
      },
      { what: "the rule without a stop" },
    );
  });
});
