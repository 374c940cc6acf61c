/** Which document is which kind: apiVersion and kind -> reader; adds the parsed value to a model under construction. */
import { isMap, isScalar } from "yaml";
import { type Cursor, childCursor, fail } from "./cursor.ts";
import { destinationRuleSpec } from "./kinds/destination-rule.ts";
import { endpointPickerSpec } from "./kinds/endpoint-picker.ts";
import { gatewaySpec } from "./kinds/gateway.ts";
import { llmRouterSpec } from "./kinds/llm-router.ts";
import { metadata } from "./kinds/metadata.ts";
import { promptCacheSpec } from "./kinds/prompt-cache.ts";
import { serviceEntrySpec } from "./kinds/service-entry.ts";
import { tokenRateLimitSpec } from "./kinds/token-rate-limit.ts";
import { virtualServiceSpec } from "./kinds/virtual-service.ts";
import type {
  DestinationRule,
  EndpointPicker,
  Gateway,
  LlmRouter,
  Metadata,
  PromptCache,
  ServiceEntry,
  TokenRateLimit,
  VirtualService,
} from "./model.ts";
import { extended, object, type Reader, required } from "./reader.ts";
import { text } from "./scalars.ts";
import { closest } from "./spelling.ts";

export type Kind =
  | "Gateway"
  | "ServiceEntry"
  | "VirtualService"
  | "DestinationRule"
  | "LLMRouter"
  | "TokenRateLimit"
  | "EndpointPicker"
  | "PromptCache";

/** A model while files are read. `damaged` holds the kinds of which a document could not be read: references to them cannot be judged. */
export interface ModelParts {
  readonly gateways: Gateway[];
  readonly serviceEntries: ServiceEntry[];
  readonly virtualServices: VirtualService[];
  readonly destinationRules: DestinationRule[];
  readonly llmRouters: LlmRouter[];
  readonly tokenRateLimits: TokenRateLimit[];
  readonly endpointPickers: EndpointPicker[];
  readonly promptCaches: PromptCache[];
  readonly damaged: Set<Kind>;
}

const ISTIO = ["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];
const TOKENMESH = ["tokenmesh.io/v1alpha1"];
const GATEWAYS_ANNOTATION = "tokenmesh.io/gateways";

interface KindEntry {
  readonly apiVersions: readonly string[];
  /** Reads the document and adds it; false when it has errors. */
  readonly read: (cursor: Cursor, parts: ModelParts) => boolean;
}

interface KindDocument<S> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly spec: S;
}

function kindEntry<S extends object>(
  apiVersions: readonly string[],
  spec: Reader<S>,
  add: (parts: ModelParts, metadata: Metadata, spec: S) => void,
): KindEntry {
  const reader = object<KindDocument<S>>(
    { apiVersion: required(text()), kind: required(text()), metadata: required(metadata), spec: required(spec) },
    { ignored: ["status"] },
  );
  return {
    apiVersions,
    read: (cursor, parts) => {
      const document = reader(cursor);
      if (document === undefined) return false;
      add(parts, document.metadata, document.spec);
      return true;
    },
  };
}

const KINDS: Readonly<Record<Kind, KindEntry>> = {
  Gateway: kindEntry(ISTIO, gatewaySpec, (parts, meta, spec) =>
    parts.gateways.push(extended(spec, { metadata: meta })),
  ),
  ServiceEntry: kindEntry(ISTIO, serviceEntrySpec, (parts, meta, spec) =>
    parts.serviceEntries.push(extended(spec, { metadata: meta })),
  ),
  VirtualService: kindEntry(ISTIO, virtualServiceSpec, (parts, meta, spec) =>
    parts.virtualServices.push(extended(spec, { metadata: meta })),
  ),
  DestinationRule: kindEntry(ISTIO, destinationRuleSpec, (parts, meta, spec) =>
    parts.destinationRules.push(extended(spec, { metadata: meta })),
  ),
  LLMRouter: kindEntry(TOKENMESH, llmRouterSpec, (parts, meta, spec) =>
    parts.llmRouters.push({ metadata: meta, gateways: gatewayNames(meta), spec }),
  ),
  TokenRateLimit: kindEntry(TOKENMESH, tokenRateLimitSpec, (parts, meta, spec) =>
    parts.tokenRateLimits.push({ metadata: meta, gateways: gatewayNames(meta), spec }),
  ),
  EndpointPicker: kindEntry(TOKENMESH, endpointPickerSpec, (parts, meta, spec) =>
    parts.endpointPickers.push({ metadata: meta, gateways: gatewayNames(meta), spec }),
  ),
  PromptCache: kindEntry(TOKENMESH, promptCacheSpec, (parts, meta, spec) =>
    parts.promptCaches.push({ metadata: meta, gateways: gatewayNames(meta), spec }),
  ),
};

/** The annotation `tokenmesh.io/gateways: "a, b"`; undefined for every Gateway of the namespace. */
function gatewayNames({ annotations }: Metadata): readonly string[] | undefined {
  const names = annotations
    ?.get(GATEWAYS_ANNOTATION)
    ?.split(",")
    .map((name) => name.trim());
  return names?.filter((name) => name !== "");
}

/** Reads one document into the parts, or records its errors. Empty documents are skipped. */
export function readDocument(cursor: Cursor, parts: ModelParts): void {
  const { node } = cursor;
  if (node === undefined || (isScalar(node) && node.value === null)) return;
  if (!isMap(node)) {
    fail(cursor, "TM_CONFIG_WRONG_TYPE", "a document must be a mapping with apiVersion, kind, metadata and spec");
    damageAll(parts);
    return;
  }
  const apiVersion: unknown = node.get("apiVersion");
  const kind: unknown = node.get("kind");
  if (typeof apiVersion !== "string" || typeof kind !== "string") {
    const missing = typeof kind !== "string" ? "kind" : "apiVersion";
    fail(cursor, "TM_CONFIG_MISSING_FIELD", `field ${missing} is missing or not a text`, `Add ${missing}.`);
    damageAll(parts);
    return;
  }
  const known = (Object.keys(KINDS) as Kind[]).find((each) => each === kind);
  if (known === undefined) {
    const guess = closest(kind, Object.keys(KINDS));
    const at = childCursor(cursor, node.get("kind", true), "kind");
    const remedy = guess === undefined ? undefined : `Did you mean ${guess}?`;
    fail(
      at,
      "TM_CONFIG_UNKNOWN_KIND",
      `${JSON.stringify(kind.slice(0, 80))} is not a kind that this server reads`,
      remedy,
    );
    damageAll(parts);
    return;
  }
  const entry = KINDS[known];
  if (!entry.apiVersions.includes(apiVersion)) {
    const at = childCursor(cursor, node.get("apiVersion", true), "apiVersion");
    const remedy = `Use ${entry.apiVersions.join(", ")}.`;
    fail(at, "TM_CONFIG_UNKNOWN_KIND", `${JSON.stringify(apiVersion.slice(0, 80))} has no kind ${known}`, remedy);
    parts.damaged.add(known);
    return;
  }
  if (!entry.read(cursor, parts)) parts.damaged.add(known);
}

/** Nothing that other documents refer to can be called missing when a whole document could not be read. */
export function damageAll(parts: ModelParts): void {
  for (const kind of Object.keys(KINDS) as Kind[]) parts.damaged.add(kind);
}
