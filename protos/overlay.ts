/**
 * Messages, enums and fields of Envoy that are newer than the protos in `@grpc/grpc-js-xds`: a table of names and field numbers.
 * The rejected alternatives are a copy of Envoy's `.proto` files (hundreds of files that rot) and `xds.type.v3.TypedStruct` (untyped, and
 * unknown keys only fail in Envoy). `overlay.test.ts` proves every number against the Go module
 * `github.com/envoyproxy/go-control-plane/envoy`, whose version follows Envoy's.
 */

/** One field: `type` is a scalar keyword or a full message or enum name. */
export interface OverlayField {
  readonly name: string;
  readonly number: number;
  readonly type: string;
  readonly repeated?: true;
}

/** A message that is new (`isNew`) or one of the npm protos that lacks fields. */
export interface OverlayMessage {
  readonly message: string;
  readonly isNew?: true;
  readonly fields: readonly OverlayField[];
}

export interface OverlayEnum {
  readonly enum: string;
  readonly values: Readonly<Record<string, number>>;
}

/** What is applied once `file` has been loaded (`imports` are loaded with it). */
export interface Overlay {
  /** The proto file that holds these types in the newest Envoy; a file of its own name is created when the npm package has none. */
  readonly file: string;
  readonly imports: readonly string[];
  readonly enums: readonly OverlayEnum[];
  readonly messages: readonly OverlayMessage[];
}

/** The release of `github.com/envoyproxy/go-control-plane/envoy` that the numbers were read from. */
export const OVERLAY_SOURCE_VERSION = "v1.40.0";

export const OVERLAYS: readonly Overlay[] = [
  {
    file: "envoy/extensions/wasm/v3/wasm.proto",
    imports: ["envoy/config/core/v3/backoff.proto"],
    enums: [
      {
        enum: "envoy.extensions.wasm.v3.FailurePolicy",
        values: { UNSPECIFIED: 0, FAIL_RELOAD: 1, FAIL_CLOSED: 2, FAIL_OPEN: 3 },
      },
    ],
    messages: [
      {
        message: "envoy.extensions.wasm.v3.ReloadConfig",
        isNew: true,
        fields: [{ name: "backoff", number: 1, type: "envoy.config.core.v3.BackoffStrategy" }],
      },
      {
        message: "envoy.extensions.wasm.v3.PluginConfig",
        fields: [
          { name: "failure_policy", number: 7, type: "envoy.extensions.wasm.v3.FailurePolicy" },
          { name: "reload_config", number: 8, type: "envoy.extensions.wasm.v3.ReloadConfig" },
          { name: "allow_on_headers_stop_iteration", number: 9, type: "google.protobuf.BoolValue" },
        ],
      },
    ],
  },
  {
    file: "envoy/extensions/load_balancing_policies/override_host/v3/override_host.proto",
    imports: ["envoy/config/cluster/v3/cluster.proto", "envoy/type/metadata/v3/metadata.proto"],
    enums: [],
    messages: [
      {
        message: "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost.OverrideHostSource",
        isNew: true,
        fields: [
          { name: "header", number: 1, type: "string" },
          { name: "metadata", number: 2, type: "envoy.type.metadata.v3.MetadataKey" },
        ],
      },
      {
        message: "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost",
        isNew: true,
        fields: [
          {
            name: "override_host_sources",
            number: 1,
            type: "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost.OverrideHostSource",
            repeated: true,
          },
          { name: "selected_host_key", number: 2, type: "envoy.type.metadata.v3.MetadataKey" },
          { name: "fallback_policy", number: 3, type: "envoy.config.cluster.v3.LoadBalancingPolicy" },
        ],
      },
    ],
  },
  {
    file: "envoy/extensions/load_balancing_policies/common/v3/common.proto",
    imports: ["envoy/config/route/v3/route_components.proto"],
    enums: [],
    messages: [
      {
        message: "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig",
        fields: [
          { name: "hash_policy", number: 3, type: "envoy.config.route.v3.RouteAction.HashPolicy", repeated: true },
        ],
      },
    ],
  },
  {
    // Envoy 1.37 or newer.
    file: "envoy/extensions/clusters/composite/v3/cluster.proto",
    imports: [],
    enums: [],
    messages: [
      {
        message: "envoy.extensions.clusters.composite.v3.ClusterConfig.ClusterEntry",
        isNew: true,
        fields: [{ name: "name", number: 1, type: "string" }],
      },
      {
        message: "envoy.extensions.clusters.composite.v3.ClusterConfig",
        isNew: true,
        fields: [
          {
            name: "clusters",
            number: 1,
            type: "envoy.extensions.clusters.composite.v3.ClusterConfig.ClusterEntry",
            repeated: true,
          },
        ],
      },
    ],
  },
];
