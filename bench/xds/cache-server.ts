/**
 * The arm `cache`: tokenmesh's cache and xDS server with the same resources as the peer and nothing before them. A process of its own: prints its addresses as one line of JSON,
 * changes the weight of an endpoint in each of the next k clusters on `POST /change?k=`, collects garbage on `POST /collect` (with `--expose-gc`) and answers with what is in use, and
 * ends with its standard input.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createSnapshot, SnapshotCache, updateSnapshot } from "../../xds-server/cache/index.ts";
import { silentLogger } from "../../xds-server/log.ts";
import { LoadReports } from "../../xds-server/server/load-reports.ts";
import { createMetrics } from "../../xds-server/server/metrics.ts";
import { StreamRegistry } from "../../xds-server/server/stream-registry.ts";
import { startXdsServer } from "../../xds-server/server/xds-server.ts";
import { assignment, world } from "./world.ts";

const [clusters = 100, endpoints = 50] = process.argv.slice(2).map(Number);
const size = { clusters, endpoints };
const GROUP = "default";

const cache = new SnapshotCache();
cache.set(GROUP, createSnapshot(world(size)));
let next = 0;
let weight = 1;

function change(k: number): void {
  const before = cache.get(GROUP);
  if (before === undefined) return;
  weight++;
  const changed = Array.from({ length: k }, (_, n) => assignment(size, (next + n) % clusters, weight));
  next = (next + k) % clusters;
  cache.set(GROUP, updateSnapshot(before, changed));
}

const registry = new StreamRegistry();
const context = {
  ...{ cache, registry, loads: new LoadReports(), metrics: createMetrics(), log: silentLogger },
  ...{ identifier: "bench", now: Date.now },
};
const xds = await startXdsServer("127.0.0.1:0", context, []);
const control = createServer((request, response) => {
  request.resume();
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  if (request.method === "POST" && pathname === "/collect") {
    globalThis.gc?.();
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    response.end(JSON.stringify({ heapUsed, external, arrayBuffers }));
    return;
  }
  const k = Number(searchParams.get("k"));
  if (request.method === "POST" && Number.isInteger(k) && k > 0 && k <= clusters) change(k);
  else response.statusCode = 400;
  // As the API does: Envoys first.
  setImmediate(() => response.end());
});
control.listen(0, "127.0.0.1", () => {
  const { port } = control.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ address: xds.address, control: `127.0.0.1:${port}` })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
