/** envoy/standalone/stop.yaml as it is shipped. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { EnvoyProcess, projectRoot, versionsUnderTest } from "../../envoy/harness/index.ts";
import { WASM_DIR } from "./gateways.ts";
import { ask1, ask2, session } from "./stream-end-clients.ts";
import { startEndlessServer } from "./stream-end-gateway.ts";

test.each(versionsUnderTest())("Envoy %s: an endless stream ends with its budget", async (version) => {
  const server = await startEndlessServer();
  onTestFinished(() => server.close());
  let bootstrap = await readFile(join(projectRoot(), "envoy/standalone/stop.yaml"), "utf8");
  for (const [from, to] of [
    ["port_value: 9901", "port_value: 0"],
    ["port_value: 10000", "port_value: 0"],
    ["port_value: 8001", `port_value: ${server.port}`],
    ["/etc/envoy/llm-gateway.wasm", join(WASM_DIR, "llm-gateway.wasm")],
    [`"amount": 100000,`, `"amount": 100,`],
  ] as const) {
    expect(bootstrap.split(from)).toHaveLength(2);
    bootstrap = bootstrap.replace(from, to);
  }
  const envoy = await EnvoyProcess.start({ version, bootstrap });
  onTestFinished(() => envoy.stop());
  const url = `http://${await envoy.listenerAddress("llm")}`;
  const client = await session(url);
  onTestFinished(() => client.destroy());
  const one = (name: string) => ({ team: name, headers: { authorization: `Bearer ${name}` } });
  for (const { end, stopped } of [await ask1(url, one("first")), await ask2(client, one("second"))]) {
    expect({ end, stopped }).toEqual({ end: "end", stopped: true });
  }
  for (const name of ["first", "second"]) await server.served.get(name)?.aborted;
});
