/** Groups of Envoys that are served the same: which there are, which Gateways they get, and who is in which. */
import type { Diagnostics } from "./diagnostics.ts";
import { fullName } from "./gateway-scope.ts";
import type { ModelParts } from "./kind-registry.ts";
import type { Gateway, Model, NodeGroup, NodeMatch } from "./model.ts";
import { positionOf } from "./reader.ts";

/** The group of all Envoys that no NodeGroup matches. */
const DEFAULT_GROUP = "default";

export interface ServedGroup {
  readonly name: string;
  readonly match: readonly NodeMatch[];
  /** undefined where selectors play no role: without any NodeGroup. */
  readonly labels: ReadonlyMap<string, string> | undefined;
}

/** What an Envoy says about itself, as far as groups look at it. */
export interface GroupedNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Texts by name, by type URL. */
  readonly dynamicParameters: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** `TYPE_URL/NAME` in a match. */
const TYPED_PARAMETER = /^(type\.googleapis\.com\/[^/]+)\/(.+)$/;

/** In the order in which they are tried, which is that of their names; `default` is the last. */
export function servedGroups({ nodeGroups }: Pick<Model, "nodeGroups">): readonly ServedGroup[] {
  if (nodeGroups.length === 0) return [{ name: DEFAULT_GROUP, match: [], labels: undefined }];
  const groups = nodeGroups.map(({ metadata, spec }) => ({ name: metadata.name, ...spec }));
  const named = groups.filter(({ name }) => name !== DEFAULT_GROUP).sort((a, b) => (a.name < b.name ? -1 : 1));
  const others = groups.find(({ name }) => name === DEFAULT_GROUP);
  return [...named, others ?? { name: DEFAULT_GROUP, match: [], labels: new Map() }];
}

/** A Gateway is served to the groups that have all labels of its selector. */
export function isServedTo({ selector }: Gateway, { labels }: ServedGroup): boolean {
  return labels === undefined || [...selector].every(([key, value]) => labels.get(key) === value);
}

/**
 * The group of a node: the first that matches. O(groups × matches).
 * @param onlyType the type whose dynamic parameters count; without, those of all types do
 */
export function groupOf(node: GroupedNode, groups: readonly ServedGroup[], onlyType?: string): string {
  return groups.find(({ match }) => match.some((each) => nodeMatches(node, each, onlyType)))?.name ?? DEFAULT_GROUP;
}

function nodeMatches(node: GroupedNode, match: NodeMatch, onlyType: string | undefined): boolean {
  const { id, cluster, locality, metadata, dynamicParameters } = match;
  return (
    fits(id, node.id) &&
    fits(cluster, node.cluster) &&
    fits(locality?.region, node.locality.region) &&
    fits(locality?.zone, node.locality.zone) &&
    fits(locality?.subZone, node.locality.subZone) &&
    [...(metadata ?? [])].every(([path, pattern]) => fits(pattern, textAt(node.metadata, path))) &&
    [...(dynamicParameters ?? [])].every(([key, pattern]) => parameterFits(node, key, pattern, onlyType))
  );
}

/** A name alone fits in any type: while an Envoy goes from one value to another, type by type, it is never in no group. */
function parameterFits(
  { dynamicParameters }: GroupedNode,
  key: string,
  pattern: string,
  onlyType: string | undefined,
): boolean {
  const named = TYPED_PARAMETER.exec(key);
  const [, typeUrl = onlyType, name = key] = named ?? [];
  const types = typeUrl === undefined ? Object.values(dynamicParameters) : [own(dynamicParameters, typeUrl)];
  return types.some((params) => fits(pattern, textOf(params, name)));
}

function textOf(params: unknown, name: string): string | undefined {
  const value = typeof params === "object" && params !== null ? own(params, name) : undefined;
  return typeof value === "string" ? value : undefined;
}

function fits(pattern: string | undefined, value: string | undefined): boolean {
  if (pattern === undefined) return true;
  if (value === undefined) return false;
  return pattern.endsWith("*") ? value.startsWith(pattern.slice(0, -1)) : value === pattern;
}

/** The text, number or boolean at `a.b.c`. Keys may have dots themselves, as names of Kubernetes labels do. */
function textAt(value: unknown, path: string): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const found = own(value, path);
  if (typeof found === "string" || typeof found === "number" || typeof found === "boolean") return String(found);
  for (let dot = path.indexOf("."); dot !== -1; dot = path.indexOf(".", dot + 1)) {
    const text = textAt(own(value, path.slice(0, dot)), path.slice(dot + 1));
    if (text !== undefined) return text;
  }
  return undefined;
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Readonly<Record<string, unknown>>)[key] : undefined;
}

/** A group that a document names must be there; `default` always is. */
function checkNamedGroups({ nodeGroups, envoyResources }: ModelParts, diagnostics: Diagnostics): void {
  const names = new Set(servedGroups({ nodeGroups }).map(({ name }) => name));
  for (const { spec } of envoyResources) {
    for (const name of spec.nodeGroups ?? []) {
      if (names.has(name)) continue;
      const message = `spec.nodeGroups: no NodeGroup ${name} is defined`;
      diagnostics.add("TM_CONFIG_UNKNOWN_REFERENCE", positionOf(spec, "nodeGroups"), message);
    }
  }
}

/** Names of groups are names of node groups everywhere, whatever the namespace. */
export function checkNodeGroups(parts: ModelParts, diagnostics: Diagnostics): void {
  const { nodeGroups, gateways, damaged } = parts;
  const seen = new Map<string, NodeGroup>();
  for (const group of nodeGroups) {
    const { name } = group.metadata;
    const first = seen.get(name);
    if (first !== undefined && first.metadata.namespace !== group.metadata.namespace) {
      const { file, line } = positionOf(first.metadata, "name");
      const message = `NodeGroup ${name} is already defined at ${file}:${line}, in another namespace`;
      diagnostics.add("TM_CONFIG_DUPLICATE", positionOf(group.metadata, "name"), message);
    }
    seen.set(name, group);
    checkMatch(group, diagnostics);
  }
  if (damaged.has("NodeGroup")) return;
  checkNamedGroups(parts, diagnostics);
  if (nodeGroups.length === 0) return;
  const groups = servedGroups({ nodeGroups });
  for (const gateway of gateways) {
    if (groups.some((group) => isServedTo(gateway, group))) continue;
    const message = `no NodeGroup has the labels that Gateway ${fullName(gateway.metadata)} selects, so no Envoy gets it`;
    const remedy = "Give these labels to a NodeGroup, or remove the selector.";
    diagnostics.warn("TM_CONFIG_UNUSED", positionOf(gateway, "selector"), message, remedy);
  }
}

function checkMatch({ metadata, spec }: NodeGroup, diagnostics: Diagnostics): void {
  const isDefault = metadata.name === DEFAULT_GROUP;
  if (isDefault && spec.match.length > 0) {
    const message = "spec.match: the group default is that of all Envoys that no other group matches";
    diagnostics.add("TM_CONFIG_CONFLICT", positionOf(spec, "match"), message, "Remove match, or rename the group.");
  } else if (!isDefault && spec.match.length === 0) {
    const message = "spec.match: nothing says which Envoys are in this group";
    diagnostics.add("TM_CONFIG_MISSING_FIELD", positionOf(spec, "match"), message, "Add match.");
  }
}
