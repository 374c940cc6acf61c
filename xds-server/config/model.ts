/**
 * The typed configuration: what the YAML kinds say, with defaults filled in and durations in milliseconds. Plain data; where a value stands in
 * its file is known to `positionOf` in reader.ts.
 */
import type { ProtoObject, TypeUrl } from "../../protos/index.ts";
import type { DiscoverySourceSpec } from "./discovery-model.ts";
import type { EndpointPickerSpec } from "./endpoint-picker-model.ts";
import type { LlmRouterSpec } from "./llm-model.ts";
import type { PromptCacheSpec } from "./prompt-cache-model.ts";
import type { TokenRateLimitSpec } from "./rate-limit-model.ts";

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly annotations: ReadonlyMap<string, string> | undefined;
}

/** `networking.istio.io` Gateway: where Envoy listens. */
export interface Gateway {
  readonly metadata: Metadata;
  /** Labels of the node groups that it is served to; of no effect as long as there is no NodeGroup. Empty for all. */
  readonly selector: ReadonlyMap<string, string>;
  readonly servers: readonly GatewayServer[];
}

export interface GatewayServer {
  readonly port: { readonly number: number; readonly name: string; readonly protocol: string };
  /** Address to listen on. */
  readonly bind: string;
  /** undefined for plain HTTP. */
  readonly tls: ServerTls | undefined;
  /** Host names that are served: exact, `*.suffix` or `*`; a leading `namespace/` has been removed. */
  readonly hosts: readonly string[];
}

export type TlsVersion = "TLS_AUTO" | "TLSV1_0" | "TLSV1_1" | "TLSV1_2" | "TLSV1_3";

export interface ServerTls {
  /** MUTUAL asks clients for a certificate that the Secret's ca.crt has signed. */
  readonly mode: "SIMPLE" | "MUTUAL";
  /** Name of a Secret of the Gateway's namespace. */
  readonly credentialName: string;
  readonly minProtocolVersion: TlsVersion;
  readonly maxProtocolVersion: TlsVersion;
}

/** `v1` Secret of type `kubernetes.io/tls`; texts in PEM. */
export interface Secret {
  readonly metadata: Metadata;
  /** The server's certificate, and those that lead to its root behind it. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Who signs certificates of clients. */
  readonly clientCa: string | undefined;
}

export type Resolution = "STATIC" | "DNS" | "DNS_ROUND_ROBIN";

/** `networking.istio.io` ServiceEntry: hosts and their endpoints. */
export interface ServiceEntry {
  readonly metadata: Metadata;
  readonly hosts: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly resolution: Resolution;
  readonly endpoints: readonly Endpoint[];
}

export type AppProtocol = "HTTP" | "HTTP2" | "GRPC";

export interface ServicePort {
  readonly number: number;
  readonly name: string;
  readonly protocol: AppProtocol;
  /** Port of the endpoints when they do not name their own. */
  readonly targetPort: number | undefined;
}

export type EndpointHealth = "healthy" | "unhealthy" | "draining" | "degraded" | "unknown";

export interface Endpoint {
  /** IP address or `unix:///path` (STATIC), or a host name (DNS). */
  readonly address: string;
  /** Port by port name of the service. */
  readonly ports: ReadonlyMap<string, number>;
  readonly labels: ReadonlyMap<string, string>;
  readonly weight: number;
  readonly locality: Locality | undefined;
  /** As a discovery source knows it; absent where nobody says anything. */
  readonly health?: EndpointHealth;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
}

/** `networking.istio.io` VirtualService: which request goes where. */
export interface VirtualService {
  readonly metadata: Metadata;
  readonly hosts: readonly string[];
  /** `[namespace/]name` of Gateways; undefined for every Gateway of the namespace. */
  readonly gateways: readonly string[] | undefined;
  readonly http: readonly HttpRoute[];
}

