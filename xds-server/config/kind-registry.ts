/** Which document is which kind: apiVersion and kind -> reader, and the list of the model that the value goes into. */
import { isMap, isScalar } from "yaml";
import { type Cursor, childCursor, fail } from "./cursor.ts";
import { documentId } from "./document-id.ts";
import { destinationRuleSpec } from "./kinds/destination-rule.ts";
import { discoverySourceSpec } from "./kinds/discovery-source.ts";
import { endpointPickerSpec } from "./kinds/endpoint-picker.ts";
import { envoyResourcesSpec } from "./kinds/envoy-resources.ts";
import { gatewaySpec } from "./kinds/gateway.ts";
import { llmRouterSpec } from "./kinds/llm-router.ts";
import { metadata } from "./kinds/metadata.ts";
import { nodeGroupSpec } from "./kinds/node-group.ts";
import { promptCacheSpec } from "./kinds/prompt-cache.ts";
import { secretFields, secretOf } from "./kinds/secret.ts";
import { serviceEntrySpec } from "./kinds/service-entry.ts";
import { tokenRateLimitSpec } from "./kinds/token-rate-limit.ts";
import { virtualServiceSpec } from "./kinds/virtual-service.ts";
import type { Metadata, Model } from "./model.ts";
import { extended, object, type Reader, required } from "./reader.ts";
import { text } from "./scalars.ts";
import { closest } from "./spelling.ts";

/** A list of the model. */
export type ModelList = keyof Model;

/** The lists of a model while they are put together. */
export type ModelLists = { -readonly [K in ModelList]: Model[K][number][] };

/** `damaged` holds the kinds of which a document could not be read: references to them cannot be judged. */
export interface ModelParts extends ModelLists {
  readonly damaged: Set<Kind>;
}

/** What became of one document. */
export interface ReadDocument {
  /** `KIND/namespace/name`; undefined where that cannot be told. */
  readonly id: string | undefined;
  /** Adds its value to a model, or says which kinds it leaves damaged. */
  readonly addTo: (parts: ModelParts) => void;
}

const ISTIO = ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];
const TOKENMESH = ["tokenmesh.io/v1alpha1"];
const GATEWAYS_ANNOTATION = "tokenmesh.io/gateways";

interface KindEntry {
  readonly apiVersions: readonly string[];
  readonly list: ModelList;
  /** The value for its list; undefined when the document has errors. */
  readonly read: (cursor: Cursor) => Model[ModelList][number] | undefined;
}

interface KindDocument<S> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec: S;
}

function kindEntry<S extends object, L extends ModelList>(
  apiVersions: readonly string[],
  list: L,
  spec: Reader<S>,
  value: (metadata: Metadata, spec: S) => Model[L][number],
): KindEntry {
  const reader = object<KindDocument<S>>(
    { apiVersion: required(text()), kind: required(text()), metadata: required(metadata), spec: required(spec) },
    { ignored: ["status"] },
  );
  const read = (cursor: Cursor) => {
    const document = reader(cursor);
    return document && value(document.metadata, document.spec);
  };
  return { apiVersions, list, read };
}

/** Kubernetes' own Secret has no spec. */
const secretEntry: KindEntry = {
  apiVersions: ["v1"],
  list: "secrets",
  read: (cursor) => {
    const reader = object({
      apiVersion: required(text()),
      kind: required(text()),
      metadata: required(metadata),
      ...secretFields,
    });
    const document = reader(cursor);
    return document && secretOf(cursor, document);
  },
};

/** The fields of the spec are those of the value. */
const flat = <S extends object>(meta: Metadata, spec: S) => extended(spec, { metadata: meta });

const plain = <S extends object>(meta: Metadata, spec: S) => ({ metadata: meta, spec });

/** The value is about some Gateways. */
const ofGateways = <S extends object>(meta: Metadata, spec: S) => ({
  metadata: meta,
  gateways: gatewayNames(meta),
  spec,
});

const KINDS = {
  Gateway: kindEntry(ISTIO, "gateways", gatewaySpec, flat),
  ServiceEntry: kindEntry(ISTIO, "serviceEntries", serviceEntrySpec, flat),
  VirtualService: kindEntry(ISTIO, "virtualServices", virtualServiceSpec, flat),
  DestinationRule: kindEntry(ISTIO, "destinationRules", destinationRuleSpec, flat),
  LLMRouter: kindEntry(TOKENMESH, "llmRouters", llmRouterSpec, ofGateways),
  TokenRateLimit: kindEntry(TOKENMESH, "tokenRateLimits", tokenRateLimitSpec, ofGateways),
  EndpointPicker: kindEntry(TOKENMESH, "endpointPickers", endpointPickerSpec, ofGateways),
  PromptCache: kindEntry(TOKENMESH, "promptCaches", promptCacheSpec, ofGateways),
  DiscoverySource: kindEntry(TOKENMESH, "discoverySources", discoverySourceSpec, plain),
  NodeGroup: kindEntry(TOKENMESH, "nodeGroups", nodeGroupSpec, plain),
  EnvoyResources: kindEntry(TOKENMESH, "envoyResources", envoyResourcesSpec, plain),
  Secret: secretEntry,
} as const satisfies Readonly<Record<string, KindEntry>>;

