/** `--state`: where everything is kept that programs have told the server and that is to survive it. */
import { readFileSync } from "node:fs";
import { systemClock } from "./discovery/clock.ts";
import { ServerError } from "./errors.ts";
import type { Logger } from "./log.ts";
import { STATE_FORMS } from "./server-options.ts";
import { MemoryStore } from "./state/records/memory-store.ts";
import type { RecordStore } from "./state/records/store.ts";

/**
 * The code of a store is loaded when the server keeps its state there. A store behind a network connects by itself, and may be away at first.
 * @param address one of {@link STATE_FORMS}; may hold a password, so it is shown to nobody
 * @throws ServerError TM_USAGE, TM_STATE_LOCKED, TM_STATE_DAMAGED
 */
export async function openStateStore(address: string, log: Logger): Promise<RecordStore> {
  const [scheme = "", rest = ""] = /^([a-z]+):(.+)$/s.exec(address)?.slice(1) ?? [];
  if (address === "memory") return new MemoryStore();
  if (scheme === "file") {
    const { FileStore } = await import("./state/records/file-store.ts");
    return FileStore.open(rest.replace(/^\/\//, ""));
  }
  if (scheme === "redis" || scheme === "rediss") {
    const onState = (up: boolean, reason: string) =>
      log(up ? "info" : "warn", up ? "state store connected" : "state store lost", { reason });
    const { RedisRecordStore } = await import("./state/records/redis-store.ts");
    return new RedisRecordStore({ url: address, onState });
  }
  if (scheme === "consul" || scheme === "consuls") {
    const [, host = "", path = ""] = /^\/\/([^/]+)\/?(.*)$/.exec(rest) ?? [];
    const prefix = path === "" || path.endsWith("/") ? path : `${path}/`;
    const options = { address: `${scheme === "consul" ? "http" : "https"}://${host}`, token: consulToken };
    const { ConsulStore } = await import("./state/records/consul-store.ts");
    return new ConsulStore(prefix === "" ? options : { ...options, prefix });
  }
  if (scheme === "kubernetes") {
    const [{ openCluster }, { KubernetesRecordStore }] = await Promise.all([
      import("./kubernetes/index.ts"),
      import("./state/records/kubernetes-store.ts"),
    ]);
    const kubeconfig = process.env.KUBECONFIG || undefined;
    const cluster = await openCluster({ kubeconfig }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new ServerError("TM_USAGE", `the state store in Kubernetes: ${why}`);
    });
    return new KubernetesRecordStore({ cluster, namespace: rest, timing: { ...systemClock, random: Math.random } });
  }
  throw new ServerError("TM_USAGE", `--state is none of ${STATE_FORMS}`);
}

/** From where Consul's own tools take it; a file may be rotated. */
function consulToken(): string {
  const file = process.env.CONSUL_HTTP_TOKEN_FILE;
  return file === undefined ? (process.env.CONSUL_HTTP_TOKEN ?? "") : readFileSync(file, "utf8").trim();
}