export interface HttpRoute {
  readonly name: string | undefined;
  /** One of them must match; an empty list matches everything. */
  readonly match: readonly HttpMatch[];
  readonly route: readonly RouteDestination[];
  readonly redirect: Redirect | undefined;
  readonly directResponse: DirectResponse | undefined;
  readonly rewrite: Rewrite | undefined;
  /** Milliseconds; 0 is no limit. */
  readonly timeout: number | undefined;
  readonly retries: Retries | undefined;
  readonly headers: HeaderOperations | undefined;
}

export type StringMatch =
  | { readonly kind: "exact" | "prefix" | "regex"; readonly value: string }
  /** The header is there, with any value. */
  | { readonly kind: "present" };

export interface HttpMatch {
  readonly name: string | undefined;
  readonly uri: StringMatch | undefined;
  readonly ignoreUriCase: boolean;
  readonly method: StringMatch | undefined;
  readonly authority: StringMatch | undefined;
  readonly headers: ReadonlyMap<string, StringMatch>;
  readonly withoutHeaders: ReadonlyMap<string, StringMatch>;
  readonly queryParams: ReadonlyMap<string, StringMatch>;
}

export interface RouteDestination {
  readonly destination: Destination;
  readonly weight: number | undefined;
  readonly headers: HeaderOperations | undefined;
}

export interface Destination {
  readonly host: string;
  readonly subset: string | undefined;
  readonly port: { readonly number: number } | undefined;
}

export interface Redirect {
  readonly uri: string | undefined;
  readonly authority: string | undefined;
  readonly port: number | undefined;
  readonly scheme: string | undefined;
  readonly redirectCode: number;
}

export interface DirectResponse {
  readonly status: number;
  readonly body: { readonly string: string | undefined } | undefined;
}

export interface Rewrite {
  readonly uri: string | undefined;
  readonly authority: string | undefined;
}

export interface Retries {
  readonly attempts: number;
  /** Milliseconds. */
  readonly perTryTimeout: number | undefined;
  readonly retryOn: string | undefined;
}

export interface HeaderOperations {
  readonly request: HeaderChanges | undefined;
  readonly response: HeaderChanges | undefined;
}

export interface HeaderChanges {
  readonly set: ReadonlyMap<string, string>;
  readonly add: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
}

/** `networking.istio.io` DestinationRule: how to reach a host, and its subsets. */
export interface DestinationRule {
  readonly metadata: Metadata;
  readonly host: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  readonly subsets: readonly Subset[];
}

export interface Subset {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly trafficPolicy: TrafficPolicy | undefined;
}

export interface TrafficPolicy {
  readonly loadBalancer: LoadBalancer | undefined;
  readonly connectionPool: ConnectionPool | undefined;
  readonly outlierDetection: OutlierDetection | undefined;
  /** For routes to this host that have none of their own. */
  readonly retries: Retries | undefined;
}

export type LoadBalancerName = "ROUND_ROBIN" | "RANDOM" | "LEAST_REQUEST" | "LEAST_CONN" | "UNSPECIFIED";

export interface LoadBalancer {
  readonly simple: LoadBalancerName;
}

export interface ConnectionPool {
  readonly tcp:
    | { readonly maxConnections: number | undefined; readonly connectTimeout: number | undefined }
    | undefined;
  readonly http:
    | {
        readonly http1MaxPendingRequests: number | undefined;
        readonly http2MaxRequests: number | undefined;
        readonly maxRequestsPerConnection: number | undefined;
        readonly maxRetries: number | undefined;
        readonly idleTimeout: number | undefined;
      }
    | undefined;
}

export interface OutlierDetection {
  readonly consecutive5xxErrors: number | undefined;
  readonly consecutiveGatewayErrors: number | undefined;
  /** The old name of consecutive5xxErrors. */
  readonly consecutiveErrors: number | undefined;
  readonly interval: number | undefined;
  readonly baseEjectionTime: number | undefined;
  readonly maxEjectionPercent: number | undefined;
  readonly minHealthPercent: number | undefined;
}

