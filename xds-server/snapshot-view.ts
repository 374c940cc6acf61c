/** The served snapshot as JSON for people: every resource decoded, long bytes (Wasm code) replaced by their size and hash. */
import { toJson } from "../protos/index.ts";
import { contentHash, PUSH_ORDER, type Resource, type Snapshot, TYPE_NAMES, typeSnapshot } from "./cache/index.ts";

/** Texts longer than this are shown as size and hash. */
const MAX_TEXT = 4_096;

export function snapshotView(snapshot: Snapshot | undefined): unknown {
  if (snapshot === undefined) return null;
  const types: Record<string, unknown> = {};
  for (const typeUrl of PUSH_ORDER) {
    const { version, resources } = typeSnapshot(snapshot, typeUrl);
    types[TYPE_NAMES[typeUrl]] = { version, resources: [...resources.values()].map(resourceView) };
  }
  return { version: snapshot.version, types };
}

function resourceView({ name, version, any, typeUrl }: Resource): unknown {
  return { name, version, resource: shortened(toJson("google.protobuf.Any", any)), type: typeUrl };
}

function shortened(value: unknown): unknown {
  if (typeof value === "string") {
    return value.length <= MAX_TEXT ? value : `(${value.length} characters, sha256 ${contentHash(value)}...)`;
  }
  if (Array.isArray(value)) return value.map(shortened);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shortened(each)]));
}