export type Kind = keyof typeof KINDS;

const KIND_NAMES = Object.keys(KINDS) as readonly Kind[];

/** The kinds that are read, with the versions of the API that they are known by; the first is the preferred one. */
export const KINDS_SERVED: readonly { readonly kind: Kind; readonly apiVersions: readonly string[] }[] = KIND_NAMES.map(
  (kind) => ({ kind, apiVersions: KINDS[kind].apiVersions }),
);

/** Where the values of a kind are in a model. */
export function listOf(kind: Kind): ModelList {
  return KINDS[kind].list;
}

/** A model without anything. */
export function emptyParts(): ModelParts {
  const lists = Object.fromEntries(KIND_NAMES.map((kind) => [KINDS[kind].list, []])) as unknown as ModelLists;
  return { ...lists, damaged: new Set() };
}

/** The annotation `tokenmesh.io/gateways: "a, b"`; undefined for every Gateway of the namespace. */
function gatewayNames({ annotations }: Metadata): readonly string[] | undefined {
  const names = annotations
    ?.get(GATEWAYS_ANNOTATION)
    ?.split(",")
    .map((name) => name.trim());
  return names?.filter((name) => name !== "");
}

/** Reads one document and records its errors; undefined for an empty one. */
export function readDocument(cursor: Cursor): ReadDocument | undefined {
  const { node } = cursor;
  if (node === undefined || (isScalar(node) && node.value === null)) return undefined;
  const unknown = { id: undefined, addTo: damageAll };
  if (!isMap(node)) {
    fail(cursor, "TM_CONFIG_WRONG_TYPE", "a document must be a mapping with apiVersion, kind, metadata and spec");
    return unknown;
  }
  const apiVersion: unknown = node.get("apiVersion");
  const kind: unknown = node.get("kind");
  if (typeof apiVersion !== "string" || typeof kind !== "string") {
    const missing = typeof kind !== "string" ? "kind" : "apiVersion";
    fail(cursor, "TM_CONFIG_MISSING_FIELD", `field ${missing} is missing or not a text`, `Add ${missing}.`);
    return unknown;
  }
  const known = KIND_NAMES.find((each) => each === kind);
  if (known === undefined) {
    const guess = closest(kind, KIND_NAMES);
    const at = childCursor(cursor, node.get("kind", true), "kind");
    const remedy = guess === undefined ? undefined : `Did you mean ${guess}?`;
    fail(
      at,
      "TM_CONFIG_UNKNOWN_KIND",
      `${JSON.stringify(kind.slice(0, 80))} is not a kind that this server reads`,
      remedy,
    );
    return unknown;
  }
  const entry: KindEntry = KINDS[known];
  const damaged = {
    id: idOf(known, node.get("metadata")),
    addTo: (parts: ModelParts) => void parts.damaged.add(known),
  };
  if (!entry.apiVersions.includes(apiVersion)) {
    const at = childCursor(cursor, node.get("apiVersion", true), "apiVersion");
    const remedy = `Use ${entry.apiVersions.join(", ")}.`;
    fail(at, "TM_CONFIG_UNKNOWN_KIND", `${JSON.stringify(apiVersion.slice(0, 80))} has no kind ${known}`, remedy);
    return damaged;
  }
  const value = entry.read(cursor);
  if (value === undefined) return damaged;
  const list = entry.list;
  return {
    id: documentId(known, value.metadata),
    // The table says that values of this kind are what this list holds.
    addTo: (parts) => void (parts[list] as unknown[]).push(value),
  };
}

/** Of a document that has errors elsewhere; its metadata may be anything. */
function idOf(kind: Kind, meta: unknown): string | undefined {
  if (!isMap(meta)) return undefined;
  const [name, namespace = "default"]: readonly unknown[] = [meta.get("name"), meta.get("namespace") ?? undefined];
  return typeof name === "string" && typeof namespace === "string" ? documentId(kind, { name, namespace }) : undefined;
}

/** Nothing that other documents refer to can be called missing when a whole document could not be read. */
export function damageAll(parts: ModelParts): void {
  for (const kind of KIND_NAMES) parts.damaged.add(kind);
}