/** `tokenmesh.io` LLMRouter: what the llm-router filter of some Gateways does. */
export interface LlmRouter {
  readonly metadata: Metadata;
  /** Names of Gateways of the namespace; undefined for all of them. */
  readonly gateways: readonly string[] | undefined;
  readonly spec: LlmRouterSpec;
}

/** `tokenmesh.io` TokenRateLimit: what requests through some Gateways may take. */
export interface TokenRateLimit {
  readonly metadata: Metadata;
  /** Names of Gateways of the namespace; undefined for all of them. */
  readonly gateways: readonly string[] | undefined;
  readonly spec: TokenRateLimitSpec;
}

/** `tokenmesh.io` EndpointPicker: which endpoint requests through some Gateways go to. */
export interface EndpointPicker {
  readonly metadata: Metadata;
  /** Names of Gateways of the namespace; undefined for all of them. */
  readonly gateways: readonly string[] | undefined;
  readonly spec: EndpointPickerSpec;
}

/** `tokenmesh.io` PromptCache: which requests through some Gateways are answered from what was answered before. */
export interface PromptCache {
  readonly metadata: Metadata;
  /** Names of Gateways of the namespace; undefined for all of them. */
  readonly gateways: readonly string[] | undefined;
  readonly spec: PromptCacheSpec;
}

/** `tokenmesh.io` DiscoverySource: where ServiceEntries of its namespace may take endpoints from. */
export interface DiscoverySource {
  readonly metadata: Metadata;
  readonly spec: DiscoverySourceSpec;
}

/** `tokenmesh.io` NodeGroup: Envoys that are served the same. */
export interface NodeGroup {
  readonly metadata: Metadata;
  readonly spec: NodeGroupSpec;
}

export interface NodeGroupSpec {
  /** One of them must match. Empty in the group `default` only, which is that of all other Envoys. */
  readonly match: readonly NodeMatch[];
  /** What selectors of Gateways ask for. */
  readonly labels: ReadonlyMap<string, string>;
}

/** All that is there must match; a text that ends in `*` matches what begins like it. */
export interface NodeMatch {
  readonly id: string | undefined;
  readonly cluster: string | undefined;
  readonly locality: NodeLocality | undefined;
  /** By path, its parts separated by dots. */
  readonly metadata: ReadonlyMap<string, string> | undefined;
  /** By name, in whatever type, or by `TYPE_URL/NAME`. */
  readonly dynamicParameters: ReadonlyMap<string, string> | undefined;
}

export interface NodeLocality {
  readonly region: string | undefined;
  readonly zone: string | undefined;
  readonly subZone: string | undefined;
}

/** `tokenmesh.io` EnvoyResources: xDS resources that go to Envoys as they are. */
export interface EnvoyResources {
  readonly metadata: Metadata;
  readonly spec: EnvoyResourcesSpec;
}

export interface EnvoyResourcesSpec {
  /** Names of the groups that get them; undefined for all. */
  readonly nodeGroups: readonly string[] | undefined;
  readonly resources: readonly EnvoyResource[];
}

export interface EnvoyResource {
  readonly typeUrl: TypeUrl;
  readonly name: string;
  /** The message, as protos/codec.ts writes it. */
  readonly object: ProtoObject;
  readonly aliases: readonly string[];
  /** Milliseconds without news after which an Envoy forgets it; undefined for never. */
  readonly ttlMs: number | undefined;
}

/** All kinds of one configuration; lists are sorted by namespace and name. */
export interface Model {
  readonly gateways: readonly Gateway[];
  readonly serviceEntries: readonly ServiceEntry[];
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: readonly DestinationRule[];
  readonly llmRouters: readonly LlmRouter[];
  readonly tokenRateLimits: readonly TokenRateLimit[];
  readonly endpointPickers: readonly EndpointPicker[];
  readonly promptCaches: readonly PromptCache[];
  readonly discoverySources: readonly DiscoverySource[];
  readonly nodeGroups: readonly NodeGroup[];
  readonly secrets: readonly Secret[];
  readonly envoyResources: readonly EnvoyResources[];
}
