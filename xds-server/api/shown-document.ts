/** A known document as the API shows it: with version and origin, and without key material. */
import { isObject, ORIGIN_ANNOTATION } from "./document-body.ts";
import type { KnownDocument } from "./ports.ts";

const HIDDEN = "(hidden)";

/** @param apiVersion of the path that asks: all versions of a kind have the same fields */
export function shownDocument(
  { identity, value, version, origin }: KnownDocument,
  apiVersion: string,
): Readonly<Record<string, unknown>> {
  const [kind = "", namespace = ""] = identity.split("/", 2);
  const metadata = isObject(value.metadata) ? value.metadata : {};
  const annotations = isObject(metadata.annotations) ? metadata.annotations : {};
  return {
    ...withoutKeys(kind, value),
    apiVersion,
    metadata: {
      ...metadata,
      namespace,
      ...(version === undefined ? {} : { resourceVersion: version }),
      annotations: { ...annotations, [ORIGIN_ANNOTATION]: origin },
    },
  };
}

/** Names stay, so that one sees what is there. */
function withoutKeys(kind: string, value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (kind === "EnvoyResources") return hideInline(value) as Readonly<Record<string, unknown>>;
  if (kind !== "Secret") return value;
  const hidden = Object.entries(value).map(([key, each]) => {
    const secret = (key === "data" || key === "stringData") && isObject(each);
    return [key, secret ? Object.fromEntries(Object.keys(each).map((name) => [name, HIDDEN])) : each] as const;
  });
  return Object.fromEntries(hidden);
}

/** Envoy's DataSource holds keys as inline_bytes or inline_string. */
function hideInline(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hideInline);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      /^inline_?(bytes|string)$/i.test(key) ? HIDDEN : hideInline(each),
    ]),
  );
}
