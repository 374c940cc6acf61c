/** The arms of this bench: ways to give an answer again, and what a cache adds to a request that it has no answer to. */
import { join } from "node:path";
import { cluster, httpListener, type JsonObject, staticBootstrap, wasmFilter } from "../../../envoy/harness/index.ts";
import { emptyModule } from "../../first-token/arms.ts";
import { type } from "../arms/arm.ts";
import { overrideHost } from "../override-host.ts";
import { answerHeader, answers } from "./traffic.ts";

export const listenerName = "load";
const models = "models";
const processor = "ext_proc";
const bufferLimitBytes = 1024 * 1024;
/** More than the largest answer: Envoy's own limit is 4 KB. */
const directBytes = 128 * 1024;

export interface Surroundings {
  /** Absolute path of the repository. */
  readonly root: string;
  /** `ip:port` of the model server. */
  readonly upstream: string;
  /** Of the arm's own helper; "" without one. */
  readonly helper: string;
}

/** What runs beside an Envoy, or in place of it. */
export type Helper = "proxy" | "processor";

export interface CachingArm {
  readonly name: string;
  /** One line for the report. */
  readonly does: string;
  readonly method: "POST" | "GET";
  /** How an answer says that it was stored. */
  readonly hit: { readonly name: string; readonly value: RegExp } | undefined;
  readonly helper?: Helper;
  /** Undefined: the helper is asked directly. */
  readonly bootstrap?: (around: Surroundings) => JsonObject;
}

const oneCluster = ({ upstream }: Surroundings, further: JsonObject = {}): JsonObject =>
  cluster({ name: models, targets: [upstream], cluster: further });

/** One listener with these filters, one cluster. */
const behind = (httpFilters: readonly JsonObject[], around: Surroundings, further: JsonObject = {}): JsonObject =>
  staticBootstrap({
    listeners: [
      httpListener({
        name: listenerName,
        bufferLimitBytes,
        codec: "HTTP1",
        httpFilters,
        routes: [{ cluster: models }],
      }),
    ],
    clusters: [
      oneCluster(around, further),
      ...(around.helper === "" ? [] : [cluster({ name: processor, targets: [around.helper], http2: true })]),
    ],
  });

/** Without it Envoy answers before the body is there, and closes the connection. */
const buffer: JsonObject = {
  name: "envoy.filters.http.buffer",
  typed_config: { "@type": type("extensions.filters.http.buffer.v3.Buffer"), max_request_bytes: bufferLimitBytes },
};

const directResponse = (name: string): JsonObject => ({
  name,
  max_direct_response_body_size_bytes: directBytes,
  virtual_hosts: [
    {
      name: "all",
      domains: ["*"],
      routes: answers.map((answer) => ({
        match: { prefix: "/", headers: [{ name: answerHeader, string_match: { exact: answer.name } }] },
        direct_response: { status: 200, body: { inline_string: answer.body } },
        response_headers_to_add: [
          {
            header: { key: "content-type", value: answer.contentType },
            append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
          },
        ],
      })),
    },
  ],
});

/** Answers out of the configuration, behind these filters. */
const direct =
  (filters: readonly JsonObject[]): NonNullable<CachingArm["bootstrap"]> =>
  (around) =>
    staticBootstrap({
      listeners: [
        httpListener({
          name: listenerName,
          bufferLimitBytes,
          codec: "HTTP1",
          httpFilters: [...filters, buffer],
          routes: [],
          hcm: { route_config: directResponse(listenerName) },
        }),
      ],
      clusters: [oneCluster(around)],
    });

const wasm = ({ root }: Surroundings, name: string, configuration: JsonObject): JsonObject =>
  wasmFilter({
    name,
    file: join(root, `build/filters/${name}.wasm`),
    vmId: "bench",
    configuration: { paths: ["/chat/completions"], ...configuration },
  });

const promptCache = { rules: [{ name: "all" }] };

/** Never used up. */
const rateLimit = {
  rules: [
    {
      name: "bench",
      key: [{ model: true }],
      limits: [{ unit: "tokens", amount: 1_000_000_000_000, per: "minute" }],
    },
  ],
};

/** Router, limits and endpoint picking; `more`: further stages. */
const gateway =
  (more: JsonObject): NonNullable<CachingArm["bootstrap"]> =>
  (around) => {
    const stages = {
      router: { models: [{ model: "gpt-4o", route: models }] },
      rateLimit,
      endpointPicker: { pools: [{ name: models, endpoints: [{ address: around.upstream }] }] },
    };
    return behind([wasm(around, "llm-gateway", { ...stages, ...more })], around, overrideHost);
  };

