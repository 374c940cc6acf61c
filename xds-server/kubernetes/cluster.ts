/**
 * Where an API server is and how this program shows who it is: the service account of its pod, or a kubeconfig. Credentials are asked for anew for each request, so that
 * tokens and certificates that are rotated count at once.
 */
import { readFileSync, statSync } from "node:fs";
import type { Agent } from "node:http";
import { isIPv6 } from "node:net";
import { join } from "node:path";
import { ApiError } from "./api-error.ts";
import { MAX_CA_BYTES, MAX_TOKEN_BYTES } from "./limits.ts";

export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: {
    readonly ca?: string | Buffer;
    readonly cert?: string | Buffer;
    readonly key?: string | Buffer;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
  /** Of a proxy on the way. */
  readonly agent?: Agent;
}

export interface Cluster {
  /** `http[s]://host:port[/path]`. */
  readonly server: string;
  /** Where this program is at home: of its pod, or of the kubeconfig's context. */
  readonly namespace: string;
  /** @throws ApiError "credentials" */
  credentials(): Promise<Credentials>;
}

export interface ClusterOptions {
  /** Path of a kubeconfig; without it the pod's service account counts. */
  readonly kubeconfig?: string | undefined;
  /** One of the kubeconfig's contexts; its current one by default. */
  readonly context?: string | undefined;
}

/** @throws ApiError "credentials" when there is neither a pod around this program nor a kubeconfig that can be read */
export async function openCluster({ kubeconfig, context }: ClusterOptions = {}): Promise<Cluster> {
  return kubeconfig === undefined ? podCluster() : fromKubeconfig(kubeconfig, context);
}

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/ */
const MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/** @throws ApiError "credentials" outside of a pod */
export function podCluster(environment: NodeJS.ProcessEnv = process.env, mount = MOUNT): Cluster {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = environment;
  if (!host) {
    const message = "this program runs in no pod (KUBERNETES_SERVICE_HOST is not set), and no kubeconfig is given";
    throw new ApiError("credentials", message);
  }
  const read = (name: string, max: number) => boundedFile(join(mount, name), max).trim();
  const namespace = read("namespace", MAX_TOKEN_BYTES);
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace,
    credentials: async () => {
      const token = read("token", MAX_TOKEN_BYTES);
      if (!/^[\x21-\x7e]+$/.test(token)) throw new ApiError("credentials", `${join(mount, "token")} holds no token`);
      return { headers: { authorization: `Bearer ${token}` }, tls: { ca: read("ca.crt", MAX_CA_BYTES) } };
    },
  };
}

function boundedFile(path: string, max: number): string {
  try {
    if (statSync(path).size > max) throw new ApiError("credentials", `${path} has more than ${max} bytes`);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const { code = "unreadable" } = error as NodeJS.ErrnoException;
    throw new ApiError("credentials", `${path} cannot be read (${code})`);
  }
}

/**
 * A kubeconfig with all its ways of proving who one is (certificates, tokens, exec plugins, OpenID). The package is loaded here and not above: it takes 88 MB of memory
 * and a second, and a control plane inside of the cluster does without.
 */
async function fromKubeconfig(path: string, context: string | undefined): Promise<Cluster> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  try {
    config.loadFromFile(path);
  } catch (error) {
    throw new ApiError("credentials", `kubeconfig ${path} cannot be read (${firstLine(error)})`);
  }
  if (context !== undefined) config.setCurrentContext(context);
  const name = config.getCurrentContext();
  const cluster = config.getCurrentCluster();
  if (!cluster?.server || !/^https?:\/\//.test(cluster.server))
    throw new ApiError("credentials", `kubeconfig ${path} has no context ${name ?? ""} with a cluster and its server`);
  const namespace = config.getContextObject(name)?.namespace ?? "default";
  // The package refuses plain http otherwise. Whoever writes http:// has decided; there is no certificate that could be checked.
  if (cluster.server.startsWith("http:")) Object.assign(cluster, { skipTLSVerify: true });
  return {
    server: cluster.server.replace(/\/+$/, ""),
    namespace,
    credentials: async () => {
      try {
        return await credentialsOf(config, cluster.proxyUrl !== undefined);
      } catch (error) {
        throw new ApiError("credentials", `kubeconfig ${path}: ${firstLine(error)}`);
      }
    },
  };
}

async function credentialsOf(
  config: import("@kubernetes/client-node").KubeConfig,
  proxied: boolean,
): Promise<Credentials> {
  const options: import("node:https").RequestOptions = { headers: {} };
  await config.applyToHTTPSOptions(options);
  const headers = Object.fromEntries(
    Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]),
  );
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  const { ca, cert, key, servername, rejectUnauthorized, agent } = options;
  const material = (value: unknown) => (Buffer.isBuffer(value) || typeof value === "string" ? value : undefined);
  const tls = {
    ...(material(ca) !== undefined && { ca: material(ca) as Buffer }),
    ...(material(cert) !== undefined && { cert: material(cert) as Buffer }),
    ...(material(key) !== undefined && { key: material(key) as Buffer }),
    ...(servername !== undefined && { servername }),
    ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
  };
  // It makes an agent each time; ours keeps connections, so theirs counts only where it knows the way through a proxy.
  return proxied && typeof agent === "object" ? { headers, tls, agent } : { headers, tls };
}

/** Of a message of somebody else's, which may quote what it read. */
function firstLine(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (
    code ??
    String(message ?? error)
      .split("\n", 1)[0]
      ?.slice(0, 120) ??
    ""
  );
}
