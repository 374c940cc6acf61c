/** An Envoy whose listener comes from a file, so that a rename updates the plugin's configuration. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  projectRoot,
  staticBootstrap,
  waitFor,
  wasmFilter,
} from "../../envoy/harness/index.ts";
import { factIn } from "./scenario.ts";
import { firstConfig, type UpdatableProxy } from "./update-suite.ts";

export async function updatableEnvoy(version: string): Promise<UpdatableProxy> {
  const dir = mkdtempSync(join(tmpdir(), "conformance-"));
  const path = join(dir, "listeners.json");
  const write = (config: string): void => {
    const file = `${projectRoot()}/build/test-wasm/probe.wasm`;
    const listener = httpListener({
      name: "main",
      routes: [{ cluster: "a" }],
      httpFilters: [wasmFilter({ name: "probe", rootId: "probe-root", file, configuration: config })],
    });
    const resource = { "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", ...listener };
    writeFileSync(`${path}.new`, JSON.stringify({ resources: [resource] }));
    // Envoy watches for a file moved into place.
    renameSync(`${path}.new`, path);
  };
  write(firstConfig);
  const upstream = createServer((_request, answer) => answer.end("ok"));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const release = (): void => {
    upstream.closeAllConnections();
    upstream.close();
    rmSync(dir, { recursive: true, force: true });
  };
  const { port } = upstream.address() as AddressInfo;
  const envoy = await EnvoyProcess.start({
    version,
    // Old filter chains, and with them old roots, live as long as they may drain.
    args: ["--drain-time-s", "1"],
    allowErrors: [/Wasm|wasm|lds/i],
    bootstrap: {
      ...staticBootstrap({ clusters: [cluster({ name: "a", targets: [port] })], listeners: [] }),
      node: { id: "conformance", cluster: "conformance" },
      dynamic_resources: { lds_config: { path_config_source: { path } } },
    },
  }).catch((error: unknown) => {
    release();
    throw error;
  });
  const stat = async (name: string): Promise<number> =>
    (await envoy.admin.stats()).get(`listener_manager.lds.${name}`) ?? 0;
  return {
    rootFacts: () => envoy.log.entries.map(({ message }) => factIn(message)?.fact ?? ""),
    async update(config) {
      const [taken, refused] = [await stat("update_success"), await stat("update_rejected")];
      write(config);
      const what = `Envoy takes or refuses configuration "${config}"`;
      return waitFor(
        async () => {
          if ((await stat("update_success")) > taken) return { accepted: true };
          return (await stat("update_rejected")) > refused ? { accepted: false } : undefined;
        },
        { timeoutMs: 5000, what },
      ).then((seen) => (seen as { accepted: boolean }).accepted);
    },
    request: async () => (await fetch(`http://${await envoy.listenerAddress("main")}/`)).status,
    async stop() {
      release();
      await envoy.stop();
    },
  };
}