const httpCache = (version: "" | "_v2"): NonNullable<CachingArm["bootstrap"]> => {
  const [filter, store] = version === "" ? ["CacheConfig", ""] : ["CacheV2Config", "V2"];
  return (around) =>
    behind(
      [
        {
          name: `envoy.filters.http.cache${version}`,
          typed_config: {
            "@type": type(`extensions.filters.http.cache${version}.v3.${filter}`),
            typed_config: {
              "@type": type(`extensions.http.cache${version}.simple_http_cache.v3.SimpleHttpCache${store}Config`),
            },
          },
        },
      ],
      around,
    );
};

const external: JsonObject = {
  name: "envoy.filters.http.ext_proc",
  typed_config: {
    "@type": type("extensions.filters.http.ext_proc.v3.ExternalProcessor"),
    grpc_service: { envoy_grpc: { cluster_name: processor }, timeout: "30s" },
    message_timeout: "10s",
    processing_mode: {
      // With SKIP the headers pass before the body is complete.
      request_header_mode: "SEND",
      request_body_mode: "BUFFERED",
      request_trailer_mode: "SKIP",
      response_header_mode: "SKIP",
      response_body_mode: "NONE",
      response_trailer_mode: "SKIP",
    },
  },
};

const ours = { name: "x-llm-cache", value: /^hit$/ };
const redis = { name: "x-cache", value: /^hit$/ };
const aged = { name: "age", value: /^\d+$/ };

/** Ways to give an answer again. `direct_response` first: all others are compared with it. */
export const hitArms: readonly CachingArm[] = [
  {
    name: "direct_response",
    does: "Envoy's buffer filter (C++) takes the whole question, and a route answers with a text from its configuration: the least that an answer out of Envoy costs. Nothing is read",
    method: "POST",
    hit: undefined,
    bootstrap: direct([]),
  },
  {
    name: "empty Wasm filter",
    does: "the same behind a Wasm filter whose callbacks return at once: what any Wasm filter costs",
    method: "POST",
    hit: undefined,
    bootstrap: (around) =>
      direct([
        wasmFilter({ name: "empty", file: join(around.root, `build/bench/${emptyModule.name}.wasm`), vmId: "bench" }),
      ])(around),
  },
  {
    name: "prompt-cache",
    does: "tokenmesh (AssemblyScript, Proxy-Wasm): reads and checks the whole question, hashes it whatever its spelling, answers from shared data",
    method: "POST",
    hit: ours,
    bootstrap: (around) => behind([wasm(around, "prompt-cache", promptCache)], around),
  },
  {
    name: "llm-gateway",
    does: "the same as one of the four stages of llm-gateway: router, promptCache, rateLimit, endpointPicker",
    method: "POST",
    hit: ours,
    bootstrap: gateway({ promptCache }),
  },
  {
    name: "cache",
    does: "Envoy's HTTP cache filter with its simple in-memory cache. It answers GET and HEAD only, so it is asked with a GET without body for the same answer: no question is received, read or hashed",
    method: "GET",
    hit: aged,
    bootstrap: httpCache(""),
  },
  {
    name: "cache_v2",
    does: "the same with the second version of that filter",
    method: "GET",
    hit: aged,
    bootstrap: httpCache("_v2"),
  },
  {
    name: "Redis proxy",
    does: "a proxy of its own in place of Envoy (Go, net/http, go-redis with its pool): SHA-256 of the question, one GET of Redis for each request. Its CPU time and that of Redis",
    method: "POST",
    hit: redis,
    helper: "proxy",
  },
  {
    name: "Redis ext_proc",
    does: "Envoy with an external processor (Go, go-redis): request headers, then the body BUFFERED, one GET of Redis, an immediate response. CPU time of Envoy, processor and Redis",
    method: "POST",
    hit: redis,
    helper: "processor",
    bootstrap: (around) => behind([external], around),
  },
];

/** What a cache adds to a request that it has no answer to. */
export const missArms: readonly CachingArm[] = [
  {
    name: "bare",
    does: "no filter: the request goes to the model server, nothing is read",
    method: "POST",
    hit: undefined,
    bootstrap: (around) => behind([], around),
  },
  {
    name: "llm-gateway without promptCache",
    does: "router, rateLimit, endpointPicker",
    method: "POST",
    hit: undefined,
    bootstrap: gateway({}),
  },
  {
    name: "llm-gateway with promptCache",
    does: "all four stages: every question is new, every answer is stored",
    method: "POST",
    hit: undefined,
    bootstrap: gateway({ promptCache }),
  },
];
