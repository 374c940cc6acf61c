/** Answers of the admin API as text for people. Pure. */
import type { FailureDetail } from "./api-client.ts";

/** Columns as wide as their widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `file:line:col: CODE message; remedy`, or what Envoy it is about. */
export function detailText({
  code,
  message,
  remedy,
  file,
  line,
  column,
  field,
  node,
  resources,
  earlier,
  awaySince,
}: FailureDetail): string {
  const gone = awaySince !== undefined ? `, away since ${awaySince}` : earlier ? ", before its stream ended" : "";
  const place =
    node !== undefined
      ? `Envoy ${node}${gone}: `
      : file !== undefined
        ? `${file}:${line}:${column}: `
        : field
          ? `${field}: `
          : "";
  const of = resources?.length ? ` (${resources.join(", ")})` : "";
  return `${place}${code === undefined ? "" : `${code} `}${message}${of}${remedy === undefined ? "" : `; ${remedy}`}`;
}

export interface StatusReport {
  readonly ready: boolean;
  readonly version: string;
  readonly loadedAt: string | null;
  readonly groups: readonly {
    readonly group: string;
    readonly version: string;
    readonly types: Readonly<Record<string, { readonly resources: number }>>;
  }[];
  readonly nodes: { readonly connected: number; readonly synced: number; readonly nacked: number };
  readonly nacks: readonly FailureDetail[];
  readonly configErrors: readonly FailureDetail[];
  readonly configWarnings: readonly FailureDetail[];
  readonly state?: {
    readonly kind: string;
    readonly available: boolean;
    readonly awaySince?: string;
    readonly reason?: string;
    readonly effect?: string;
  };
}

export function statusText(status: StatusReport, envoys: readonly NodeReport[]): string {
  const { connected, synced, nacked } = status.nodes;
  const lines = [
    `server   ${status.ready ? "ready" : "not ready"}, tokenmesh ${status.version}, configuration of ${status.loadedAt ?? "never"}`,
    ...status.groups.map(({ group, version, types }) => {
      const counts = Object.entries(types).filter(([, { resources }]) => resources > 0);
      return `group    ${group} ${version}: ${counts.map(([type, { resources }]) => `${resources} ${type}`).join(", ")}`;
    }),
    ...stateLines(status.state),
    `Envoys   ${connected} connected, ${synced} in sync, ${nacked} with a rejection`,
    ...status.configErrors.map((each) => `error    ${detailText(each)}`),
    ...status.configWarnings.map((each) => `warning  ${detailText(each)}`),
    ...status.nacks.map((each) => `NACK     ${detailText(each)}`),
  ];
  if (envoys.length === 0) return lines.join("\n");
  const rows = envoys.map(({ id, cluster, group, peer, types, settled, dynamicParameters = {} }) => {
    const states = Object.entries(types).map(([type, { state }]) => (state === "synced" ? type : `${type} ${state}`));
    return [id, cluster, group, peer, settled ? "yes" : "no", states.join(", "), parametersText(dynamicParameters)];
  });
  const header = ["ENVOY", "CLUSTER", "GROUP", "PEER", "IN SYNC", "TYPES"];
  // Few Envoys have parameters.
  if (rows.some((row) => row.at(-1) !== "")) header.push("PARAMETERS");
  return [...lines, "", table(header, rows)].join("\n");
}

function stateLines(state: StatusReport["state"]): readonly string[] {
  if (state === undefined) return [];
  const { kind, available, awaySince = "", reason = "", effect = "" } = state;
  return [available ? `state    ${kind}` : `state    ${kind} is away since ${awaySince} (${reason}): ${effect}`];
}

/** `Cluster shard=blue, Listener shard=blue tier=a`: by the last part of the type's name. */
function parametersText(parameters: NonNullable<NodeReport["dynamicParameters"]>): string {
  const types = Object.entries(parameters).map(([typeUrl, params]) => {
    const texts = Object.entries(params).map(([key, value]) => `${key}=${value}`);
    return [typeUrl.replace(/^.*[./]/s, ""), ...texts].join(" ");
  });
  return types.join(", ");
}

export interface NodeReport {
  readonly id: string;
  readonly cluster: string;
  readonly group: string;
  readonly peer: string;
  readonly settled: boolean;
  readonly types: Readonly<Record<string, { readonly state: string }>>;
  readonly dynamicParameters?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

export type DiffReport = Readonly<
  Record<
    string,
    Readonly<Record<string, { added: readonly string[]; changed: readonly string[]; removed: readonly string[] }>>
  >
>;

/** `+` added, `~` changed, `-` removed, one resource per line. */
export function diffText(groups: DiffReport): string {
  const lines = Object.entries(groups).flatMap(([group, types]) =>
    Object.entries(types).flatMap(([type, { added, changed, removed }]) => [
      ...added.map((name) => `+ ${group} ${type} ${name}`),
      ...changed.map((name) => `~ ${group} ${type} ${name}`),
      ...removed.map((name) => `- ${group} ${type} ${name}`),
    ]),
  );
  return lines.length === 0 ? "no difference" : lines.join("\n");
}

export interface EndpointReport {
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number;
  readonly health: string;
  readonly locality: string;
}

/** As `weights set` takes it: `10.0.0.1:80`, `[::1]:80`, `unix:///path`. */
export function endpointText(address: string, port: number): string {
  if (address.startsWith("unix://")) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

export function endpointsText(endpoints: readonly EndpointReport[]): string {
  const rows = endpoints.map(({ cluster, address, port, weight, health, locality }) => [
    cluster,
    endpointText(address, port),
    `${weight}`,
    health,
    locality,
  ]);
  return table(["CLUSTER", "ENDPOINT", "WEIGHT", "HEALTH", "LOCALITY"], rows);
}

export interface WeightReport {
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  readonly weight: number | null;
}

export function weightsText(weights: readonly WeightReport[]): string {
  const rows = weights.map(({ cluster, address, port, weight }) => [cluster, endpointText(address, port), `${weight}`]);
  return table(["CLUSTER", "ENDPOINT", "WEIGHT"], rows);
}
