/** The arms of this bench: ways to choose one of several endpoints of a cluster by what it has in its cache and how busy it is. */
import { join } from "node:path";
import { cluster, httpListener, type JsonObject, staticBootstrap, wasmFilter } from "../../../envoy/harness/index.ts";
import { type } from "../arms/arm.ts";
import { overrideHost } from "../override-host.ts";

export const listenerName = "load";
const models = "models";
const service = "ext_proc";
/** More than the largest body, so that every filter may buffer all of it. */
const bufferLimitBytes = 16 * 1024 * 1024;

export interface Surroundings {
  /** Absolute path of the repository. */
  readonly root: string;
  /** `ip:port` of each. */
  readonly endpoints: readonly string[];
  /** Of the arm's helper; "" without one. */
  readonly helper: string;
}

export interface PickingArm {
  readonly name: string;
  /** One line for the report. */
  readonly does: string;
  /** Whether the same beginning of a prompt must reach the same endpoint. */
  readonly picks: boolean;
  /** Whether bench/envoy/ext_proc runs beside its Envoy. */
  readonly helper: boolean;
  httpFilters(around: Surroundings): JsonObject[];
}

/** Compiled by main.ts. */
export const floorSource = { name: "picking-floor", entry: "bench/envoy/picking/wasm/floor.ts" };
const floorModule = (root: string): string => join(root, `build/bench/${floorSource.name}.wasm`);

const pools = (endpoints: readonly string[]): JsonObject => ({
  pools: [{ name: models, endpoints: endpoints.map((address) => ({ address })) }],
});
const paths = { paths: ["/chat/completions"] };

const wasm = (name: string, configuration: (around: Surroundings) => JsonObject): PickingArm["httpFilters"] => {
  return (around) => [
    wasmFilter({
      name,
      file: join(around.root, `build/filters/${name}.wasm`),
      vmId: "bench",
      configuration: { ...paths, ...configuration(around) },
    }),
  ];
};

const external =
  (mode: JsonObject): PickingArm["httpFilters"] =>
  () => [
    {
      name: "envoy.filters.http.ext_proc",
      typed_config: {
        "@type": type("extensions.filters.http.ext_proc.v3.ExternalProcessor"),
        grpc_service: { envoy_grpc: { cluster_name: service }, timeout: "30s" },
        message_timeout: "10s",
        processing_mode: mode,
      },
    },
  ];

/** `bare` first: all others are compared with it. */
export const arms: readonly PickingArm[] = [
  {
    name: "bare",
    does: "no filter: the four endpoints in turn, nothing is read",
    picks: false,
    helper: false,
    httpFilters: () => [],
  },
  {
    name: "buffer",
    does: "Envoy's own buffer filter (C++): the whole body is there before the request goes on, and nothing is read. What it costs to wait for a prompt, whoever reads it",
    picks: false,
    helper: false,
    httpFilters: () => [
      {
        name: "envoy.filters.http.buffer",
        typed_config: {
          "@type": type("extensions.filters.http.buffer.v3.Buffer"),
          max_request_bytes: bufferLimitBytes,
        },
      },
    ],
  },
  {
    name: "wasm floor",
    does: "a Wasm filter that holds the body and makes the hostcalls of hash-ring, and thinks nothing: what is between it and `hash-ring` is ours",
    picks: false,
    helper: false,
    httpFilters: ({ root }) => [
      wasmFilter({ name: "floor", file: floorModule(root), vmId: "bench", configuration: {} }),
    ],
  },
  {
    name: "hash-ring",
    does: "tokenmesh (AssemblyScript, Proxy-Wasm), policy prefix-affinity; also measures usage and times as all our filters do",
    picks: true,
    helper: false,
    httpFilters: wasm("hash-ring", ({ endpoints }) => pools(endpoints)),
  },
  {
    name: "llm-gateway",
    does: "the same as the only stage of llm-gateway",
    picks: true,
    helper: false,
    httpFilters: wasm("llm-gateway", ({ endpoints }) => ({ endpointPicker: pools(endpoints) })),
  },
  {
    name: "ext_proc buffered",
    does: "a Go server (gjson), one gRPC stream per request: request headers, then the body BUFFERED; the answer is not sent to it. The cheapest setting that can pick",
    picks: true,
    helper: true,
    httpFilters: external({
      // With SKIP the headers pass before the body is complete.
      request_header_mode: "SEND",
      request_body_mode: "BUFFERED",
      request_trailer_mode: "SKIP",
      response_header_mode: "SKIP",
      response_body_mode: "NONE",
      response_trailer_mode: "SKIP",
    }),
  },
  {
    name: "ext_proc duplex",
    does: "the same server, request and answer FULL_DUPLEX_STREAMED: the protocol of Kubernetes' endpoint pickers",
    picks: true,
    helper: true,
    httpFilters: external({
      request_header_mode: "SEND",
      request_body_mode: "FULL_DUPLEX_STREAMED",
      request_trailer_mode: "SEND",
      response_header_mode: "SEND",
      response_body_mode: "FULL_DUPLEX_STREAMED",
      response_trailer_mode: "SEND",
    }),
  },
];

/** Bootstrap of one arm's Envoy. All have the same cluster, but for who chooses in it. */
export function pickingBootstrap(arm: PickingArm, around: Surroundings): JsonObject {
  const limit = { per_connection_buffer_limit_bytes: bufferLimitBytes };
  const further = arm.picks ? { ...limit, ...overrideHost } : limit;
  return staticBootstrap({
    listeners: [
      httpListener({
        name: listenerName,
        bufferLimitBytes,
        codec: "HTTP1",
        httpFilters: arm.httpFilters(around),
        routes: [{ cluster: models }],
      }),
    ],
    clusters: [
      cluster({ name: models, targets: around.endpoints, cluster: further }),
      ...(arm.helper ? [cluster({ name: service, targets: [around.helper], http2: true })] : []),
    ],
  });
}
