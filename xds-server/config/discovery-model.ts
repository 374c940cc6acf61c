/** `tokenmesh.io` DiscoverySource: where endpoints of services come from. Durations are milliseconds. */

/** A token or password: never in the configuration itself. */
export type SecretReference =
  | { readonly env: string; readonly file: undefined }
  | { readonly env: undefined; readonly file: string };

/** A list of endpoints in a YAML or JSON file, watched. */
export interface FileDiscovery {
  readonly path: string;
}

export type DnsRecordKind = "A" | "AAAA" | "SRV";

export interface DnsDiscovery {
  /** `host:port` each, asked in this order; the resolvers of the system when empty. */
  readonly resolvers: readonly string[];
  readonly kinds: readonly DnsRecordKind[];
  /** Of endpoints with addresses only (A, AAAA). */
  readonly port: number | undefined;
}

export interface ConsulDiscovery {
  /** `http[s]://host[:port]` or `host:port`. */
  readonly address: string;
  readonly datacenter: string | undefined;
  readonly namespace: string | undefined;
  readonly token: SecretReference | undefined;
  /** PEM file of those who certify its server; those that Node trusts when absent. */
  readonly caFile: string | undefined;
  /** Only instances with this tag. */
  readonly tag: string | undefined;
  /** Instances that do not pass their checks are left out instead of marked unhealthy. */
  readonly passingOnly: boolean;
  /** https://developer.hashicorp.com/consul/api-docs/features/consistency */
  readonly consistency: "default" | "consistent" | "stale";
}

export interface EurekaDiscovery {
  /** `http[s]://host[:port][/path]`, with the path of the REST API (`/eureka`); asked in this order. */
  readonly addresses: readonly string[];
  readonly username: string | undefined;
  readonly password: SecretReference | undefined;
  /** PEM file of those who certify its servers; those that Node trusts when absent. */
  readonly caFile: string | undefined;
}

export interface KubernetesDiscovery {
  /** Path of a kubeconfig file; the service account of the pod when absent. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Only these are read; the pod's own or the context's when empty. A service is `[NAMESPACE/]NAME[:PORT]`, in the first of these without NAMESPACE. */
  readonly namespaces: readonly string[];
  /** Name or number of the port of services without PORT; their first TCP port when absent. */
  readonly port: string | undefined;
  /** Labels and annotations of pods become metadata of their endpoints. */
  readonly pods: boolean;
  /** Nodes say the region and zone of endpoints. */
  readonly nodes: boolean;
}

/** The registry of this server itself. */
export type RegistryDiscovery = object;

/** Which keys of an instance's metadata say what. */
export interface MetadataMapping {
  readonly region: string | undefined;
  readonly zone: string | undefined;
  readonly subZone: string | undefined;
  readonly weight: string | undefined;
  /** Label -> key. When undefined, every key becomes the label of its name. */
  readonly labels: ReadonlyMap<string, string> | undefined;
}

/** Exactly one of file, dns, kubernetes, consul, eureka and registry is there. */
export interface DiscoverySourceSpec {
  readonly file: FileDiscovery | undefined;
  readonly dns: DnsDiscovery | undefined;
  readonly kubernetes: KubernetesDiscovery | undefined;
  readonly consul: ConsulDiscovery | undefined;
  readonly eureka: EurekaDiscovery | undefined;
  readonly registry: RegistryDiscovery | undefined;
  /** Quiet time after the last change before it is passed on. */
  readonly quiet: number;
  /** How long an endpoint that has left stays as draining. */
  readonly drain: number;
  /** Bounds of the time between two questions; of what a TTL says too. */
  readonly poll: { readonly min: number; readonly max: number };
  readonly metadata: MetadataMapping;
}
