/** Endpoints come and go while requests keep coming: first in the cluster, then in the filter's list, as two streams of a control plane do. No request fails. */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  cluster,
  EnvoyProcess,
  httpListener,
  type JsonObject,
  staticBootstrap,
  versionsUnderTest,
  waitFor,
} from "../../envoy/harness/index.ts";
import type { Replica } from "../../envoy/replica/index.ts";
import { ask, type Told, tally } from "./endpoint-clients.ts";
import {
  addressesOf,
  addressOf,
  DESTINATION,
  oneListener,
  pickedCluster,
  poolOf,
  startReplicas,
} from "./endpoint-gateway.ts";

const CLIENTS = 6;
const API = "type.googleapis.com/envoy.config";

describe.each(versionsUnderTest())("Envoy %s", (version) => {
  test("an endpoint that is taken out and put back costs no request, and the others keep what is known of them", async () => {
    const replicas = await startReplicas("r", 4);
    onTestFinished(async () => {
      for (const replica of replicas) await replica.close();
    });
    const folder = await mkdtemp(join(tmpdir(), "tokenmesh-endpoints-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const write = async (name: string, resource: JsonObject): Promise<void> => {
      await writeFile(join(folder, `${name}.new`), JSON.stringify({ resources: [resource] }));
      await rename(join(folder, `${name}.new`), join(folder, name));
    };
    const setCluster = (members: readonly Replica[]) => {
      const { load_assignment } = cluster({ name: "models", targets: addressesOf(members) });
      const type = `${API}.endpoint.v3.ClusterLoadAssignment`;
      return write("endpoints.json", { "@type": type, ...(load_assignment as JsonObject) });
    };
    const setFilter = (members: readonly Replica[]) => {
      const listener = httpListener({ ...oneListener({ pools: [poolOf("models", addressesOf(members))] }) });
      return write("listeners.json", { "@type": `${API}.listener.v3.Listener`, ...listener });
    };
    await setCluster(replicas);
    await setFilter(replicas);
    const source = (name: string): JsonObject => ({
      resource_api_version: "V3",
      path_config_source: { path: join(folder, name) },
    });
    const { load_assignment: _, ...models } = pickedCluster("models", [], {
      cluster: { type: "EDS", eds_cluster_config: { eds_config: source("endpoints.json") } },
    });
    const bootstrap = {
      ...staticBootstrap({ node: { id: "changes", cluster: "test" }, listeners: [], clusters: [models] }),
      dynamic_resources: { lds_config: source("listeners.json") },
    };
    const envoy = await EnvoyProcess.start({ bootstrap, version, concurrency: 2 });
    onTestFinished(() => envoy.stop());
    const url = `http://${await envoy.listenerAddress("llm")}`;

    const system = "what all conversations of this user begin with ".repeat(100);
    const [first, gone] = [replicas[0], replicas[3]] as [Replica, Replica];
    await ask(url, { text: system, among: [addressOf(first)] });

    const answers: Told[] = [];
    const failures: unknown[] = [];
    let running = true;
    let sent = 0;
    const client = async (): Promise<void> => {
      while (running) {
        const answer = await ask(url, { text: `${sent++} `.repeat(600) }).catch((error: unknown) => error);
        if (answer instanceof Error) failures.push(answer.message);
        else answers.push(answer as Told);
      }
    };
    const clients = Array.from({ length: CLIENTS }, client);
    const stop = async (): Promise<void> => {
      running = false;
      await Promise.all(clients);
    };
    onTestFinished(stop);
    /** What came since the last look: of each replica, and the lists that they were sent with. */
    const recent = (): { counts: Record<string, number>; lists: string[] } => {
      const counts = tally(answers.splice(0), ({ status, replica }) => (status === 200 ? replica : status));
      const lists = replicas.flatMap(({ requests }) => requests.map(({ headers }) => String(headers[DESTINATION])));
      for (const replica of replicas) replica.clearRequests();
      return { counts, lists };
    };
    const statuses: Record<string, number>[] = [];
    const until = (what: string, holds: (seen: ReturnType<typeof recent>) => boolean) =>
      waitFor(
        () => {
          if (answers.length < 60) return false;
          const seen = recent();
          statuses.push(seen.counts);
          return holds(seen);
        },
        { what, timeoutMs: 20_000 },
      );
    const names = (counts: Record<string, number>) => Object.keys(counts).sort().join();
    const isListed = (lists: string[]) => lists.some((list) => list.includes(addressOf(gone)));
    const [all, rest] = [replicas, replicas.slice(0, 3)];

    await until("all endpoints to serve", ({ counts }) => names(counts) === "r0,r1,r2,r3");
    await setCluster(rest);
    await until(
      "requests for the endpoint to go elsewhere",
      ({ counts, lists }) => names(counts) === "r0,r1,r2" && isListed(lists),
    );
    await setFilter(rest);
    await until("nobody to be sent there", ({ counts, lists }) => names(counts) === "r0,r1,r2" && !isListed(lists));
    // The prefix is still known to be there, though its key may prefer another one.
    expect((await ask(url, { text: `${system} and on` })).replica).toBe("r0");
    await setCluster(all);
    await setFilter(all);
    await until("all endpoints to serve again", ({ counts }) => names(counts) === "r0,r1,r2,r3");
    expect((await ask(url, { text: `${system} and further on` })).replica).toBe("r0");
    // The other way round: the filter goes first.
    await setFilter(rest);
    await until("nobody to be sent there", ({ counts, lists }) => names(counts) === "r0,r1,r2" && !isListed(lists));
    await setCluster(rest);
    await stop();
    statuses.push(recent().counts);
    expect(failures).toEqual([]);
    expect(new Set(statuses.flatMap((counts) => Object.keys(counts)))).toEqual(new Set(["r0", "r1", "r2", "r3"]));
    const inflight = async () => [...(await envoy.admin.stats("tokenmesh_endpoint_inflight")).values()][0] === 0;
    await waitFor(inflight, { what: "the gauge to be 0" });
  });
});
